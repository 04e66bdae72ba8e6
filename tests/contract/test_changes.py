"""The table of changes: plan, progress, journal."""

from typing import Any

import pytest
import sqlalchemy as sa

from runner.model.changes import DESTRUCTIVE, ChangeState, Op, Target
from runner.model.jobs import Job
from runner.store import changes
from runner.store.changes import ReadRow, Tally
from runner.store.schema import changes as table
from runner.store.schema import jobs
from tests.contract.desk import NOW, Desk, at, outcome, planned

PLANNED, INTENDED, DONE, FAILED, SKIPPED = ChangeState


def read(desk: Desk, job: Job, name: str = "source", **fields: Any) -> None:
    """Say how a reading ended."""
    values: dict[str, Any] = {
        "complete": True,
        "size": 10,
        "target_size": None,
        "additions_hold": False,
        "why": "",
        **fields,
    }
    desk.do(changes.add_read, job, name=name, **values)


# --- plan --------------------------------------------------------------------------------


def test_a_plan_comes_back_as_it_was_told(desk: Desk) -> None:
    """What the journal shows is what the connector planned."""
    job = desk.running()
    desk.plan(
        job,
        planned(1, Op.CREATE, after={"text": "Grüße", "n": [1, None]}, why="It is new.", kind="file"),
        planned(2, Op.DELETE, before={"text": ""}, after=None, proof="source", target=Target.PLATFORM),
    )
    first, second = desk.ask(changes.journal, job.id, after=0, limit=10)
    assert (first.op, first.kind, first.key, first.subject) == (Op.CREATE, "file", "key-1", "Thing 1")
    assert (first.before, first.after, first.why) == (None, {"text": "Grüße", "n": [1, None]}, "It is new.")
    assert (first.target, first.state, first.error, first.assigned) == (Target.OUTSIDE, PLANNED, "", None)
    assert (second.before, second.after, second.target) == ({"text": ""}, None, Target.PLATFORM)


def test_the_journal_comes_in_pages(desk: Desk) -> None:
    """However long it is, it is read from the last number seen."""
    job, other = desk.running(), desk.running()
    desk.plan(job, *(planned(number) for number in range(1, 6)))
    desk.plan(other, planned(1))
    pages = [desk.ask(changes.journal, job.id, after=after, limit=2) for after in (0, 2, 4, 5)]
    assert [[change.sequence for change in page] for page in pages] == [[1, 2], [3, 4], [5], []]


def test_a_number_is_used_once(desk: Desk) -> None:
    """Two changes of a job can't have one number, in whatever attempt."""
    job = desk.running()
    assert desk.ask(changes.last_sequence, job) == 0
    desk.plan(job, planned(1), planned(7))
    assert desk.ask(changes.last_sequence, job) == 7
    with pytest.raises(sa.exc.IntegrityError):
        desk.plan(job, planned(8), planned(7))
    assert desk.ask(changes.last_sequence, job) == 7


def test_changes_go_with_their_job(desk: Desk) -> None:
    """When a job's row is removed, its journal and readings leave no orphans."""
    job = desk.running()
    desk.plan(job, planned(1))
    read(desk, job)
    desk.do(lambda c: c.execute(sa.delete(jobs).where(jobs.c.id == job.id)))
    assert desk.states(job.id) == {}
    assert desk.ask(changes.reads_of, job.id) == []


# --- readings ----------------------------------------------------------------------------


def test_readings_are_remembered(desk: Desk) -> None:
    """How each reading ended is known to the boundary."""
    job = desk.running()
    read(desk, job, "tasks", target_size=60)
    read(desk, job, "report", complete=False, additions_hold=True, why="2 of 3 parts were there")
    assert desk.ask(changes.reads_of, job.id) == [
        ReadRow(
            name="report",
            complete=False,
            size=10,
            target_size=None,
            additions_hold=True,
            why="2 of 3 parts were there",
        ),
        ReadRow(name="tasks", complete=True, size=10, target_size=60, additions_hold=False, why=""),
    ]


def test_of_two_words_on_a_reading_the_worse_counts(desk: Desk) -> None:
    """A reading once told incomplete isn't made whole by saying so again."""
    job = desk.running()
    for name, words in {"better": (False, True), "worse": (True, False)}.items():
        for complete in words:
            read(desk, job, name, complete=complete, why="" if complete else "cut")
    found = desk.ask(changes.reads_of, job.id)
    assert [(row.complete, row.why) for row in found] == [(False, "cut"), (False, "cut")]


# --- what the boundary asks --------------------------------------------------------------


