"""Links: what things are over there, kept with the change that tells."""

from typing import Any

from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, Op, Target, Values, values_to_json
from runner.model.jobs import Job
from runner.store import changes, links
from tests.contract.desk import NOW, Desk, planned

DONE, FAILED = ChangeState.DONE, ChangeState.FAILED


def outcome(sequence: int, state: ChangeState, *, assigned: Values | None = None) -> OutcomeRow:
    """What became of one change, and what the target gave."""
    return OutcomeRow(sequence, state, "", values_to_json(assigned))


def settled(desk: Desk, job: Job, *outcomes: OutcomeRow, kinds: tuple[str, ...] = ("item",)) -> None:
    """Record outcomes and what they tell of things over there, as a run does."""
    desk.do(changes.settle, job.id, outcomes, now=NOW)
    desk.do(links.learn, job, [row.sequence for row in outcomes], kinds=kinds)


def known(desk: Desk, job: Job, kind: str = "item") -> dict[str, Any]:
    """All links of the job's connection."""
    found: dict[str, Any] = {}
    after: str | None = ""
    while after is not None:
        page, after = desk.ask(links.page, job.connection_id, kind, after=after, limit=2)
        found |= {row["key"]: row["values"] for row in page}
    return found


def test_what_is_assigned_is_kept_by_key(desk: Desk) -> None:
    """What the target gave to things that are done is there, page by page, and nothing else."""
    job = desk.running()
    desk.plan(job, *(planned(n, Op.CREATE, kind="item") for n in range(1, 7)))
    done = [outcome(n, DONE, assigned={"ref": f"/item/{n}"}) for n in range(1, 5)]
    settled(desk, job, *done, outcome(5, FAILED), outcome(6, DONE))
    assert known(desk, job) == {f"key-{n}": {"ref": f"/item/{n}"} for n in range(1, 5)}


def test_only_the_kinds_that_are_asked_for_are_kept(desk: Desk) -> None:
    """A connector that names no kind leaves no rows."""
    job = desk.running()
    desk.plan(job, planned(1, Op.CREATE, kind="item"))
    settled(desk, job, outcome(1, DONE, assigned={"ref": "/item/1"}), kinds=())
    assert known(desk, job) == {}


def test_a_later_change_replaces_a_link_and_a_deletion_takes_it_away(desk: Desk) -> None:
    """The last that was told counts, in the next run too."""
    job = desk.running()
    desk.plan(job, planned(1, Op.CREATE, kind="item", key="a"), planned(2, Op.CREATE, kind="item", key="b"))
    settled(desk, job, outcome(1, DONE, assigned={"ref": "old"}), outcome(2, DONE, assigned={"ref": "other"}))
    desk.plan(
        job,
        planned(3, Op.UPDATE, kind="item", key="a"),
        planned(4, Op.DELETE, kind="item", key="b", after=None, proof="source"),
    )
    settled(desk, job, outcome(3, DONE, assigned={"ref": "new"}), outcome(4, DONE))
    assert known(desk, job) == {"a": {"ref": "new"}}


def test_a_change_on_the_platform_is_kept_without_values(desk: Desk) -> None:
    """Nothing is assigned there, and that it was made is known all the same."""
    job = desk.running()
    desk.plan(job, planned(1, Op.CREATE, kind="note", key="7-T1", target=Target.PLATFORM))
    settled(desk, job, outcome(1, DONE), kinds=("note",))
    assert known(desk, job, "note") == {"7-T1": {}}


def test_connections_have_links_of_their_own(desk: Desk) -> None:
    """What one connection knows is nothing to another."""
    job, other = desk.running(), desk.running()
    desk.plan(job, planned(1, Op.CREATE, kind="item"))
    settled(desk, job, outcome(1, DONE, assigned={"ref": "/item/1"}))
    assert known(desk, other) == {}
