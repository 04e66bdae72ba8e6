"""Fortify reports: the sample's way through the connector, and files with their oddities."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from runner.connectors.fortify.connector import FortifyFileUpload
from runner.connectors.fortify.params import FortifyParams
from runner.errors import BadInput
from runner.model.changes import Change, Op
from tests.unit.fortify_import import Import, shared
from tests.unit.recording import SAMPLE, RecordingContext, sample_tasks

MEGABYTE = 1024 * 1024


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes a file and returns its path."""

    def write_file(content: str | bytes, name: str = "scan.xml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def issue(iid: str = "1" * 32, category: str = "SQL Injection: Hibernate", **fields: str) -> str:
    """One Issue element; ``tag`` = value of its Analysis tag."""
    tag = f"<Tag><Name>Analysis</Name><Value>{fields['tag']}</Value></Tag>" if "tag" in fields else ""
    cwe = f'<ExternalCategory type="CWE">{fields["cwe"]}</ExternalCategory>' if "cwe" in fields else ""
    iid_is = f'iid="{iid}" ' if iid else ""
    return (
        f'<Issue {iid_is}ruleID="{fields.get("rule", "R")}"><Category>{category}</Category>'
        f"<Folder>High</Folder><Friority>High</Friority>{tag}<Primary><FileName>A.java</FileName><FilePath>src/A.java</FilePath>"
        f"<LineStart>{fields.get('line', '4')}</LineStart><Snippet>a &lt; b</Snippet></Primary>{cwe}</Issue>"
    )


def listing(*groups: str, axis: str = "Category", refinement: str = "") -> str:
    """A section with a listing or a chart."""
    return (
        '<ReportSection enabled="false"><Title>S</Title><SubSection enabled="true"><Title>T</Title>'
        f'<IssueListing listing="true" limit="-1"><Refinement>{refinement}</Refinement>'
        f"<Chart><Axis>{axis}</Axis><MajorAttribute>Analysis</MajorAttribute>{''.join(groups)}</Chart>"
        "</IssueListing></SubSection></ReportSection>"
    )


def group(title: str, count: int, *issues: str, audited: dict[str, int] | None = None) -> str:
    """A group of a chart, with what people said of its issues."""
    values = "".join(
        f"<AttributeValue><Name>{name}</Name><Count>{number}</Count></AttributeValue>"
        for name, number in (audited or {}).items()
    )
    summary = f"<MajorAttributeSummary>{values}</MajorAttributeSummary>" if values else ""
    return (
        f'<GroupingSection count="{count}"><groupTitle>{title}</groupTitle>{summary}{"".join(issues)}'
        "</GroupingSection>"
    )


def report(*sections: str, found: int | str | None = None, label: str = "shop-1") -> str:
    """A report; ``found`` = the number in its sentence."""
    text = "" if found is None else f"<Text>The scan found {found} issues.</Text>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ReportDefinition type="standard">'
        '<TemplateName>T</TemplateName><ReportSection enabled="true"><Title>Project Summary</Title>'
        f"<SubSection><Title>C</Title><Text>Code location: shop\nBuild Label: {label}</Text></SubSection>"
        f"<SubSection><Title>O</Title>{text}</SubSection></ReportSection>{''.join(sections)}</ReportDefinition>"
    )


SQL = "SQL Injection: Hibernate"


# --- whole files -------------------------------------------------------------------------


def test_sample_report() -> None:
    """The sample report fails eleven tasks and the catch-all, and passes what it is silent about."""
    run = Import(SAMPLE / "report.xml")
    assert len(run.tasks(Op.FAIL)) == 12
    assert "T193" in run.tasks(Op.FAIL)
    assert run.ctx.totals["findings"] == 18
    assert run.ctx.totals["suppressed"] == 1
    assert run.ctx.sentences == [
        'The Fortify report webshop-2.4.0 has 18 findings; 1 left out as "Not an Issue".',
        "17 match 11 tasks; 1 matches none (GraphQL Bad Practices: Introspection Enabled) and goes to T193.",
    ]
    assert not run.tasks(Op.PASS) & {task.task_id for task in sample_tasks() if task.phase == "testing"}


def test_shared_few_findings() -> None:
    """A report that lists two of eight issues sets two tasks to fail and none to pass."""
    run = Import(shared("fortify/fortify_few_findings.xml"))
    assert run.ctx.totals["findings"] == 2
    assert len(run.tasks(Op.FAIL)) == 2
    assert not run.tasks(Op.PASS)
    assert "It lists 2 of 8 issues." in run.ctx.message


# --- what is read ------------------------------------------------------------------------


def test_same_issue_in_two_sections_counts_once(write: Write) -> None:
    """An issue that two sections list is one finding; the same iid under another rule is another."""
    one, other = issue(), issue(rule="R2")
    sections = listing(group(SQL, 2, one, other)), listing(group("High", 2, one), axis="Folder")
    assert Import(write(report(*sections, found=2))).ctx.totals["findings"] == 2


