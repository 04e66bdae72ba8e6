"""The boundary: what a plan may take away without a person, and what it says when it may not."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from runner.engine.attempt import Attempt
from runner.engine.boundary import Case, Planned, Verdict, judge
from runner.errors import CeilingReached, IncompleteRead, Reason, SettingsInvalid
from runner.model.changes import Op, Target
from runner.model.jobs import Job, Kind, State
from runner.settings import Safety
from runner.store.changes import ReadRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
JOB = Job(
    id=7,
    uuid="0",
    kind=Kind.LDAP,
    connection_id=1,
    state=State.RUNNING,
    outcome=None,
    reason=None,
    result_message="",
    automatic=False,
    preview=False,
    only=None,
    user_id=None,
    triggered_by_id=None,
    upload_id=None,
    attempt=1,
    owner="one",
    cancel_requested=False,
    retry_of=None,
    revert_of=None,
    totals={},
    progress="",
    created=NOW,
    started=NOW,
    finished=None,
    last_run=NOW,
)


def read(**fields: Any) -> ReadRow:
    """A reading of a directory with 100 people."""
    values = {"complete": True, "size": 100, "target_size": 100, "additions_hold": False, "why": ""}
    return ReadRow(name="people", **{**values, **fields})


def case(
    *planned: tuple[Op, int],
    approved: int = 0,
    job: Job = JOB,
    target: Target = Target.PLATFORM,
    **fields: Any,
) -> Case:
    """A plan with some numbers of changes."""
    return Case(
        job=job,
        planned=[Planned(op=op, target=target, proof="people", number=number) for op, number in planned],
        reads=fields.pop("reads", [read()]),
        unproven=fields.pop("unproven", 0),
        approved=approved,
        **fields,
    )


def said(verdict: Verdict) -> str:
    """The sentence of a verdict that stops the run at a ceiling."""
    assert isinstance(verdict.stop, CeilingReached)
    return verdict.stop.message


@pytest.mark.parametrize(
    ("number", "safety", "stopped"),
    [
        (5, {"max_destructive": 0, "max_destructive_share": 0.0}, False),
        (6, {"max_destructive": 0}, True),
        (6, {"max_destructive": 0, "destructive_floor": 6}, False),
        (20, {}, False),
        (21, {}, True),
        (21, {"max_destructive_share": 0.5}, False),
        (51, {"max_destructive_share": 1.0, "max_destructive": 50}, True),
    ],
)
def test_destruction_has_a_floor_a_count_and_a_share(
    number: int, safety: dict[str, Any], stopped: bool
) -> None:
    """At the floor nothing stops; above it, more than a count or a share does."""
    verdict = judge(case((Op.DEACTIVATE, number)), Safety(**safety))
    assert (verdict.stop is not None) is stopped


def test_a_stop_gives_the_numbers_and_the_command() -> None:
    """The message says what would have happened, that nothing did, and how to allow it once."""
    text = said(judge(case((Op.DEACTIVATE, 21), (Op.REMOVE_MEMBER, 9), (Op.CREATE, 3)), Safety()))
    assert text == (
        "This run would have 21 deactivated, 9 removed from groups: 30 of 100 (people), and [safety] "
        "max_destructive_share allows 20%. Nothing was written. Look at the plan: `runner jobs changes 7`. "
        "If it is right, allow it once: `runner jobs retry 7 --allow-destructive 30`."
    )


def test_an_approval_has_to_be_large_enough() -> None:
    """What a person allowed is a number; one more stops again."""
    assert judge(case((Op.DELETE, 30), approved=30), Safety()).uses_approval
    assert judge(case((Op.DELETE, 30), approved=29), Safety()).stop is not None
    assert not judge(case((Op.DELETE, 3), approved=30), Safety()).uses_approval


def test_passing_and_creating_too_much_want_an_approval_too() -> None:
    """Each ceiling that the plan is over has to be covered by what a person allowed."""
    passing = case((Op.PASS, 60))
    assert "60 of 100 would be judged clean" in said(judge(passing, Safety(max_pass_share=0.5)))
    assert judge(replace(passing, approved=60), Safety(max_pass_share=0.5)).uses_approval
    creating = case((Op.CREATE, 12), target=Target.OUTSIDE)
    assert "--allow-destructive 12" in said(judge(creating, Safety(max_creates=10)))
    both = case((Op.DELETE, 30), (Op.PASS, 60), approved=60)
    assert "--allow-destructive 90" in said(judge(both, Safety(max_pass_share=0.5)))


def test_after_a_first_run_creations_have_a_ceiling() -> None:
    """A first run may create what it must; from then on many creations at once want a look."""
    many = case((Op.CREATE, 101), target=Target.OUTSIDE)
    assert judge(many, Safety()).stop is None
    assert "max_creates_later allows 100" in said(judge(replace(many, ran_before=True), Safety()))
    assert judge(replace(many, ran_before=True, approved=101), Safety()).uses_approval
    assert judge(replace(many, ran_before=True), Safety(max_creates_later=0)).stop is None


def test_a_connection_s_own_ceiling_is_called_so() -> None:
    """A person is told where the number stands that they would change."""
    text = said(judge(case((Op.DELETE, 30), own=["max_destructive"]), Safety(max_destructive=10)))
    assert "the connection's max_destructive allows 10" in text


def test_a_revert_is_allowed_by_reverting_again() -> None:
    """A revert can't be retried, so the command that allows it names the job it was for."""
    text = said(judge(case((Op.DELETE, 30), job=replace(JOB, revert_of=3)), Safety()))
    assert "`runner jobs revert 3 --allow-destructive 30`" in text


