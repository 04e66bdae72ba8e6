"""Scans of Fortify, bare and in archives: what is read of them, with their oddities."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.files.fortify import Issue, Packing, Style, fvdl, write_fpr
from tests.unit.fortify_import import Import, shared

SQL = Issue()
XSS = Issue(type="Cross-Site Scripting", subtype="Reflected", cwes=(79,), instance="B" * 32, line=9)

PLAIN = Style()

Scan = Callable[..., Import]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Give a function that imports a bare scan."""

    def read(*issues: Issue, style: Style = PLAIN, **context: object) -> Import:
        file = tmp_path / "scan.xml"
        file.write_bytes(fvdl(issues, style))
        return Import(file, **context)  # type: ignore[arg-type]  # whatever Import takes

    return read


@pytest.fixture
def fpr(tmp_path: Path) -> Scan:
    """Give a function that imports an archive."""

    def read(*issues: Issue, style: Style = PLAIN, **how: object) -> Import:
        params = how.pop("params", None)
        memory = how.pop("memory", None)
        file = write_fpr(tmp_path / "scan.zip", lambda: issues, style, Packing(**how))  # type: ignore[arg-type]
        return Import(file, params, memory=memory)  # type: ignore[arg-type]

    return read


# --- real files ----------------------------------------------------------------------------


def test_shared_archive() -> None:
    """A real archive: four vulnerabilities, one suppressed, one only tagged; CWEs and priorities."""
    run = Import(shared("fortify/hello_world.fpr"))
    assert run.found == {
        "Password Management: Password in Comment": (1, "Low", (615,)),
        "Password Management: Hardcoded Password": (1, "High", (259, 798)),
        "Privacy Violation": (1, "Critical", (359,)),
    }
    assert run.ctx.totals["suppressed"] == 1
    assert 'has 3 findings; 1 left out as suppressed or "Not an Issue".' in run.ctx.message


@pytest.mark.parametrize(("name", "number"), [("OneResultBasic.fpr", 1), ("TwoResultsWithNodeRefs.fvdl", 2)])
def test_shared_scans_without_rules(name: str, number: int) -> None:
    """Real scans without rule data: all is read, and the priority is said to be estimated."""
    run = Import(shared(f"fortify/{name}"))
    assert run.ctx.totals["findings"] == number
    assert "the priority is estimated from severity and confidence" in run.ctx.message


# --- vulnerabilities -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.8", "1.9", "1.10", "1.11", "1.12"])
@pytest.mark.parametrize("namespace", [True, False])
def test_versions(scan: Scan, version: str, namespace: bool) -> None:
    """Each version is read, with or without its namespace, byte order mark and subtype."""
    run = scan(SQL, XSS, style=Style(version=version, namespace=namespace, bom=True))
    assert run.found == {
        "SQL Injection": (1, "High", (89,)),
        "Cross-Site Scripting: Reflected": (1, "High", (79,)),
    }


@pytest.mark.parametrize("priority", ["Critical", "High", "Medium", "Low"])
def test_priority(scan: Scan, priority: str) -> None:
    """Impact and likelihood give the priority."""
    assert scan(Issue(priority=priority)).found["SQL Injection"][1] == priority


def test_probability_of_the_instance_overrides(scan: Scan) -> None:
    """A critical issue whose own probability is low is high."""
    assert scan(Issue(priority="Critical", probability="1.0")).found["SQL Injection"][1] == "High"


def test_without_rules_severity_stands_in(scan: Scan) -> None:
    """Where there is no rule data, severity and confidence give the priority, and the run says so."""
    run = scan(Issue(priority="Low"), style=Style(rules=False))
    assert run.found["SQL Injection"] == (1, "High", ())
    assert "1 finding has no rule data in the file" in run.ctx.message


def test_missing_type(scan: Scan) -> None:
    """A vulnerability without a type is a finding like any other."""
    assert scan(SQL, style=Style(types=False)).found == {"(no category)": (1, "High", (89,))}


def test_same_instance_of_two_rules(scan: Scan) -> None:
    """Ids of instances are not unique: rule and instance tell findings apart, and a repeated pair is one."""
    zeros = "0" * 32
    other = Issue(instance=zeros, type="Log Forging", cwes=(117,))
    assert scan(Issue(instance=zeros), other, other).ctx.totals["findings"] == 2


def test_location_of_a_long_trace(scan: Scan) -> None:
    """The default node says where, however many nodes come before it."""
    run = scan(Issue(path="src/Cart.java", line=41), style=Style(long=True))
    assert run.ctx.rows[0].examples == ["src/Cart.java:41"]


