"""docs/benchmarks.md: a chapter for each benchmark, each with the machine that it was measured on."""

import re
from collections.abc import Sequence

from benchmarks.report import Report, markdown

INTRODUCTION = """\
# Benchmarks

`make bench ARGS="--write NAME"` writes the chapter of that name, `make bench ARGS=--write` all of them.
Compare ratios within a chapter, not figures of different machines: what a commit costs depends on the disk,
and all else on the processor. The limits are promises of the project; where a chapter says MISSED, that is
how far we are."""

_CHAPTER = re.compile(r"^(?=## )", re.MULTILINE)
_NAME = re.compile(r"`make bench ARGS=(\w+)` measures this alone")


def updated(text: str, report: Report, *, about: Sequence[tuple[str, str]], order: Sequence[str]) -> str:
    """The document with this report's chapter in place of the old one; chapters in ``order`` of names."""
    chapters = {
        found[1]: chapter.rstrip() for chapter in _CHAPTER.split(text) if (found := _NAME.search(chapter))
    }
    machine = "; ".join(f"{name}: {value}" for name, value in about)
    chapters[report.name] = f"{markdown(report)}\n\nMeasured with {machine}."
    kept = [chapters[name] for name in order if name in chapters]
    return "\n\n".join([INTRODUCTION, *kept]) + "\n"