def test_a_preview_gives_no_command_that_would_preview_again() -> None:
    """A retry of a preview is a preview, so its message sends nobody there."""
    text = said(judge(case((Op.DELETE, 30), job=replace(JOB, preview=True)), Safety()))
    assert "retry" not in text
    assert "run it" in text


def test_an_incomplete_read_stops_everything() -> None:
    """A read that was cut proves nothing, whatever the plan is and whatever was allowed."""
    verdict = judge(case((Op.CREATE, 1), reads=[read(complete=False, why="a page is missing")]), Safety())
    assert isinstance(verdict.stop, IncompleteRead)
    assert "People could not be read whole: a page is missing." in verdict.stop.message


def test_additions_of_a_cut_read_are_still_under_a_ceiling() -> None:
    """Where a cut read's additions hold, destruction falls out and the other ceilings stay."""
    cut = [read(complete=False, additions_hold=True)]
    plan = case((Op.DELETE, 50), (Op.CREATE, 12), reads=cut, unproven=50, target=Target.OUTSIDE)
    verdict = judge(plan, Safety())
    assert verdict.stop is None
    assert verdict.drop_destructive is not None
    assert judge(plan, Safety(max_creates=20)).stop is None
    stopped = judge(
        case((Op.CREATE, 12), reads=cut, unproven=50, target=Target.OUTSIDE), Safety(max_creates=10)
    )
    assert "12 would be created" in said(stopped)


def test_ceilings_that_can_t_be_read_stop_the_run() -> None:
    """A connection whose own ceilings mean nothing any more destroys nothing, and says what to correct."""
    attempt = SimpleNamespace(_around=SimpleNamespace(safety=Safety()))
    assert Attempt._safety(attempt, {"max_destructive": 3}).max_destructive == 3  # type: ignore[arg-type]  # stands in
    with pytest.raises(SettingsInvalid) as caught:
        Attempt._safety(attempt, {"max_destroyed": 3})  # type: ignore[arg-type]  # as above
    assert caught.value.reason is Reason.BAD_PARAMS
    assert "max_destroyed: there is no such setting" in caught.value.message
    assert "Nothing was written." in caught.value.message
