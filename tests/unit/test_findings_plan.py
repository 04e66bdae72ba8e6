"""The plan of an import: what changes, what must not, and what is said of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from runner.errors import ConfigRejected
from runner.findings.finding import Finding, Severity, Weakness
from runner.findings.params import AnalysisParams
from runner.findings.plan import plan_import
from runner.findings.scan import Scan
from runner.findings.tally import Tally
from runner.model.changes import Change, Op, values_to_json
from runner.model.platform import Meaning, Task, Verification
from tests.unit.recording import RecordingContext, make_task

SQL = Weakness(category="SQL Injection", cwes=(89,))
XSS = Weakness(category="Cross-Site Scripting: Reflected", cwes=(79,))
ODD = Weakness(category="Something New")
SCAN = Scan(scanner="fortify", name="Fortify", ref="shop-1", clues={"label": "shop-1"}, listed=2)


def finding(weakness: Weakness = SQL, identity: str = "a", **fields: Any) -> Finding:
    return Finding(
        weakness=weakness, identity=identity, severity=Severity.HIGH, location="a.java:1", **fields
    )


def tasks() -> list[Task]:
    return [
        make_task("T1", cwes=(89,)),
        make_task("T2", categories=("Cross-Site Scripting",)),
        make_task("T3", cwes=(22,)),
        make_task("T4"),
        make_task("T5", phase="testing", cwes=(89,)),
        make_task("T193", catch_all=True),
    ]


class Import:
    """One import into a project, as it was planned."""

    def __init__(
        self,
        *findings: Finding,
        scan: Scan = SCAN,
        params: Mapping[str, Any] | None = None,
        on: list[Task] | None = None,
        **context: Any,
    ) -> None:
        tally = Tally()
        for one in findings:
            tally.add(one)
        self.tasks = tasks() if on is None else on
        self.ctx = RecordingContext(tasks=self.tasks, **context)
        self.changes = list(plan_import(self.ctx, scan, tally, AnalysisParams(**(params or {}))))

    @property
    def verdicts(self) -> dict[str, Op]:
        return {change.key: change.op for change in self.changes if change.kind == "verification"}

    def change(self, key: str) -> Change:
        return next(change for change in self.changes if change.key == key)

    def after(self) -> list[Task]:
        """The tasks once the plan was applied."""
        values = {c.key: c.after or {} for c in self.changes if c.kind == "verification"}
        return [
            replace(
                task,
                verification_status=values[task.id]["verification_status"],
                results=values[task.id]["results"],
                status=values[task.id].get("status", task.status),
                meaning=Meaning.DONE if values[task.id].get("status") == "TS1" else task.meaning,
            )
            if task.id in values
            else task
            for task in self.tasks
        ]

    def memory(self) -> dict[str, Any]:
        """What the connection remembers, through the store's JSON."""
        memory: dict[str, Any] = json.loads(json.dumps({**self.ctx.memory, **self.ctx.remembered}))
        return memory


def follow(first: Import, *findings: Finding, **more: Any) -> Import:
    """The next import, once ``first`` was applied."""
    return Import(*findings, on=first.after(), memory=first.memory(), **more)


def test_findings_fail_and_silence_passes() -> None:
    """Tasks with findings fail; covered ones without pass; uncovered and testing ones stay."""
    run = Import(finding(), finding(identity="b"))
    assert run.verdicts == {"7-T1": Op.FAIL, "7-T2": Op.PASS, "7-T3": Op.PASS, "7-T193": Op.PASS}
    assert run.change("7-T2").after["verification_status"] == "pass"  # type: ignore[index]
    assert run.change("7-T3").after["verification_status"] == "partial"  # type: ignore[index]
    assert run.change("7-T3").proof is not None


def test_session_comes_first_and_notes_name_it() -> None:
    """One session per run, before its notes, which refer to the id it will get."""
    run = Import(finding())
    session = run.changes[0]
    assert (session.op, session.kind, session.key) == (Op.CREATE, "analysis-session", "shop-1#u-1")
    assert session.after == {"project": 7, "analysis_ref": "shop-1", "analysis_type": "fortify"}
    written = json.loads(values_to_json(run.change("7-T1").after) or "")
    assert written["note"]["session"] == {"$assigned": ["analysis-session", "shop-1#u-1", "id"]}
    assert written["note"]["findings"] == [
        {"count": 1, "desc": "SQL Injection", "cwe": [89], "severity": "High", "examples": ["a.java:1"]}
    ]
    assert "SQL Injection: 1 finding (High, CWE-89), as in a.java:1" in written["note"]["text"]
    assert written["results"] == {"fortify": "fail"}


