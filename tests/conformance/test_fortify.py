"""The connector for Fortify's files keeps every promise."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from xml.sax.saxutils import escape

from runner.conformance.arena import Arena, BadRecord
from runner.conformance.platform import Platform, State
from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from runner.model.jobs import Kind
from tests.conformance.arenas import KEEPS_ANALYSES
from tests.files.fortify import Issue, Packing, write_fpr
from tests.servers.machine import ROOT

WEAKNESSES = {
    "SQL Injection": 89,
    "Cross-Site Scripting: Reflected": 79,
    "Path Manipulation": 22,
    "Log Forging": 117,
}


def report(categories: Sequence[str], *, total: int | None = None) -> str:
    """A report that lists an issue for each of ``categories``, and says it found ``total`` of them."""
    groups = "".join(
        f'<GroupingSection count="{categories.count(category)}"><groupTitle>{escape(category)}</groupTitle>'
        + "".join(issue(category, number) for number in range(categories.count(category)))
        + "</GroupingSection>"
        for category in dict.fromkeys(categories)
    )
    found = len(categories) if total is None else total
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ReportDefinition type="standard">'
        '<ReportSection enabled="true"><Title>Results Outline</Title><SubSection enabled="true">'
        f"<Title>Overview</Title><Text>The scan found {found} issues.</Text></SubSection>"
        '<SubSection enabled="true"><Title>Issues</Title><Text>Build Label: shop</Text>'
        '<IssueListing listing="true" limit="-1"><Refinement></Refinement><Chart><Axis>Category</Axis>'
        f"<MajorAttribute>Analysis</MajorAttribute>{groups}</Chart></IssueListing></SubSection>"
        "</ReportSection></ReportDefinition>"
    )


def issue(category: str, number: int) -> str:
    """One issue of a report."""
    return (
        f'<Issue iid="{category} {number}" ruleID="R"><Category>{escape(category)}</Category>'
        "<Folder>High</Folder><Friority>High</Friority><Primary><FileName>A.java</FileName>"
        f"<FilePath>src/A.java</FilePath><LineStart>{number + 1}</LineStart></Primary></Issue>"
    )


class FortifyArena(Arena):
    """Reports for a project whose tasks answer to some weaknesses."""

    system = "fortify_file_upload"
    kind = Kind.ANALYSIS
    readme = ROOT / "runner" / "connectors" / "fortify" / "README.md"

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.file = folder / "scan.xml"
        self.categories: list[str] = []

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """A task for each weakness, one that is known by CWE alone, and one that no scanner answers."""
        more = {"priority": 7, "phase": "development"}
        return [
            *(
                {"task_id": f"T{number}", "title": f"No {category}", "categories": [category], **more}
                for number, category in enumerate(WEAKNESSES, start=1)
            ),
            {"task_id": "T8", "title": "No hard-coded password", "cwes": [798], **more},
            {"task_id": "T9", "title": "Think before you write", **more},
        ]

    def list_issues(self, categories: Sequence[str]) -> None:
        """Write a report of these."""
        self.categories = [*categories]
        self.file.write_text(report(self.categories), encoding="utf-8")

    def build(self) -> None:
        """Find something for two tasks, and nothing for the others."""
        self.list_issues(["SQL Injection", "SQL Injection", "Path Manipulation"])

    def change_source(self) -> None:
        """Find other things."""
        self.list_issues(self.rng.choices(list(WEAKNESSES), k=self.rng.randint(1, 5)))

    def wipe_source(self) -> None:
        """Find one thing, where there was none before."""
        self.list_issues(["Log Forging"])

    def cut_source(self) -> None:
        """Let the template leave most issues out."""
        self.file.write_text(report(self.categories, total=40), encoding="utf-8")

    def spoil_record(self) -> BadRecord:
        """Find something that no task answers to."""
        self.list_issues([*self.categories, "Quantum Leakage"])
        return BadRecord(named="Quantum Leakage", keys=())

    def upload(self) -> Path | None:
        """The report."""
        return self.file

    def params(self) -> Mapping[str, Any]:
        """Nothing is set: that is how most people upload."""
        return {}

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What people upload instead of a report."""
        whole = report(["SQL Injection"])
        return {
            "half a report": lambda: self._upload(whole[: len(whole) // 2].encode()),
            "a PDF": lambda: self._upload(b"%PDF-1.7\n"),
            "an archive": lambda: self._upload(b"PK\x03\x04 and more"),
            "another scanner's file": lambda: self._upload(b"<Scan><Issues/></Scan>"),
            "nothing at all": lambda: self._upload(b""),
            "a report of another project": lambda: self._upload(report(["Quantum Leakage"]).encode()),
        }

    def _upload(self, content: bytes) -> None:
        self.file.write_bytes(content)


class TestFortify(Promises):
    """Reports become verifications on the embedded platform."""

    arena = FortifyArena
    every = 8


class FprArena(FortifyArena):
    """The same, as archives of whole scans."""

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.file = folder / "scan.fpr"

    def list_issues(self, categories: Sequence[str]) -> None:
        """Write an archive of these."""
        self.categories = [*categories]
        issues = [
            Issue(type=category, cwes=(), instance=f"{category} {number}", line=number + 1)
            for number, category in enumerate(categories)
        ]
        write_fpr(self.file, lambda: issues, packing=Packing(audit="undeclared", folder="shop/"))

    def cut_source(self) -> None:
        """Break the upload off."""
        self.file.write_bytes(self.file.read_bytes()[:-100])


class TestFpr(Promises):
    """Archives become verifications on the embedded platform."""

    arena = FprArena
    every = 20  # from the findings on, all is as of a report


class FolderArena(FortifyArena):
    """A folder into which a build server puts reports."""

    system = "fortify_folder"
    writes_outside = True
    not_revertible: ClassVar[Mapping[str, str]] = {
        "filing": "back in the folder, the file would be imported again at once"
    }

    def __init__(self, folder: Path, platform: Platform, rng: Random) -> None:
        super().__init__(folder, platform, rng)
        self.inbox = folder / "inbox"
        for place in ("done", "failed"):
            (self.inbox / place).mkdir(parents=True)
        self.dropped = 0

    def list_issues(self, categories: Sequence[str]) -> None:
        """Put a report of these into the folder, in the place of one that waits."""
        self.categories = [*categories]
        self.drop(report(self.categories).encode())

    def cut_source(self) -> None:
        """Let the template leave most issues out."""
        self.drop(report(self.categories, total=40).encode())

    def drop(self, content: bytes) -> None:
        """Put a file into the folder that was finished long ago."""
        for waiting in self.inbox.glob("*.xml"):
            waiting.unlink()
        self.dropped += 1
        path = self.inbox / f"scan-{self.dropped}.xml"
        path.write_bytes(content)
        finished = 1_700_000_000 + self.dropped
        os.utime(path, (finished, finished))

    def spoil_record(self) -> BadRecord:
        """The same, in a further file, which is filed in the other one's place."""
        bad = super().spoil_record()
        return BadRecord(named=bad.named, keys=[f"done/scan-{self.dropped - back}.xml" for back in (0, 1)])

    def upload(self) -> Path | None:
        """None: that is what the folder is for."""

    def params(self) -> Mapping[str, Any]:
        """Where it is."""
        return {"folder": str(self.inbox)}

    def state(self) -> State:
        """The platform, and which files are filed."""
        filed = [path for place in ("done", "failed") for path in self.inbox.glob(f"{place}/*")]
        return {**super().state(), **{_key(path): _facts(path) for path in filed}}

    def edit(self, key: str) -> None:
        """Somebody touches a file, or else a task."""
        if key.partition("/")[0] in ("done", "failed"):
            os.utime(self.inbox / key, (1, 1))
        else:
            super().edit(key)

    def troubles(self) -> Mapping[str, Callable[[], None]]:
        """What makes a folder one that can't be watched."""
        return {
            "a sub-folder is missing": (self.inbox / "failed").rmdir,
            "the folder is gone": self._take_away,
        }

    def _take_away(self) -> None:
        self.inbox.rename(self.inbox.with_name("gone"))


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _facts(path: Path) -> Mapping[str, Any]:
    facts = path.stat()
    return {"size": facts.st_size, "modified": facts.st_mtime_ns}


class TestFolder(Promises):
    """Files that somebody puts into a folder become verifications, and are filed."""

    arena = FolderArena
    every = 20


class FolderFarAwayArena(FolderArena):
    """The same for a project on a remote server."""

    exempt: ClassVar[Mapping[str, str]] = KEEPS_ANALYSES


class TestFolderFarAway(Promises):
    """The same for a project on a remote server; uploads, which only that server has, it imports itself."""

    arena = FolderFarAwayArena
    world = RemoteWorld
    every = 20