def test_a_plan_is_counted_by_sort(desk: Desk) -> None:
    """The message and the tables rest on one count, in the order of the plan."""
    job = desk.running()
    desk.plan(
        job,
        planned(1, Op.CREATE, kind="b"),
        planned(2, Op.UPDATE, kind="a"),
        planned(3, Op.CREATE, kind="b"),
        planned(4, Op.CREATE, kind="b", target=Target.PLATFORM),
    )
    desk.do(changes.settle, job.id, [outcome(3, FAILED)], now=NOW)
    assert desk.ask(changes.tally, job.id) == [
        Tally(Op.CREATE, "b", Target.OUTSIDE, PLANNED, 1),
        Tally(Op.UPDATE, "a", Target.OUTSIDE, PLANNED, 1),
        Tally(Op.CREATE, "b", Target.OUTSIDE, FAILED, 1),
        Tally(Op.CREATE, "b", Target.PLATFORM, PLANNED, 1),
    ]


def test_a_plan_is_counted_by_what_it_rests_on(desk: Desk) -> None:
    """The boundary knows how much would go by which reading; what is settled counts no more."""
    job = desk.running()
    desk.plan(
        job,
        planned(1, Op.DELETE, proof="source"),
        planned(2, Op.DELETE, proof="source"),
        planned(3, Op.DELETE, proof="other"),
        planned(4, Op.CREATE),
        planned(5, Op.DELETE, proof="source", target=Target.PLATFORM),
    )
    desk.do(changes.settle, job.id, [outcome(2)], now=NOW)
    assert sorted(desk.ask(changes.by_proof, job.id), key=str) == sorted(
        [
            (Op.CREATE, Target.OUTSIDE, None, 1),
            (Op.DELETE, Target.OUTSIDE, "other", 1),
            (Op.DELETE, Target.OUTSIDE, "source", 1),
            (Op.DELETE, Target.PLATFORM, "source", 1),
        ],
        key=str,
    )


@pytest.mark.parametrize("op", list(Op))
def test_only_destruction_needs_proof(desk: Desk, op: Op) -> None:
    """A change that takes something away counts as unproven until its very reading is whole."""
    job, other = desk.running(), desk.running()
    desk.plan(job, planned(1, op, proof="source"))
    needed = 1 if op in DESTRUCTIVE else 0
    assert desk.ask(changes.unproven, job.id) == needed
    read(desk, other, "source")  # of another job
    read(desk, job, "tasks")  # another reading
    assert desk.ask(changes.unproven, job.id) == needed
    read(desk, job, "source")
    assert desk.ask(changes.unproven, job.id) == 0


def test_a_cut_reading_proves_nothing(desk: Desk) -> None:
    """Neither does a reading that wasn't whole, nor one that was never told, nor none at all."""
    job = desk.running()
    desk.plan(
        job,
        planned(1, Op.DELETE, proof="cut"),
        planned(2, Op.DELETE, proof="untold"),
        planned(3, Op.DELETE, proof=None),
        planned(4, Op.DELETE, proof="whole"),
    )
    read(desk, job, "cut", complete=False)
    read(desk, job, "whole")
    assert desk.ask(changes.unproven, job.id) == 3


def test_destruction_can_be_dropped(desk: Desk) -> None:
    """What takes something away falls out with the reason; the rest of the plan stays."""
    job, other = desk.running(), desk.running()
    for one in (job, other):
        desk.plan(one, planned(1, Op.DELETE), planned(2, Op.CREATE), planned(3, Op.PASS))
    assert desk.do(changes.drop_destructive, job.id, why="The report was cut.", now=at(3)) == 2
    assert desk.states(job.id) == {1: SKIPPED, 2: PLANNED, 3: SKIPPED}
    assert desk.ask(changes.journal, job.id, after=0, limit=1)[0].error == "The report was cut."
    assert desk.states(other.id) == {1: PLANNED, 2: PLANNED, 3: PLANNED}


# --- apply -------------------------------------------------------------------------------


def test_construction_comes_in_its_order_and_apart_from_destruction(desk: Desk) -> None:
    """Pages of either sort go by number, past the cursor, and hold only what is still planned."""
    job = desk.running()
    ops = [Op.DELETE, Op.CREATE, Op.CREATE, Op.CLOSE, Op.UPDATE, Op.CREATE]
    desk.plan(job, *(planned(number, op) for number, op in reversed(list(enumerate(ops, 1)))))
    desk.do(changes.settle, job.id, [outcome(3)], now=NOW)

    def numbers(*, destructive: bool, after: int) -> list[int]:
        found = desk.ask(changes.page, job.id, destructive=destructive, after=after, limit=2)
        return [change.sequence for change in found]

    assert [numbers(destructive=False, after=after) for after in (0, 5, 6)] == [[2, 5], [6], []]
    assert numbers(destructive=True, after=0) == [1, 4]