def test_again_plans_nothing() -> None:
    """The same findings in any order, once applied, plan nothing at all, not even a session."""
    first = Import(finding(), finding(XSS, "b"))
    again = follow(first, finding(XSS, "b"), finding())
    assert first.changes
    assert again.changes == []
    assert follow(again, finding(), finding(XSS, "b")).changes == []


def test_moved_lines_are_no_news() -> None:
    """A finding on another line is the same finding."""
    first = Import(finding())
    assert follow(first, finding()._replace(location="a.java:99")).changes == []


def test_other_findings_with_the_same_status_update_the_note() -> None:
    """A task that stays at fail with other findings gets a new note, and nothing else changes."""
    again = follow(Import(finding()), finding(identity="other"))
    assert again.verdicts == {"7-T1": Op.UPDATE}
    assert again.change("7-T1").before == {
        "verification_status": Verification.FAIL,
        "results": {"fortify": Verification.FAIL},
    }


def test_changed_by_hand_is_set_back() -> None:
    """A task that a person passed although its findings are still there fails again."""
    first = Import(finding())
    on = [replace(task, verification_status=Verification.PASS) for task in first.after()]
    again = Import(finding(), on=on, memory=first.memory())
    assert again.verdicts["7-T1"] is Op.FAIL


def test_fixed_findings_pass() -> None:
    """A task whose findings are gone from a whole report passes, on proof."""
    again = follow(Import(finding(), finding(XSS, "b")), finding(XSS, "b"))
    assert again.verdicts == {"7-T1": Op.PASS}
    assert again.change("7-T1").proof is not None


def test_unmapped_are_counted_and_named() -> None:
    """Findings that match nothing go to the catch-all task and are named in the message."""
    run = Import(finding(), finding(ODD, "b"), finding(ODD, "c"))
    assert run.verdicts["7-T193"] is Op.FAIL
    assert "1 matches 1 task; 2 match none (Something New) and go to T193." in run.ctx.message
    assert run.ctx.totals == {
        "findings": 3,
        "mapped": 1,
        "unmapped": 2,
        "suppressed": 0,
        "tasks_failed": 2,
        "tasks_passed": 2,
    }


def test_message_names_a_few_only() -> None:
    """A hundred unmapped categories make no hundred names."""
    odd = [finding(Weakness(category=f"Odd {n:03}"), str(n)) for n in range(100)]
    message = Import(finding(), *odd).ctx.message
    assert "and 95 more" in message
    assert len(message) < 500


def test_nowhere_to_go_fails_the_job() -> None:
    """Findings of which none has a task, and no catch-all, end the job with nothing planned."""
    with pytest.raises(ConfigRejected, match="None of the 1 findings matches a task of the project Webshop"):
        Import(finding(ODD), on=[make_task("T1", cwes=(89,))])


# --- nothing passes from nothing ---------------------------------------------------------


def test_incomplete_report_only_fails() -> None:
    """A report that lists fewer issues than it counts sets tasks to fail and none to pass."""
    first = Import(finding(), finding(XSS, "b"))
    part = follow(first, finding(XSS, "c"), scan=replace(SCAN, shortfall="It lists 1 of 8 issues."))
    assert part.verdicts == {"7-T2": Op.UPDATE}
    assert "No task was set to pass. It lists 1 of 8 issues." in part.ctx.message
    assert part.ctx.readings[0].why == "It lists 1 of 8 issues."
    assert part.ctx.readings[0].additions_hold
    # What it didn't speak of stands as before, so the whole report again is no news there.
    assert follow(part, finding(), finding(XSS, "c")).changes == []


def test_another_project_only_fails() -> None:
    """A report of another project than last time passes nothing, until it is imported again."""
    first = Import(finding())
    other = replace(SCAN, clues={"label": "payroll-1"})
    run = follow(first, finding(XSS, "b"), scan=other)
    assert run.verdicts == {"7-T2": Op.FAIL}
    assert "another project (payroll-1) than the last import (shop-1)" in run.ctx.message
    assert Op.PASS in follow(run, finding(XSS, "b"), scan=other).verdicts.values()


@pytest.mark.parametrize(
    "clues",
    [
        {"label": "shop-2.0.17"},
        {"label": "other", "name": "Web Shop"},
        {"folder": "/build/17"},
        {},
    ],
)
def test_same_project_with_another_version(clues: dict[str, str]) -> None:
    """Versions in labels, one clue that agrees, or none to compare leave it the same project."""
    first = Import(finding(), scan=replace(SCAN, clues={"label": "shop-1.9", "name": "web shop"}))
    run = follow(first, finding(XSS, "b"), scan=replace(SCAN, clues=clues))
    assert run.verdicts["7-T1"] is Op.PASS


EMPTY = replace(SCAN, listed=0)