TRACE = (
    "<Vulnerability><ClassInfo><ClassID>R</ClassID><Type>X</Type></ClassInfo><InstanceInfo><InstanceID>I"
    "</InstanceID></InstanceInfo><AnalysisInfo><Unified>{}</Unified></AnalysisInfo></Vulnerability>"
)
POOL = (
    '<UnifiedNodePool><Node id="1"><SourceLocation path="one.c" line="1"/></Node>'
    '<Node id="2" isDefault="true"><SourceLocation path="two.c" line="2"/></Node></UnifiedNodePool>'
)


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        ('<Trace><Primary><Entry><NodeRef id="1"/></Entry></Primary></Trace>', "one.c:1"),
        (
            '<Trace><Primary><Entry><NodeRef id="2"/></Entry><Entry><NodeRef id="1"/></Entry></Primary>'
            "</Trace>",
            "two.c:2",
        ),
        (
            '<Trace><Primary><Entry><Node><SourceLocation path="a.c" line="3"/></Node></Entry></Primary>'
            '</Trace><Trace><Primary><Entry><NodeRef id="2"/></Entry></Primary></Trace>',
            "a.c:3",
        ),
        (
            '<ReplacementDefinitions><LocationDef key="PrimaryLocation" path="b/d.c" line="5"/>'
            "</ReplacementDefinitions>",
            "b/d.c:5",
        ),
        (
            '<ReplacementDefinitions><Def key="PrimaryLocation.file" value="d.c"/></ReplacementDefinitions>'
            '<Trace><Primary><Entry><NodeRef id="77"/></Entry></Primary></Trace>',
            "d.c",
        ),
        (
            '<Context><FunctionDeclarationSourceLocation path="e.c" line="6"/></Context>',
            "e.c:6",
        ),
        ("", None),
    ],
)
def test_other_locations(tmp_path: Path, inside: str, place: str | None) -> None:
    """References to the pool, the last entry, placeholders and the function around say where."""
    file = tmp_path / "scan.fvdl"
    file.write_text(f"<FVDL><Vulnerabilities>{TRACE.format(inside)}</Vulnerabilities>{POOL}</FVDL>")
    assert Import(file).ctx.rows[0].examples == ([] if place is None else [place])


def test_skipped_insides_may_not_mislead(tmp_path: Path) -> None:
    """Source code that quotes the tags of what is left out unparsed loses no finding."""
    text = fvdl([SQL, XSS]).decode()
    tricky = text.replace("if (a < b) &&", "</Text></Snippet></Snippets> <ProgramData> if (a < b)", 1)
    assert tricky != text
    file = tmp_path / "scan.fvdl"
    file.write_text(tricky)
    assert Import(file).ctx.totals["findings"] == 2


# --- archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("audit", ["ns2", "default", "undeclared"])
def test_decisions(fpr: Scan, audit: str) -> None:
    """Suppressed and unwanted issues are left out and counted; others that were looked at stay."""
    issues = [
        Issue(instance="1" * 32, suppressed=True),
        Issue(instance="2" * 32, analysis="not an  Issue"),
        Issue(instance="3" * 32, analysis="1 - Critical"),
        Issue(instance="4" * 32),
    ]
    run = fpr(*issues, audit=audit, style=Style(bom=True))
    assert (run.ctx.totals["findings"], run.ctx.totals["suppressed"]) == (2, 2)
    all_values = fpr(*issues, audit=audit, params={"import_blacklist": "1 - critical, Not an Issue"})
    assert (all_values.ctx.totals["findings"], all_values.ctx.totals["suppressed"]) == (1, 3)


def test_missing_audit(fpr: Scan) -> None:
    """Without audit.xml all is imported, and the run says that decisions aren't known."""
    run = fpr(SQL, audit="none")
    assert run.ctx.totals["findings"] == 1
    assert "scan.zip has no audit.xml" in run.ctx.message


def test_folder_and_thousands_of_members(fpr: Scan) -> None:
    """The scan may stand in a folder, among thousands of other members."""
    issues = [SQL, Issue(instance="2" * 32, suppressed=True)]
    run = fpr(*issues, folder="out/shop/", members=2500)
    assert (run.ctx.totals["findings"], run.ctx.totals["suppressed"]) == (1, 1)


def test_external_metadata_gives_cwes_and_is_remembered(fpr: Scan, tmp_path: Path) -> None:
    """Where rules name no CWE, the archive's own table does, and later reports profit from it."""
    first = fpr(SQL, XSS, style=Style(metadata_cwes=False), external=True)
    assert first.found["Cross-Site Scripting: Reflected"] == (1, "High", (79,))
    later = fpr(SQL, style=Style(metadata_cwes=False), memory=first.ctx.remembered)
    assert later.found["SQL Injection"] == (1, "High", (89,))


def test_webinspect_results_in_an_archive(fpr: Scan) -> None:
    """Dynamic results that were merged into an archive are findings too."""
    issue = b"<Issue><Name>Weak Cipher</Name><Severity>3</Severity></Issue>"
    dynamic = b"<Scan><Name>x</Name><Issues>" + issue + b"</Issues></Scan>"
    run = fpr(SQL, more={"WEBINSPECT.xml": dynamic})
    assert run.found["Weak Cipher"] == (1, "High", ())
    assert run.ctx.totals["findings"] == 2
