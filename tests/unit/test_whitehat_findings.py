"""WhiteHat's records and saved files: what they become, and what is not concluded from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runner.connectors.whitehat.connector import WhiteHatFileUpload
from runner.connectors.whitehat.findings import Translation
from runner.connectors.whitehat.params import WhiteHatFileParams, WhiteHatParams
from runner.errors import BadInput
from runner.findings.finding import Finding, Severity
from runner.model.changes import Change, Op
from tests.unit.recording import RecordingContext, make_task, sample_tasks

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "whitehat"
OPEN = {"id": "7", "class": "SQL Injection", "status": "open"}


def finding(**fields: Any) -> Finding:
    """The finding of a record with these fields."""
    made = Translation(("open",)).finding({**OPEN, **fields})
    assert made is not None
    return made


def vectors(*tags: list[str] | None) -> list[dict[str, Any]]:
    return [{"id": "1"} if one is None else {"id": "1", "scanner_tags": one} for one in tags]


def test_a_record_needs_no_more_than_three_keys() -> None:
    """Everything but id, class and status may be missing."""
    made = finding()
    assert (made.weakness.category, made.weakness.cwes) == ("SQL Injection", (89,))
    assert (made.severity, made.location, made.identity) == (Severity.UNKNOWN, "", "7")


@pytest.mark.parametrize(
    ("fields", "cwes"),
    [
        ({"attack_vectors": vectors(["CWE-310", "x"], None, ["CWE-20", "CWE-310"])}, (310, 20)),
        ({"attack_vectors": []}, (89,)),
        ({"attack_vectors": None}, (89,)),
        ({"attack_vectors": vectors(["error_based"])}, (89,)),
        ({"class": {"name": "Abuse of Functionality"}, "subTypeTags": ["CWE-200"]}, (200,)),
        ({"class": "Abuse of Functionality"}, ()),
    ],
)
def test_cwes_come_from_all_tags_else_from_the_class(fields: dict[str, Any], cwes: tuple[int, ...]) -> None:
    """All vectors count, not the first alone; without a tag the class tells, if it can."""
    assert finding(**fields).weakness.cwes == cwes


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"risk": 2, "custom_risk": 5}, Severity.CRITICAL),
        ({"risk": 2, "custom_risk": None}, Severity.LOW),
        ({"risk": "1", "custom_risk": ""}, Severity.INFO),
        ({"risk": None, "customRisk": 0}, Severity.INFO),
        ({"severity": "5"}, Severity.CRITICAL),
        ({"severity": "3"}, Severity.HIGH),
        ({"likelihoodRating": "High", "impactRating": "Medium", "severity": 1}, Severity.HIGH),
        ({"likelihoodRating": "Low", "impactRating": "Low"}, Severity.INFO),
        ({"risk": 99}, Severity.UNKNOWN),
    ],
)
def test_the_customers_own_rating_counts_first(fields: dict[str, Any], severity: Severity) -> None:
    """Custom risk, else risk, else what the older scales give; numbers may be text."""
    assert finding(**fields).severity is severity


@pytest.mark.parametrize(
    ("fields", "counts_as"),
    [
        ({"status": "closed"}, "closed"),
        ({"status": "reopened"}, "reopened"),
        ({"status": "pen"}, "pen"),
        ({"status": "Out_Of_Scope"}, "out of scope"),
        ({"accepted": 1}, "accepted"),
        ({"customAccepted": True}, "accepted"),
        ({"out_of_scope_reasons": "third party"}, "out of scope"),
    ],
)
def test_what_people_decided_is_left_out(fields: dict[str, Any], counts_as: str) -> None:
    """A status is compared whole; what was accepted doesn't count though it is open."""
    translation = Translation(("open",))
    assert translation.finding({**OPEN, **fields}) is None
    assert translation.left_out == {counts_as: 1}
    assert translation.listed == 1


def test_a_class_has_one_name_however_it_is_spelled() -> None:
    """Names that differ in case are one sort of finding."""
    translation = Translation(("open",))
    made = [
        translation.finding({**OPEN, "id": number, "class": sort})
        for number, sort in ((1, "Cross Site Scripting"), (2, "CROSS SITE  scripting"))
    ]
    assert len({one.weakness for one in made if one}) == 1


