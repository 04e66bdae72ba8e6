"""The command line: which benchmarks run, and where their tables go."""

import argparse
import importlib
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import machine, own
from benchmarks.document import updated
from benchmarks.options import Options
from benchmarks.report import Report, show

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
        missed = False
        for name in arguments.names or NAMES:
            before = machine.load()
            report: Report = importlib.import_module(f"benchmarks.{name}").run(options)
            show(console, report)
            missed = missed or not all(bar.held for bar in report.bars)
            load = ("load average", f"{before} before, {machine.load()} after")
            console.print(": ".join(load), highlight=False)
            if arguments.write:  # at once: what follows may take long, or fail
                old = _DOCUMENT.read_text(encoding="utf-8") if _DOCUMENT.exists() else ""
                _DOCUMENT.write_text(
                    updated(old, report, about=[*about, load], order=NAMES), encoding="utf-8"
                )
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure speed and memory; ends with 1 if a promise was missed."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (all of them)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of what is repeated (5)")
    parser.add_argument("--jobs", type=int, default=5000, help="jobs in a round of `jobs` (5000)")
    parser.add_argument("--write", action="store_true", help="write their chapters of docs/benchmarks.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return arguments
