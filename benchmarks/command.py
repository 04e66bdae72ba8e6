"""The command line: which benchmarks run, and where their tables go."""

import argparse
import importlib
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import machine, own
from benchmarks.options import Options
from benchmarks.report import Report, markdown, show

NAMES = (
    "jobs",
    "pickup",
    "idle",
    "changes",
    "scheduler",
    "fortify",
    "whitehat",
    "ldap",
    "datasync",
    "server",
)
_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_INTRODUCTION = """\
# Benchmarks

Written by `make bench ARGS=--write`. Compare ratios within one run, not figures of different machines: what
a commit costs depends on the disk, and all else on the processor. The limits are promises of the project; a
figure that breaks one on a machine with nothing else to do is a defect."""


def run() -> int:
    """Measure what the command line names; 1 if a promise was missed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    console = Console(width=None if Console().is_terminal else 160)
    status = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        about = machine.describe(Path(folder))
        for name, value in about:
            console.print(f"{name}: {value}", highlight=False)
        own.install_connectors(Path(folder, "connectors"))
        options = Options(
            rounds=arguments.rounds,
            jobs=arguments.jobs,
            connectors=str(Path(folder, "connectors")),
            say=lambda text: status.print(text, style="dim"),
        )
        reports = []
        before = machine.load()
        for name in arguments.names or NAMES:
            report: Report = importlib.import_module(f"benchmarks.{name}").run(options)
            show(console, report)
            reports.append(report)
    about.append(("load average", f"{before} before, {machine.load()} after"))
    console.print(": ".join(about[-1]), highlight=False)
    if arguments.write:
        _DOCUMENT.write_text(_document(about, reports), encoding="utf-8")
    return 0 if all(bar.held for report in reports for bar in report.bars) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure speed and memory; ends with 1 if a promise was missed."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (all of them)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of what is repeated (5)")
    parser.add_argument("--jobs", type=int, default=5000, help="jobs in a round of `jobs` (5000)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md; wants all of them")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if arguments.write and arguments.names:
        parser.error("--write wants all benchmarks, for they make up the document")
    return arguments


def _document(about: list[tuple[str, str]], reports: list[Report]) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in about)
    chapters = [_INTRODUCTION, f"| | |\n| --- | --- |\n{rows}", *(markdown(report) for report in reports)]
    return "\n\n".join(chapters) + "\n"