def test_the_same_finding_counts_once() -> None:
    """A record that comes twice is one finding."""
    translation = Translation(("open",))
    assert translation.finding(OPEN)
    assert translation.finding({**OPEN, "id": 7}) is None
    assert translation.listed == 1


def test_addresses_keep_no_secret() -> None:
    """Log-ins and queries in an address stay out of notes."""
    made = finding(url="https://me:secret@shop.example:8443/cart?session=abc#x")
    assert made.location == "https://shop.example:8443/cart"


@pytest.mark.parametrize("bad", [{}, {"id": 3}, {"id": 3, "class": "X"}, "text", None, 5])
def test_a_record_that_says_too_little_is_named(bad: object) -> None:
    """It is left aside, the others count, and there is a reason why nothing may pass."""
    translation = Translation(("open",))
    assert translation.finding(bad) is None
    assert translation.finding(OPEN)
    assert translation.listed == 1
    assert "1 of its records can't be read" in translation.shortfall


# --- files -------------------------------------------------------------------------------


class Import:
    """The import of one file into a small project."""

    def __init__(self, path: Path, content: object = None, *, memory: Any = None, **params: Any) -> None:
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        tasks = [
            make_task("T1", cwes=(89,)),
            make_task("T2", categories=("Fingerprinting",)),
            make_task("T3", categories=("Path Traversal",)),
            make_task("T193", catch_all=True),
        ]
        self.ctx = RecordingContext(
            tasks=tasks, file=path, params=WhiteHatFileParams(**params), memory=memory or {}
        )
        self.changes: list[Change] = list(WhiteHatFileUpload().plan(self.ctx))

    @property
    def verdicts(self) -> dict[str, Op]:
        return {change.key: change.op for change in self.changes if change.kind == "verification"}


def page(*records: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    return {"collection": list(records), "page": {"total": len(records) if total is None else total}}


def test_the_saved_sample_is_imported() -> None:
    """One of three findings is open; the file doesn't say that it is whole, so nothing passes."""
    path = SAMPLES / "many_vuln.json"
    if not path.is_file():
        pytest.skip("the sample isn't there")
    run = Import(path)
    assert run.verdicts == {"7-T2": Op.FAIL}
    assert "has 1 finding; 2 left out as closed" in run.ctx.message
    assert "doesn't say how many there are in all" in run.ctx.message
    ctx = RecordingContext(
        tasks=sample_tasks(), file=path, params=WhiteHatFileParams.model_validate({"statuses": "open,closed"})
    )
    changes = list(WhiteHatFileUpload().plan(ctx))
    assert {c.op for c in changes if c.kind == "verification"} == {Op.FAIL}
    assert ctx.totals["findings"] == 3


def test_a_whole_answer_passes_what_it_is_silent_about(tmp_path: Path) -> None:
    """A saved answer that lists as many as it counts is a proof."""
    run = Import(tmp_path / "a.json", page(OPEN))
    assert run.verdicts == {"7-T1": Op.FAIL, "7-T2": Op.PASS, "7-T3": Op.PASS, "7-T193": Op.PASS}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (page(OPEN, total=1200), "It lists 1 of 1200 findings"),
        ([OPEN], "doesn't say how many there are in all"),
        (page(OPEN, {"id": 9}), "can't be read (9 has no class and no status)"),
    ],
)
def test_a_part_passes_nothing(tmp_path: Path, content: object, says: str) -> None:
    """What is there fails its tasks; nothing is concluded from the rest."""
    run = Import(tmp_path / "a.json", content)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert says in run.ctx.message


def test_an_empty_answer_wants_a_second_word(tmp_path: Path) -> None:
    """A file without any finding passes nothing at first."""
    first = Import(tmp_path / "a.json", page(OPEN))
    empty = Import(tmp_path / "b.json", page(), memory=first.ctx.remembered)
    assert empty.changes == []
    assert "lists no issue at all" in empty.ctx.message


XML = """<?xml version="1.0"?>
<vulnerabilities xmlns="http://whitehatsec.com/XML-api-Vuln" {more}>
  <vulnerability id="7" class="SQL Injection" status="open" severity="5" url="https://shop.example/a"
    href="/api/vuln/7" site="93966"><attack_vectors><attack_vector id="1" state="open">
    <request method="GET" url="https://shop.example/a"/></attack_vector></attack_vectors></vulnerability>
  <vulnerability id="8" class="Fingerprinting" status="closed" closed="2026-01-01T00:00:00Z"/>
</vulnerabilities>"""