def test_empty_report_wants_a_second_word() -> None:
    """A report without an issue passes nothing the first time and says what to do; again, it passes."""
    first = Import(finding())
    empty = follow(first, scan=EMPTY)
    assert empty.changes == []
    assert "It lists no issue at all. If that is right, import it again" in empty.ctx.message
    assert follow(empty, scan=EMPTY).verdicts == {"7-T1": Op.PASS}


def test_schedule_doesn_t_confirm() -> None:
    """A run nobody started is no second word; one that a person confirmed stays confirmed."""
    empty = follow(Import(finding()), scan=EMPTY)
    scheduled = follow(empty, scan=EMPTY, automatic=True)
    assert scheduled.changes == []
    by_hand = follow(scheduled, scan=EMPTY)
    assert by_hand.verdicts == {"7-T1": Op.PASS}
    assert "lists no issue" not in follow(by_hand, scan=EMPTY, automatic=True).ctx.message


def test_confirm_empty_takes_it_at_its_word() -> None:
    """With ``confirm_empty`` a report without an issue passes at once."""
    assert follow(Import(finding()), scan=EMPTY, params={"confirm_empty": "True"}).verdicts == {
        "7-T1": Op.PASS
    }


def test_first_empty_report_passes_nothing() -> None:
    """Without an earlier import there is nothing to compare with, so an empty report passes nothing."""
    assert Import(scan=EMPTY).changes == []


FIRST = datetime(2026, 3, 1, 10, tzinfo=UTC)
LATER = FIRST + timedelta(days=1)


def live(completed: datetime | None, *, listed: int = 0) -> Scan:
    """What a scanner says of itself as it is now."""
    return replace(SCAN, noun="site", live=True, completed=completed, listed=listed)


@pytest.mark.parametrize("listed", [0, 1])
def test_live_source_passes_after_a_new_scan_only(listed: int) -> None:
    """What a live source no longer mentions passes once a scan newer than the last import has ended."""
    rest = [finding(XSS)] * listed
    first = Import(finding(), *rest, scan=live(FIRST, listed=1 + listed))
    gone = follow(first, *rest, scan=live(FIRST, listed=listed))
    assert gone.changes == []
    assert "No scan of it has completed since the last import" in gone.ctx.message
    scanned = follow(gone, *rest, scan=live(LATER, listed=listed))
    assert scanned.verdicts == {"7-T1": Op.PASS}
    assert "The Fortify site shop-1 has" in scanned.ctx.message


def test_live_source_without_a_scan_passes_nothing() -> None:
    """Where no scan has ever completed, silence says nothing; what was found is true all the same."""
    begun = Import(finding(), scan=live(None, listed=1))
    assert begun.verdicts == {"7-T1": Op.FAIL}
    assert "No scan of it has completed yet" in begun.ctx.message
    assert follow(begun, scan=live(FIRST)).verdicts["7-T1"] is Op.PASS


def test_a_scan_counts_when_its_silence_was_taken() -> None:
    """A run that passed nothing leaves the scan for the next one to conclude from."""
    first = Import(finding(), scan=live(FIRST, listed=1))
    cut = follow(first, scan=replace(live(LATER), shortfall="It lists 0 of 1."))
    assert cut.changes == []
    only = follow(cut, scan=live(LATER), params={"flaws_only": True})
    assert only.changes == []
    assert follow(only, scan=live(LATER)).verdicts["7-T1"] is Op.PASS


def test_all_decided_against_is_not_empty() -> None:
    """A report whose issues people have all decided against shows a scan that worked."""
    run = follow(
        Import(finding()), scan=replace(SCAN, listed=3, suppressed=3, suppressed_as='"Not an Issue"')
    )
    assert run.verdicts == {"7-T1": Op.PASS}
    assert '3 left out as "Not an Issue"' in run.ctx.message


def test_nothing_matched_passes_nothing() -> None:
    """A report none of whose findings any task answers to judges no task by its silence."""
    assert Import(finding(ODD)).verdicts == {"7-T193": Op.FAIL}


def test_flaws_only_passes_nothing() -> None:
    """``flaws_only`` leaves tasks without findings alone."""
    assert Import(finding(), params={"flaws_only": "TRUE"}).verdicts == {"7-T1": Op.FAIL}


# --- settings ----------------------------------------------------------------------------


def test_replace_scanner_keeps_another_scanner_s_fail() -> None:
    """What another scanner found stands, though this one is silent."""
    on = [make_task("T1", cwes=(89,)), replace(tasks()[1], results={"whitehat": Verification.FAIL})]
    run = Import(finding(), on=on, params={"import_behaviour": "replace-scanner"})
    after = run.change("7-T2").after
    assert after is not None
    assert after["verification_status"] == "fail"
    assert after["results"] == {"whitehat": "fail", "fortify": "pass"}


