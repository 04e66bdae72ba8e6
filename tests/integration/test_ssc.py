"""Fortify SSC over HTTP, against the simulator: versions, uploads in every state, pages, what may pass."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runner.connectors.ssc.connector import FortifySsc
from runner.connectors.ssc.params import SscParams
from runner.errors import AccessDenied, BadInput, ConfigRejected, RunnerError, TryLater
from runner.model.changes import Change, Op
from runner.model.platform import Task
from simulators.ssc.server import TOKEN, Center, Version
from tests.unit.recording import RecordingContext, make_task


@pytest.fixture
def center() -> Iterator[Center]:
    """A center with one version, one issue of it, and the upload behind that."""
    version = Version(id=10001, project="Webshop", name="2.0")
    version.find(1, "SQL Injection")
    version.upload(8)
    made = Center(versions=[version]).start()
    yield made
    made.stop()


class Run:
    """One import from a center, as it was planned."""

    def __init__(self, center: Center, after: "Run | None" = None, **params: Any) -> None:
        values = {
            "ssc_server": center.address,
            "ssc_method": "http",
            "ssc_authtoken": TOKEN,
            "ssc_project_name": "Webshop",
            "ssc_project_version": "2.0",
            **params,
        }
        memory: dict[str, Any] = {} if after is None else {**after.ctx.memory, **after.ctx.remembered}
        self.tasks: list[Task] = tasks() if after is None else after.then()
        self.ctx: RecordingContext = RecordingContext(
            tasks=self.tasks, params=SscParams.model_validate(values), memory=memory
        )
        self.changes: list[Change] = list(FortifySsc().plan(self.ctx))

    @property
    def verdicts(self) -> dict[str, Op]:
        return {change.key: change.op for change in self.changes if change.kind == "verification"}

    def then(self) -> list[Task]:
        """The tasks once the plan was applied."""
        new = {c.key: c.after or {} for c in self.changes if c.kind == "verification"}
        return [
            replace(
                task,
                verification_status=new[task.id]["verification_status"],
                results=new[task.id]["results"],
            )
            if task.id in new
            else task
            for task in self.tasks
        ]


def tasks() -> list[Task]:
    return [
        make_task("T1", categories=("SQL Injection",)),
        make_task("T2", categories=("Path Manipulation",)),
        make_task("T193", catch_all=True),
    ]


def refused(center: Center, **params: Any) -> RunnerError:
    """Why a run ends before it plans anything; the token stands in no part of it."""
    with pytest.raises(RunnerError) as caught:
        Run(center, **params)
    token = str(params.get("ssc_authtoken", TOKEN))
    assert token not in f"{caught.value.message} {caught.value.detail}"
    return caught.value


def test_every_page_of_issues_is_read(center: Center) -> None:
    """Issues past the first page count; the token travels in a header only."""
    for number in range(2, 1203):
        center.versions[0].find(number, "SQL Injection")
    run = Run(center)
    assert run.verdicts == {"7-T1": Op.FAIL, "7-T2": Op.PASS, "7-T193": Op.PASS}
    assert "The Fortify version Webshop 2.0 has 1202 findings" in run.ctx.message
    assert not any(TOKEN in line for line in center.log)
    change = next(c for c in run.changes if c.key == "7-T1")
    assert change.after is not None
    assert change.after["results"] == {"fortify": "fail"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"suppressed": True}, "1 left out as suppressed"),
        ({"hidden": True}, "1 left out as hidden"),
        ({"primaryTag": "not an issue"}, '1 left out as "Not an Issue"'),
    ],
)
def test_what_people_decided_is_left_out(center: Center, fields: dict[str, Any], says: str) -> None:
    """Suppressed and hidden issues and those tagged as none don't count, and the message says so."""
    center.versions[0].find(2, "Path Manipulation", **fields)
    run = Run(center)
    assert run.verdicts["7-T2"] is Op.PASS
    assert says in run.ctx.message


def test_one_instance_of_two_rules_is_two_issues(center: Center) -> None:
    """An instance's id alone doesn't tell issues apart."""
    center.versions[0].find(1, "Path Manipulation", primaryRuleGuid="OTHER")
    assert Run(center).verdicts["7-T2"] is Op.FAIL


@pytest.mark.parametrize("hide", [1, 3])
def test_fewer_than_counted_pass_nothing(center: Center, hide: int) -> None:
    """A list that ends before its count is a part."""
    for number in range(2, 12):
        center.versions[0].find(number, "SQL Injection")
    center.hide = hide
    run = Run(center)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert f"It gave {11 - hide} of 11" in run.ctx.message