def test_xml_is_read_like_json(tmp_path: Path) -> None:
    """The v1 XML gives the same findings; without its count it proves nothing."""
    run = Import(tmp_path / "a.xml", XML.format(more='total="2"'))
    assert run.verdicts == {"7-T1": Op.FAIL, "7-T2": Op.PASS, "7-T3": Op.PASS, "7-T193": Op.PASS}
    assert Import(tmp_path / "b.xml", XML.format(more="")).verdicts == {"7-T1": Op.FAIL}


def test_a_narrowed_query_is_a_part_and_its_key_stays_hidden(tmp_path: Path) -> None:
    """XML repeats its query: a filter makes it a part, and the key in there is told to nobody."""
    query = 'total="2" original_query="key=0123456789abcdef&amp;query_severity=5"'
    run = Import(tmp_path / "a.xml", XML.format(more=query))
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert "asked for with query_severity" in run.ctx.message
    assert "0123456789abcdef" not in run.ctx.message + str(run.changes) + str(run.ctx.remembered)


def test_v2_is_read_like_v1(tmp_path: Path) -> None:
    """Findings of the newer form are found by class and tags, and tell their asset."""
    record = {
        "id": 7,
        "class": {"name": "SQL Injection"},
        "asset": {"name": "Shop"},
        "status": "open",
        "subTypeTags": ["CWE-89"],
        "closed": None,
    }
    content = {"collection": [record], "page": {"totalCount": 1, "filteredCount": 1}}
    run = Import(tmp_path / "a.json", content)
    assert run.verdicts["7-T1"] is Op.FAIL
    assert run.verdicts["7-T2"] is Op.PASS
    assert run.ctx.remembered["analysis"]["clues"] == {"asset": "Shop"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("%PDF-1.7", "neither JSON nor XML"),
        ("", "is empty"),
        ('{"message": "no"}', "has no list of findings"),
        ('{"collection": [{"id": 1', "is cut off"),
        ("<sites/>", "begins with <sites>"),
        ("<!DOCTYPE a []><vulnerabilities/>", "declares a document type"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: str, says: str) -> None:
    """What is no answer of WhiteHat fails with what it is and what to send."""
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"a\.json") as caught:
        Import(path)
    assert says in caught.value.message


# --- parameters --------------------------------------------------------------------------


def test_params_are_read_in_both_spellings() -> None:
    """The hosted names and those of the older tool mean the same; empty means unset."""
    hosted = WhiteHatParams.model_validate(
        {
            "asset_name": "WebGoat Java",
            "sde_project": "WhiteHat",
            "sde_businessunit": "General",
            "sde_application": "Demo Application",
            "import_behaviour": "replace-scanner",
            "analysis_server": "",
            "task_status_mapping": "{}",
            "analysis_api_token": "k" * 32,
        }
    )
    older = WhiteHatParams.model_validate(
        {"wh_server": "wh.example:8443", "wh_method": "HTTPS", "wh_api_token": "k" * 32, "asset_id": 93966}
    )
    assert hosted.url == "https://sentinel.whitehatsec.com/api"
    assert older.url == "https://wh.example:8443/api"
    assert older.asset_id == "93966"
    assert hosted.statuses == ("open",)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"asset_name": "A"}, "analysis_api_token is missing"),
        ({"analysis_api_token": "k"}, "asset_name or asset_id is missing"),
        ({"asset_name": "A", "analysis_api_token": "k", "asset_type": "host"}, "'site' or 'application'"),
    ],
)
def test_params_that_can_t_work_are_refused(params: dict[str, Any], says: str) -> None:
    """What is missing is named before anything runs."""
    with pytest.raises(ValidationError, match=says):
        WhiteHatParams.model_validate(params)


def test_asset_type_has_any_case() -> None:
    """Site is site."""
    made = WhiteHatParams.model_validate(
        {"asset_name": "A", "analysis_api_token": "k", "asset_type": " Site"}
    )
    assert made.asset_type == "site"