def test_what_is_about_to_be_sent_is_marked(desk: Desk) -> None:
    """An intended change is neither planned any more nor settled, and is found after a crash."""
    job = desk.running()
    desk.plan(job, *(planned(number) for number in range(1, 5)))
    desk.do(changes.settle, job.id, [outcome(1)], now=NOW)
    desk.do(changes.intend, job.id, [1, 2, 4])
    assert desk.states(job.id) == {1: DONE, 2: INTENDED, 3: PLANNED, 4: INTENDED}
    pages = [desk.ask(changes.intended, job.id, after=after, limit=1) for after in (0, 2, 4)]
    assert [[change.sequence for change in page] for page in pages] == [[2], [4], []]


def test_an_outcome_is_kept_with_what_was_assigned(desk: Desk) -> None:
    """The journal says of each change what became of it, and when."""
    job = desk.running()
    desk.plan(job, planned(1), planned(2), planned(3))
    desk.do(changes.intend, job.id, [1, 2])
    outcomes = [
        outcome(1)._replace(assigned='{"id":7}'),
        outcome(2, FAILED, "It is locked."),
        outcome(3, SKIPPED, "conflict: it was changed."),
    ]
    desk.do(changes.settle, job.id, outcomes, now=at(5))
    first, second, third = desk.ask(changes.journal, job.id, after=0, limit=10)
    assert (first.state, first.assigned, first.error) == (DONE, {"id": 7}, "")
    assert (second.state, second.error) == (FAILED, "It is locked.")
    assert (third.state, third.error) == (SKIPPED, "conflict: it was changed.")
    assert desk.ask(lambda c: list(c.scalars(sa.select(table.c.settled).distinct()))) == [
        1_772_366_405_000_000
    ]


def test_an_outcome_is_settled_once(desk: Desk) -> None:
    """What became of a change isn't rewritten by a message that comes twice."""
    job = desk.running()
    desk.plan(job, planned(1), planned(2))
    desk.do(changes.settle, job.id, [outcome(1, FAILED, "first")], now=NOW)
    desk.do(changes.settle, job.id, [outcome(1, DONE, "second"), outcome(2)], now=NOW)
    assert desk.states(job.id) == {1: FAILED, 2: DONE}
    assert desk.ask(changes.journal, job.id, after=0, limit=1)[0].error == "first"


def test_settling_nothing_is_nothing(desk: Desk) -> None:
    """A batch without outcomes leaves all as it was."""
    job = desk.running()
    desk.plan(job, planned(1))
    desk.do(changes.settle, job.id, [], now=NOW)
    assert desk.states(job.id) == {1: PLANNED}


def test_the_rest_can_be_left_unmade(desk: Desk) -> None:
    """What was planned and never sent is skipped with the reason; what was sent keeps its state."""
    job = desk.running()
    desk.plan(job, *(planned(number) for number in range(1, 5)))
    desk.do(changes.intend, job.id, [1, 2])
    desk.do(changes.settle, job.id, [outcome(1)], now=NOW)
    assert desk.do(changes.skip_rest, job.id, why="The run was cancelled.", now=at(3)) == 2
    assert desk.states(job.id) == {1: DONE, 2: INTENDED, 3: SKIPPED, 4: SKIPPED}


def test_what_a_target_assigned_is_found_by_kind_and_key(desk: Desk) -> None:
    """A resumed run finds the ids of what it made before."""
    job = desk.running()
    desk.plan(job, planned(1, Op.CREATE, kind="session", key="k"), planned(2, kind="other", key="k"))
    assert desk.ask(changes.assigned_to, job.id, kind="session", key="k") is None
    desk.do(changes.settle, job.id, [outcome(1)._replace(assigned='{"id":7}'), outcome(2)], now=NOW)
    assert desk.ask(changes.assigned_to, job.id, kind="session", key="k") == {"id": 7}
    assert desk.ask(changes.assigned_to, job.id, kind="other", key="k") is None
    assert desk.ask(changes.assigned_to, job.id + 1, kind="session", key="k") is None


def test_the_first_troubles_are_named(desk: Desk) -> None:
    """The message names the first failed and conflicting changes by subject, in order, and no more."""
    job = desk.running()
    desk.plan(job, *(planned(number) for number in range(1, 8)))
    states = [DONE, FAILED, SKIPPED, DONE, FAILED, FAILED]
    outcomes = [outcome(number, state, f"trouble {number}") for number, state in enumerate(states, 1)]
    desk.do(changes.settle, job.id, outcomes, now=NOW)
    assert desk.ask(changes.first_failures, job.id) == [
        ("Thing 2", "trouble 2"),
        ("Thing 3", "trouble 3"),
        ("Thing 5", "trouble 5"),
    ]
    assert len(desk.ask(changes.first_failures, job.id, limit=1)) == 1
