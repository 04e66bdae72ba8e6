"""Fortify's files: reading them, beside a pass that does nothing with what it reads."""

import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from lxml import etree

from benchmarks import child, processes
from benchmarks.options import Options
from benchmarks.report import Bar, Report
from tests.files.fortify import Packing, Style, many, write_fpr
from tests.files.fortify_reports import write_report

ISSUES = 100_000
MORE = 400_000
_TIMEOUT = 900.0
_BLOCK = 256 * 1024
_PROGRAM_DATA = 700  # bytes for each issue: a third of a scan, as in the real ones
_MEGABYTE = 1024 * 1024

_HOW = (
    f"Files of {ISSUES:,} issues from the generator of the tests, in two shapes: short, and long (traces of "
    "twenty entries with references to nodes; snippets and abstracts in reports). The bare pass is "
    "`lxml.etree.iterparse` with a tag filter over the same bytes, unpacked on the way, which clears each "
    "issue and looks at none. Ours is the connector's reading, from the file to findings by weakness. "
    "CPU seconds, median of the rounds, each in a process of its own, in turns. Growth is the peak of "
    "resident memory less what the process had before it began."
)


def run(options: Options) -> Report:
    """Measure both shapes of both forms, and the growth up to four times as many."""
    rows: list[list[str]] = []
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="runner-fortify-") as folder:
        for form in ("report", "FPR"):
            for shape in ("short", "long"):
                options.say(f"fortify: {form}, {shape}")
                file = make(Path(folder), form, shape, ISSUES)
                found = [measure(file) for _ in range(options.rounds)]
                file.unlink()
                rows.append(_row(f"{form}, {shape}", found, bars, form))
            options.say(f"fortify: growth of {form} to {MORE:,}")
            few, more = (
                child.call(
                    "benchmarks.fortify:ours",
                    timeout=_TIMEOUT,
                    file=str(make(Path(folder), form, "short", number)),
                )
                for number in (ISSUES, MORE)
            )
            each = max(0.0, (more["grown"] - few["grown"]) / (MORE - ISSUES))
            bars.append(Bar(promise=f"{form}: growth for each finding more", value=each, limit=200, unit="B"))
    return Report(
        name="fortify",
        title="Fortify's files",
        how=_HOW,
        columns=("", "file", "bare pass", "ours", "ratio", "issues/s", "growth"),
        rows=rows,
        bars=bars,
    )


def _row(name: str, found: list[dict[str, Any]], bars: list[Bar], form: str) -> list[str]:
    bare, ours, ratio = (statistics.median(one[key] for one in found) for key in ("bare", "ours", "ratio"))
    grown = max(one["grown"] for one in found) / _MEGABYTE
    bars += [
        Bar(promise=f"{name}: times a bare pass", value=ratio, limit=1.8 if form == "report" else 2.2),
        Bar(promise=f"{name}: growth", value=grown, limit=40 if form == "report" else 120, unit="MB"),
    ]
    return [
        name,
        f"{found[0]['bytes'] / _MEGABYTE:.0f} MB",
        f"{bare:.2f} s",
        f"{ours:.2f} s",
        f"{ratio:.2f}",
        f"{found[0]['findings'] / ours:,.0f}",
        f"{grown:.0f} MB",
    ]


def make(folder: Path, form: str, shape: str, number: int) -> Path:
    """Write a file."""
    long = shape == "long"
    issues = partial(many, number)
    path = folder / f"{form}-{shape}-{number}"
    if form == "FPR":
        style = Style(long=long, program_data=_PROGRAM_DATA * (3 if long else 1))
        return write_fpr(path, issues, style, Packing(level=1, members=2000))
    with path.open("wb") as file:
        write_report(file.write, issues, long=long)
    return path


def measure(file: Path) -> dict[str, Any]:
    """One round: the bare pass, then ours."""
    bare = child.call("benchmarks.fortify:bare", timeout=_TIMEOUT, file=str(file))
    own = child.call("benchmarks.fortify:ours", timeout=_TIMEOUT, file=str(file))
    return {**own, "bytes": bare["bytes"], "bare": bare["seconds"], "ratio": own["ours"] / bare["seconds"]}


@contextmanager
def _xml(file: str) -> Iterator[tuple[IO[bytes], str]]:
    """Give the XML of a file, and what its issues are called."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive, archive.open("audit.fvdl") as member:
            yield member, "{xmlns://www.fortifysoftware.com/schema/fvdl}Vulnerability"
    else:
        with Path(file).open("rb") as stream:
            yield stream, "Issue"


def bare(file: str) -> dict[str, Any]:
    """In a child: the pass that does nothing."""
    number = size = 0
    began = time.process_time()
    with _xml(file) as (stream, tag):
        parser = etree.XMLPullParser(events=("end",), tag=tag)
        while block := stream.read(_BLOCK):
            size += len(block)
            parser.feed(block)
            for _, element in parser.read_events():
                number += 1
                element.clear()
        parser.close()
    return {"seconds": time.process_time() - began, "bytes": size, "issues": number}


def ours(file: str) -> dict[str, Any]:
    """In a child: what the connector does until it has all findings by weakness."""
    from runner.connectors.fortify.kinds import Kind, open_file
    from runner.findings.tally import Tally

    before = processes.resident(os.getpid())
    began = time.process_time()
    tally = Tally()
    path = Path(file)
    with (
        path.open("rb") as stream,
        open_file(stream, name=path.name, wanted=list(Kind), cwes={}, skip=True) as reader,
    ):
        for finding in reader.findings():
            tally.add(finding)
    seconds = time.process_time() - began
    # Not getrusage's peak: that one counts what this process was a copy of before it became itself.
    grown = processes.peak(os.getpid()) - before
    return {"ours": seconds, "grown": grown, "findings": tally.total}
