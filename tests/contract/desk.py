"""A store under test, with the shortest ways to fill it and to look into it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from runner.messages import OutcomeRow, PlanRow
from runner.model.changes import ChangeState, Op, Target, values_to_json
from runner.model.jobs import Claim, Job, Kind, Outcome, State
from runner.store import changes, claims, connections, queue, tasks, work
from runner.store.database import Database
from runner.store.schema import jobs

P = ParamSpec("P")
T = TypeVar("T")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When all tests of the store begin."""


def at(seconds: float) -> datetime:
    """An instant, counted from the beginning of the test."""
    return NOW + timedelta(seconds=seconds)


class Desk:
    """One store, spoken to in single sentences."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def do(self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **named: P.kwargs) -> T:
        """Call a function of the store in a transaction of its own."""
        return self.database.write(lambda c: function(c, *args, **named))

    def ask(
        self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """Call a function of the store that only reads."""
        with self.database.read() as c:
            return function(c, *args, **named)

    # --- what most tests need ------------------------------------------------------------

    def connection(self, alias: str = "Acme", **fields: Any) -> int:
        """Add a connection."""
        values: dict[str, Any] = {
            "kind": Kind.ALM,
            "system": "acme_noop",
            "command": "sync_acme_noop",
            "project_id": None,
            "params": {},
        }
        return self.do(connections.create, alias=alias, now=NOW, **{**values, **fields})

    def project(self, name: str = "Webshop", *, task_ids: tuple[str, ...] = ()) -> int:
        """Add a project with what it belongs to, and tasks."""
        unit = self.do(work.create_business_unit, name=f"Unit of {name}", now=NOW)
        assert unit is not None
        application = self.do(
            work.create_application,
            business_unit_id=unit,
            name=f"Portal of {name}",
            priority="0-none",
            now=NOW,
        )
        assert application is not None
        project = self.do(work.create_project, application_id=application, name=name, description="", now=NOW)
        assert project is not None
        if task_ids:
            self.do(tasks.add, project, [_task(task_id) for task_id in task_ids], now=NOW)
        return project

    def job(self, connection_id: int, *, seconds: float = 0, **fields: Any) -> int:
        """Add a job, ``seconds`` after the beginning."""
        return self.do(queue.enqueue, connection_id=connection_id, kind=Kind.ALM, now=at(seconds), **fields)[
            0
        ]

    def claim(self, *, owner: str = "one", seconds: float = 3600) -> Claim:
        """Claim the one job that can be."""
        (claim,) = self.do(claims.claim, owner=owner, now=at(seconds))
        return claim

    def running(self, **fields: Any) -> Job:
        """Add a connection with a job that runs."""
        self.job(self.connection(), **fields)
        return self.claim().job

    def finish(self, job: Job, **fields: Any) -> bool:
        """End a job well."""
        values: dict[str, Any] = {
            "outcome": Outcome.SUCCEEDED,
            "reason": None,
            "message": "Nothing to do.",
            "totals": {},
            "now": at(7200),
        }
        return self.do(claims.finish, job=job, **{**values, **fields})

    def row(self, job_id: int) -> sa.Row[Any]:
        """The job as it stands in the table."""
        with self.database.read() as c:
            return c.execute(sa.select(jobs).where(jobs.c.id == job_id)).one()

    def state(self, job_id: int) -> State:
        """Where a job is on its way."""
        return State(self.row(job_id).state)

    def expire(self, job_id: int) -> None:
        """Let the lease of a job have run out."""
        self.do(lambda c: c.execute(sa.update(jobs).where(jobs.c.id == job_id).values(lease_until=1)))

    def plan(self, job: Job, *rows: PlanRow) -> None:
        """Add changes to a job's plan."""
        self.do(changes.add_plan, job, rows)

    def states(self, job_id: int) -> dict[int, ChangeState]:
        """What became of each change of a job, by its number."""
        return {row.sequence: row.state for row in self.ask(changes.journal, job_id, after=0, limit=1000)}


def _task(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "title": f"Do {task_id}", "priority": 7, "phase": "development"}


def planned(sequence: int, op: Op = Op.UPDATE, **fields: Any) -> PlanRow:
    """A change of a plan; ``before`` and ``after`` are values, not text."""
    values: dict[str, Any] = {
        "target": Target.OUTSIDE,
        "kind": "thing",
        "key": f"key-{sequence}",
        "subject": f"Thing {sequence}",
        "before": None,
        "after": {},
        "proof": None,
        "why": "",
        **fields,
    }
    values |= {name: values_to_json(values[name]) for name in ("before", "after")}
    return PlanRow(sequence=sequence, op=op, **values)


def outcome(sequence: int, state: ChangeState = ChangeState.DONE, message: str = "") -> OutcomeRow:
    """What became of one change."""
    return OutcomeRow(sequence, state, message, None)