def test_issues_without_identity_are_told_by_place(write: Write) -> None:
    """Issues without iid are different ones on different lines."""
    sections = listing(group(SQL, 3, issue("", line="1"), issue("", line="1"), issue("", line="2")))
    assert Import(write(report(sections))).ctx.totals["findings"] == 2


@pytest.mark.parametrize(
    ("blacklist", "left_out"),
    [(None, 1), ("not an  issue, Exploitable", 2), ("", 1), ("Suspicious", 0)],
)
def test_blacklist(write: Write, blacklist: str | None, left_out: int) -> None:
    """Issues with a listed Analysis value are left out, however it is written."""
    issues = issue("1", tag="Not an Issue"), issue("2", tag="Exploitable"), issue("3")
    file = write(report(listing(group(SQL, 3, *issues))))
    run = Import(file, {"import_blacklist": blacklist})
    assert run.ctx.totals["suppressed"] == left_out
    assert run.ctx.totals["findings"] == 3 - left_out


def test_note_has_cwes_severity_and_place(write: Write) -> None:
    """All CWEs, the priority and the primary location reach the note."""
    file = write(report(listing(group(SQL, 1, issue(cwe="CWE ID 89,CWE ID 564")))))
    change = next(change for change in Import(file).changes if change.op is Op.FAIL)
    assert change.after is not None
    assert change.after["note"]["findings"] == [
        {"count": 1, "desc": SQL, "cwe": [89, 564], "severity": "High", "examples": ["src/A.java:4"]}
    ]


def test_report_without_label_goes_by_its_name(write: Write) -> None:
    """Where there is no build label, the file's name tells the report."""
    file = write(report(listing(group(SQL, 1, issue())), label="&lt;No Build Label&gt;"), "upload.xml")
    assert Import(file).changes[0].key == "upload.xml#u-1"


def test_control_characters_are_read_and_said(write: Write) -> None:
    """A snippet with characters XML forbids costs no finding, and the message counts them."""
    content = report(listing(group(SQL, 1, issue()))).replace("a &lt; b", "a \x01 &#x2; b")
    run = Import(write(content))
    assert run.ctx.totals["findings"] == 1
    assert "2 characters of scan.xml that XML doesn't allow" in run.ctx.message


# --- what is counted ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param(report(listing(group(SQL, 1, issue())), found=180), id="sentence"),
        pytest.param(report(listing(group(SQL, 1, issue())), found="1,80"), id="sentence with a comma"),
        pytest.param(report(listing(group(SQL, 180, issue()))), id="group"),
        pytest.param(
            report(
                listing(group(SQL, 1, issue())), listing(group("Low", 180), axis="Fortify Priority Order")
            ),
            id="priority chart",
        ),
        pytest.param(
            report(listing(group(SQL, 1, issue())), listing(group("x", 180)), found=1), id="charts disagree"
        ),
    ],
)
def test_largest_count_wins(write: Write, sections: str) -> None:
    """Fewer issues listed than any place counts make the report incomplete, in its own numbers."""
    run = Import(write(sections))
    assert "It lists 1 of 180 issues." in run.ctx.message
    assert not run.tasks(Op.PASS)


def test_refined_listing_alone_proves_nothing(write: Write) -> None:
    """A listing of some priorities without any other count may not be whole."""
    file = write(report(listing(group(SQL, 1, issue()), refinement="[fortify priority order]:critical")))
    run = Import(file)
    assert "doesn't say how many there are in all" in run.ctx.message
    assert not run.tasks(Op.PASS)


def test_groups_by_cwe_are_no_total(write: Write) -> None:
    """Groups in which an issue may stand twice don't make a whole report incomplete."""
    by_cwe = listing(group("CWE ID 89", 1), group("CWE ID 564", 1), axis="CWE")
    assert Import(write(report(listing(group(SQL, 1, issue())), by_cwe, found=1))).tasks(Op.PASS)


def test_counted_categories_fail_their_tasks(write: Write) -> None:
    """A category with issues that are counted and not listed sets its tasks to fail."""
    sections = (
        listing(group(SQL, 1, issue()), refinement="[fortify priority order]:critical"),
        listing(group(SQL, 3), group("Path Manipulation (2 Hidden)", 4)),
        listing(group("&lt;none&gt;", 7), axis="Analysis"),
    )
    run = Import(write(report(*sections)))
    assert run.ctx.totals["findings"] == 7
    assert len(run.tasks(Op.FAIL)) == 2
    assert "It lists 1 of 7 issues." in run.ctx.message


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param(
            (
                listing(
                    group(SQL, 4, issue(tag="Not an Issue"), audited={"Not an Issue": 4, "Exploitable": 0})
                ),
                listing(group("Not an Issue", 4), axis="Analysis"),
            ),
            id="all decided against",
        ),
        pytest.param(
            (listing(group(SQL, 1, issue(tag="Not an Issue"))), listing(group(SQL, 4))), id="not said"
        ),
        pytest.param(
            (
                listing(group(SQL, 4)),
                listing(group("Not an Issue", 1), group("&lt;none&gt;", 3), axis="Analysis"),
            ),
            id="some, of no known category",
        ),
    ],
)
def test_counted_issues_may_be_decided_against(write: Write, sections: tuple[str, ...]) -> None:
    """Issues that are only counted fail nothing where people may have decided against them."""
    run = Import(write(report(*sections)), memory={})
    assert run.changes == []