def test_task_status_follows_by_meaning() -> None:
    """A result sets the task's status, unless a status of the site's own means the same."""
    done = {"status": "TS1", "meaning": Meaning.DONE}
    own = {"status": "CTS9", "meaning": Meaning.TODO}
    on = [
        make_task("T1", cwes=(89,), **done),
        make_task("T2", cwes=(89,), **own),
        make_task("T3", categories=("x",)),
    ]
    run = Import(finding(), on=on, params={"task_status_mapping": '{"fail": "TODO", "pass": "done"}'})
    assert run.change("7-T1").before["status"] == "TS1"  # type: ignore[index]
    assert run.change("7-T1").after["status"] == "TS2"  # type: ignore[index]
    assert "status" not in run.change("7-T2").after  # type: ignore[operator]
    assert run.change("7-T3").after["status"] == "TS1"  # type: ignore[index]


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ("{", "JSON object"),
        ("[1]", "has to be an object"),
        ('{"fail": "DONE"}', "only to TODO"),
        ('{"pass": "NA"}', "only to TODO or DONE"),
        ('{"passed": "DONE"}', "'passed' is no result"),
    ],
)
def test_bad_status_mapping_is_named(mapping: str, named: str) -> None:
    """A status mapping that can't be is refused with what is wrong in it."""
    with pytest.raises(ValidationError, match=named):
        AnalysisParams(task_status_mapping=mapping)  # type: ignore[arg-type]


def test_empty_settings_are_defaults() -> None:
    """Empty text and null, as forms and the API send them, mean the default."""
    empty = AnalysisParams.model_validate(
        {"import_behaviour": "", "task_status_mapping": "{}", "flaws_only": None}
    )
    assert empty == AnalysisParams()


def test_only_one_task() -> None:
    """A run for one task touches no other and leaves the connection's memory alone."""
    run = Import(finding(), finding(XSS, "b"), only="T2")
    assert run.verdicts == {"7-T2": Op.FAIL}
    assert run.ctx.remembered == {}
    with pytest.raises(ConfigRejected, match="no task T99"):
        Import(finding(), only="T99")


def test_memory_of_another_version_is_ignored() -> None:
    """What a connection remembers in a shape that isn't known counts as nothing."""
    for odd in (
        {"analysis": "x"},
        {"analysis": {"listed": "many"}},
        {"analysis": {"listed": 1, "digests": []}},
    ):
        assert Import(finding(), memory=odd).verdicts["7-T1"] is Op.FAIL


def test_notes_are_bounded() -> None:
    """Ten thousand sorts of findings on one task make one note of a bounded size."""
    many = [finding(Weakness(category=f"{n:05} " + "x" * 500, cwes=(89,)), str(n)) for n in range(10_000)]
    after = Import(*many).change("7-T1").after
    assert after is not None
    assert len(after["note"]["findings"]) == 51
    assert sum(entry["count"] for entry in after["note"]["findings"]) == 10_000
    assert len(after["note"]["text"]) < 5000


# --- the connection's own mapping, and what is kept to be looked at --------------------------

MAPPING = "Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence\n"


def test_mapping_comes_before_all_else() -> None:
    """The connection's mapping decides, before CWEs and categories; its confidence holds for silence."""
    run = Import(finding(), mapping=MAPPING + "T4,,sql injection,,high\nT3,,Log Forging,,high\n")
    assert run.verdicts["7-T4"] is Op.FAIL
    assert run.change("7-T3").after["verification_status"] == "pass"  # type: ignore[index]
    assert run.verdicts["7-T1"] is Op.PASS


def test_custom_task_is_not_a_library_task() -> None:
    """A rule for T8 says nothing of CT8."""
    on = [make_task("CT8", cwes=(22,)), make_task("T193", catch_all=True)]
    run = Import(finding(), on=on, mapping=MAPPING + "T8,,SQL Injection,,high\n")
    assert run.verdicts.get("7-CT8") is not Op.FAIL


def test_mapping_that_cannot_be_used_is_named() -> None:
    """A mapping with a wrong line fails the run with the line, before anything is planned."""
    with pytest.raises(ConfigRejected, match="line 2 names no weakness"):
        Import(finding(), mapping=MAPPING + "T4,,,,\n")


def test_findings_are_kept_by_sort() -> None:
    """Each sort of finding is told once, the worst first, with where it went and why."""
    run = Import(finding(), finding(identity="b"), finding(ODD, identity="c"))
    assert [(row.category, row.number, row.via, row.mapped, row.tasks) for row in run.ctx.rows] == [
        ("SQL Injection", 2, "cwe", True, ["T1"]),
        ("Something New", 1, "catch_all", False, ["T193"]),
    ]
    assert run.ctx.rows[0].examples == ["a.java:1"]
