"""What a reader knows of a scan once it has read it, and what may be concluded from it.

Nothing passes from nothing. What a scan found is true however little of it
arrived; that a task is clean follows from a whole scan of the right project only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from runner.findings.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The scan behind a file or an answer."""

    scanner: str  # slug of the analysis type, as "fortify"
    name: str  # as people call the scanner: "Fortify"
    ref: str  # what tells this scan from others, as a build label
    clues: Mapping[str, str] = field(default_factory=dict)  # what tells its project, by kind
    listed: int = 0  # issues that were read, those left out among them
    suppressed: int = 0  # issues left out because people decided so
    suppressed_as: str = ""  # what they decided, as '"Not an Issue"'
    shortfall: str = ""  # a sentence: why not all issues were read; "" = proven whole
    noun: str = "report"  # what ``ref`` is the name of, as "site"
    live: bool = False  # asked from the scanner as it is now, and not a file that somebody sent
    completed: datetime | None = None  # of a live one: when its newest whole scan ended, UTC


def silence_is_mute(scan: Scan, last: Memory, *, mapped: int, confirmed: bool) -> str:
    """Why nothing may pass because of ``scan``, as a sentence; "" = what it is silent about may pass.

    ``mapped`` = findings that some task answers to; ``confirmed`` = a person stands by an
    empty source.
    """
    if scan.shortfall:
        return scan.shortfall
    if _of_another_project(scan.clues, last.clues):
        ours, theirs = ", ".join(scan.clues.values()), ", ".join(last.clues.values())
        return (
            f"It seems to be of another project ({ours}) than the last import ({theirs}). "
            "If that is right, import it again."
        )
    if scan.live:
        if stale := _nothing_new(scan.completed, last.completed):
            return stale
    elif scan.listed == 0 and not confirmed:
        return "It lists no issue at all. If that is right, import it again, or set confirm_empty."
    if scan.listed > scan.suppressed and not mapped:
        return "None of its findings matches a task by CWE or category, so the tasks can't be judged by it."
    return ""


def _nothing_new(completed: datetime | None, last: datetime | None) -> str:
    """Why the silence of a live source says no more than at the last import; "" = a new scan is behind it."""
    if completed is None:
        return "No scan of it has completed yet."
    if last is not None and completed <= last:
        return (
            f"No scan of it has completed since the last import (the newest one ended {completed:%F %R} UTC)."
        )
    return ""


def empty_is_confirmed(last: Memory, *, by_setting: bool, by_person: bool) -> bool:
    """Whether a source without an issue is meant: by the setting, or by importing such a one again."""
    return by_setting or (last.listed == 0 and (by_person or last.empty_confirmed))


def _of_another_project(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Whether clues of the same kind exist on both sides and not one of them agrees.

    Numbers don't count: build labels and names of ad-hoc scans carry versions and dates.
    """
    pairs = [(_words(ours[kind]), _words(theirs[kind])) for kind in ours.keys() & theirs.keys()]
    telling = [(one, other) for one, other in pairs if one and other]
    return bool(telling) and all(one != other for one, other in telling)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", text.casefold()))
