"""The same issues in every form that Fortify writes come to the same tasks."""

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.model.changes import Change, Op
from tests.files.fortify import Issue, Packing, Style, fvdl, write_fpr
from tests.files.fortify_reports import report, webinspect
from tests.unit.fortify_import import Import

WORDS = st.text(
    st.characters(codec="utf-8", categories=["L", "N"], include_characters="&<>'\" -/"), max_size=12
)
TYPES = st.sampled_from(["SQL Injection", "Cross-Site Scripting", "Path Manipulation", "Log Forging"])
NAMES = st.one_of(TYPES, WORDS.map(lambda text: f"X{text.strip()}".strip()))

ISSUES = st.builds(
    Issue,
    type=NAMES,
    subtype=st.one_of(st.just(""), WORDS.map(lambda text: f"S{text}".strip())),
    cwes=st.lists(st.sampled_from([22, 79, 89, 117, 798, 4711]), max_size=2, unique=True).map(tuple),
    instance=st.uuids().map(lambda uuid: uuid.hex.upper()),
    priority=st.sampled_from(["Critical", "High", "Medium", "Low"]),
    path=st.sampled_from(["src/A.java", "web/b & c.jsp", "ä.cs"]),
    line=st.integers(1, 50),
    analysis=st.sampled_from(["", "", "Exploitable", "Not an Issue"]),
)


def verdicts(run: Import) -> dict[str, tuple[Op, object]]:
    """What a run makes of each task."""

    def findings(change: Change) -> object:
        assert change.after is not None
        return change.after["note"]["findings"]

    return {c.key: (c.op, findings(c)) for c in run.changes if c.kind == "verification"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    issues=st.lists(ISSUES, min_size=1, max_size=12, unique_by=lambda issue: issue.instance),
    long=st.booleans(),
)
def test_every_form_comes_to_the_same(tmp_path: Path, issues: list[Issue], long: bool) -> None:
    """FPR and report make the same of each task, with the same findings; so does FVDL without decisions."""
    archive = Import(write_fpr(tmp_path / "a", lambda: issues, Style(long=long), Packing(audit="undeclared")))
    listed = tmp_path / "b"
    listed.write_bytes(report(issues, twice=True))
    from_report = Import(listed)
    assert verdicts(from_report) == verdicts(archive)
    assert from_report.found == archive.found
    assert from_report.ctx.totals == archive.ctx.totals
    if not any(issue.analysis == "Not an Issue" for issue in issues):
        bare = tmp_path / "c"
        bare.write_bytes(fvdl(issues, Style(long=long)))
        assert verdicts(Import(bare)) == verdicts(archive)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    issues=st.lists(ISSUES, min_size=1, max_size=12, unique_by=lambda issue: issue.instance),
    old=st.booleans(),
)
def test_an_export_of_webinspect_comes_to_the_same(tmp_path: Path, issues: list[Issue], old: bool) -> None:
    """Findings that WebInspect exports, in either form, set the tasks that a report of Fortify's sets."""
    # WebInspect has no decisions of people, and one finding for each check at each address.
    issues = [replace(issue, analysis="", line=index) for index, issue in enumerate(issues, start=1)]
    listed, exported = tmp_path / "report", tmp_path / "export"
    listed.write_bytes(report(issues))
    exported.write_bytes(webinspect(issues, old=old))
    theirs = Import(exported, system="webinspect")
    ours = Import(listed)
    assert theirs.found == ours.found
    assert theirs.tasks(Op.FAIL) == ours.tasks(Op.FAIL)
    assert theirs.tasks(Op.PASS) == ours.tasks(Op.PASS)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(issues=st.lists(ISSUES, min_size=1, max_size=8, unique_by=lambda issue: issue.instance))
def test_another_form_of_the_same_scan_is_no_news(tmp_path: Path, issues: list[Issue]) -> None:
    """What a connection remembers of an FPR's findings is what a report of the same scan has."""
    archive = Import(write_fpr(tmp_path / "a", lambda: issues))
    listed = tmp_path / "b"
    listed.write_bytes(report(issues))
    told = [run.ctx.remembered["analysis"]["digests"] for run in (archive, Import(listed))]
    assert told[0] == told[1]


def test_a_cut_listing_is_said_and_passes_nothing(tmp_path: Path) -> None:
    """A report of 8 of 180 issues says so, fails what is counted, and passes no task."""
    issues = [Issue(instance=f"{index:032}", subtype=f"Kind {index % 8}") for index in range(180)]
    listed = tmp_path / "scan.xml"
    listed.write_bytes(report(issues, limit=1))
    run = Import(listed)
    assert "It lists 8 of 180 issues." in run.ctx.message
    assert not run.tasks(Op.PASS)


def test_reports_profit_from_an_archive(tmp_path: Path) -> None:
    """A report without CWEs gets those that an FPR of the same connection taught."""
    issue = Issue(type="Quantum Leakage", cwes=(4711,))
    archive = Import(write_fpr(tmp_path / "a", lambda: [issue]))
    listed = tmp_path / "b"
    listed.write_bytes(report([issue], cwes=False))
    assert Import(listed).found["Quantum Leakage"] == (1, "High", ())
    assert Import(listed, memory=archive.ctx.remembered).found["Quantum Leakage"] == (1, "High", (4711,))