def test_a_walk_over_moving_ground_begins_again(center: Center) -> None:
    """Where an issue goes away on an earlier page, none of those that follow is missed."""
    version = center.versions[0]
    for number in range(2, 702):
        version.find(number, "SQL Injection")
    version.find(999, "Path Manipulation")

    def remove_the_first(path: str, number: int) -> None:
        if path.endswith("/issues") and number == 1:
            del version.issues[0]

    center.before_answer = remove_the_first
    run = Run(center)
    assert run.ctx.totals["findings"] == 701
    assert run.verdicts["7-T2"] is Op.FAIL


# --- uploads -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["PROCESSING", "SCHED_PROCESSING"])
def test_an_upload_in_the_works_is_waited_for(center: Center, status: str) -> None:
    """The run ends for now and is tried again, rather than to read half a result."""
    center.versions[0].upload(9, status)
    caught = refused(center)
    assert isinstance(caught, TryLater)
    assert caught.retry_after == 60


def test_an_upload_without_approval_is_refused(center: Center) -> None:
    """What waits for a person is told to one."""
    center.versions[0].upload(9, "REQUIRE_AUTH")
    caught = refused(center)
    assert isinstance(caught, ConfigRejected)
    assert "Approve it there" in caught.message


@pytest.mark.parametrize("status", ["ERROR_PROCESSING", "AUTH_DENIED"])
def test_an_upload_that_failed_passes_nothing(center: Center, status: str) -> None:
    """The issues of before stand, and silence says nothing."""
    center.versions[0].upload(9, status)
    run = Run(center)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert f"it is {status}" in run.ctx.message


def test_silence_passes_after_a_new_upload_only(center: Center) -> None:
    """An issue that went away turns its task to pass once a newer scan was taken up."""
    first = Run(center)
    center.versions[0].issues.clear()
    assert Run(center, first).changes == []
    center.versions[0].upload(9)
    assert Run(center, first).verdicts == {"7-T1": Op.PASS}


def test_a_version_without_uploads_passes_nothing(center: Center) -> None:
    """Nothing was ever scanned, so nothing is clean."""
    center.versions[0].issues.clear()
    center.versions[0].artifacts.clear()
    run = Run(center)
    assert run.changes == []
    assert "No scan of it has completed yet" in run.ctx.message


# --- versions ----------------------------------------------------------------------------


def test_versions_are_found_by_names_or_id(center: Center) -> None:
    """Both names decide; the id does without them."""
    center.versions.append(Version(id=10002, project="Bank", name="2.0"))
    assert Run(center).verdicts["7-T1"] is Op.FAIL
    by_id: dict[str, Any] = {"ssc_project_name": "", "ssc_project_version": "", "ssc_version_id": 10001}
    assert Run(center, **by_id).verdicts["7-T1"] is Op.FAIL
    caught = refused(center, ssc_project_name="Shop")
    assert isinstance(caught, ConfigRejected)
    assert "a version of that name exists in Bank, Webshop" in caught.message
    center.versions.append(Version(id=10003, project="Webshop", name="2.0"))
    assert "10001, 10003. Set ssc_version_id" in refused(center).message


def test_an_inactive_version_passes_nothing(center: Center) -> None:
    """A version that was put away is read, and nothing is concluded from its silence."""
    center.versions[0].active = False
    run = Run(center)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert "not active in SSC" in run.ctx.message


# --- bad days ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["503", "dropped"])
def test_a_bad_moment_is_waited_for(center: Center, kind: str) -> None:
    """A server that is just starting, and a connection that breaks, are asked again."""
    center.troubles.append(kind)
    assert Run(center).verdicts["7-T1"] is Op.FAIL


def test_a_bad_day_ends_the_run(center: Center) -> None:
    """A page for people, and a token that is refused, end it; the echoed token is masked."""
    center.troubles.append("page for people")
    assert isinstance(refused(center), BadInput)
    assert isinstance(refused(center, ssc_authtoken="another-token-of-somebody"), AccessDenied)


def test_the_connection_test_goes_step_by_step(center: Center) -> None:
    """It says which version it is, what was uploaded and how much there is."""
    ctx = RecordingContext(tasks=[], params=Run(center).ctx.params)
    steps = list(FortifySsc().check(ctx))
    assert [(step.name, step.ok) for step in steps] == [
        ("version", True),
        ("uploads", True),
        ("issues", True),
    ]
    assert steps[2].message == "There are 1."
    center.versions.clear()
    assert [step.ok for step in FortifySsc().check(ctx)] == [False]
