"""WebInspect's exports, of both generations."""

from pathlib import Path

import pytest

from runner.errors import BadInput
from runner.model.changes import Op
from tests.files.fortify import Issue
from tests.files.fortify_reports import webinspect
from tests.unit.fortify_import import Import

ISSUES = [
    Issue(),
    Issue(line=5),
    Issue(type="Cross-Site Scripting", cwes=(79,), priority="Critical"),
    Issue(type="Server Banner", cwes=(), instance="2", priority="Info"),
]


@pytest.mark.parametrize("old", [False, True])
def test_findings(tmp_path: Path, old: bool) -> None:
    """Names, CWEs and severities are read of both forms; information is counted and left out."""
    file = tmp_path / "scan.bin"
    file.write_bytes(webinspect(ISSUES, old=old))
    run = Import(file, system="webinspect")
    assert run.found == {
        "SQL Injection": (2, "High", (89,)),
        "Cross-Site Scripting": (1, "Critical", (79,)),
    }
    assert run.ctx.rows[1].examples == [
        "http://shop.example/src/A.java?line=4",
        "http://shop.example/src/A.java?line=5",
    ]
    assert "1 left out as information" in run.ctx.message
    assert run.changes[0].after is not None
    assert run.changes[0].after["analysis_type"] == "webinspect"
    assert run.tasks(Op.FAIL)


@pytest.mark.parametrize(
    ("system", "content", "said"),
    [
        ("fortify", b"<Scan><Issues/></Scan>", "Send it to the system webinspect_file_upload"),
        ("webinspect", b"<ReportDefinition/>", "Send it to the system fortify_file_upload"),
        ("webinspect", b"PK\x03\x04", "is an FPR archive. Send it to the system fortify_file_upload"),
        ("webinspect", b"<html/>", "is no file of Fortify"),
    ],
)
def test_file_of_the_other_system(tmp_path: Path, system: str, content: bytes, said: str) -> None:
    """A file that belongs elsewhere is told where."""
    file = tmp_path / "scan.xml"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        Import(file, system=system)