# --- bad input ---------------------------------------------------------------------------

TEMPLATE = report(listing(""), found="$TOTAL_FINDINGS$", label="$PROJECT_BUILD_LABEL$")
WHOLE = report(listing(group(SQL, 1, issue())))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("", "scan.xml is empty", id="empty"),
        pytest.param("no xml", "scan.xml is not XML", id="text"),
        pytest.param(WHOLE[:-40], "scan.xml is cut off: it ends at line", id="cut"),
        pytest.param(WHOLE[:-1], "scan.xml is cut off: it ends at line", id="cut by one byte"),
        pytest.param('<!DOCTYPE r [<!ENTITY a "b">]>' + WHOLE[38:], "declares a document type", id="bomb"),
        pytest.param(
            '<!DOCTYPE r SYSTEM "x.dtd"><ReportDefinition/>', "declares a document type", id="external"
        ),
        pytest.param("<html><body/></html>", "begins with <html>", id="wrong root"),
        pytest.param("<ReportDefinition/>", "without a list of issues and without counts", id="nothing"),
        pytest.param(TEMPLATE, "is a report template, not a report", id="template"),
        pytest.param("%PDF-1.7", "scan.xml is a PDF", id="PDF"),
        pytest.param("<ns2:Audit/>", "scan.xml is an audit.xml", id="audit"),
    ],
)
def test_bad_file(write: Write, content: str, expected: str) -> None:
    """A file that is no whole report plans nothing and fails with what it is and what to do."""
    file = write(content)
    context = RecordingContext(tasks=sample_tasks(), params=FortifyParams(), file=file)
    changes: Iterator[Change] = FortifyFileUpload().plan(context)
    with pytest.raises(BadInput) as raised:
        next(changes)
    assert expected in raised.value.message
    assert str(file.parent) not in raised.value.message
    assert context.remembered == {}


def test_huge_text(write: Write) -> None:
    """A text of 100 MB fails with a sentence."""
    file = write(b"<ReportDefinition><Text>" + b"x" * 100 * MEGABYTE + b"</Text></ReportDefinition>")
    with pytest.raises(BadInput, match="longer than 10 MB"):
        Import(file)


def test_content_counts_not_the_name(write: Write) -> None:
    """A report is a report under any name; what the connection asks for is held to the content."""
    assert Import(write(WHOLE, "report.fpr")).ctx.totals["findings"] == 1
    with pytest.raises(BadInput, match=r"is a report .* asks for an FPR archive"):
        Import(write(WHOLE), {"report_type": "FPR"})


def test_job_without_file() -> None:
    """A job without a file says how to send one."""
    context = RecordingContext(tasks=[], params=FortifyParams())
    with pytest.raises(BadInput, match="has no file"):
        list(FortifyFileUpload().plan(context))


# --- parameters and check ----------------------------------------------------------------


def test_params_of_the_seeds() -> None:
    """What the documented API puts into an upload connection is taken, ids or names."""
    given = {"file_upload": "a.xml", "sde_project": 1001, "sde_application": "Shop", "sde_businessunit": 3}
    params = FortifyParams.model_validate({**given, "task_status_mapping": "{}", "flaws_only": "False"})
    assert (params.file_upload, params.sde_project, params.sde_application) == ("a.xml", 1001, "Shop")
    assert FortifyParams.model_validate({"report_file": "b.xml"}).file_upload == "b.xml"
    assert params.import_blacklist == ("Not an Issue",)


def test_every_parameter_is_described() -> None:
    """Each parameter says what it is for."""
    assert all(field.description for field in FortifyParams.model_fields.values())


def test_wrong_parameter_is_named() -> None:
    """A value that can't be is refused with the parameter's name."""
    with pytest.raises(ValidationError, match="import_behaviour"):
        FortifyParams.model_validate({"import_behaviour": "overwrite"})


def test_check_has_nothing_to_reach() -> None:
    """Testing an upload connection succeeds and says that there is no server."""
    steps = list(FortifyFileUpload().check(RecordingContext(tasks=[], params=FortifyParams())))
    assert all(step.ok for step in steps)
    assert "none to test" in steps[-1].message
