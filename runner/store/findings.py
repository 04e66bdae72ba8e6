"""What the findings of an import were, by sort: kept with the job, for people to look at."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from runner.model.findings import FindingRow
from runner.model.jobs import Job
from runner.store.pages import Cut, cut
from runner.store.schema import findings
from runner.store.values import from_json, to_json


def add(c: sa.Connection, job: Job, *, first: int, rows: Sequence[FindingRow]) -> None:
    """Keep rows of a run, numbered from ``first`` on."""
    c.execute(
        sa.insert(findings),
        [
            {
                "job_id": job.id,
                "sequence": sequence,
                "category": row.category,
                "cwes": to_json(row.cwes),
                "severity": row.severity,
                "number": row.number,
                "via": row.via,
                "mapped": row.mapped,
                "tasks": to_json(row.tasks),
                "examples": to_json(row.examples),
            }
            for sequence, row in enumerate(rows, first)
        ],
    )


def forget(c: sa.Connection, job: Job) -> None:
    """Drop what dead attempts of a job found."""
    c.execute(sa.delete(findings).where(findings.c.job_id == job.id))


def page(c: sa.Connection, job_id: int, part: Cut, *, mapped: bool | None) -> list[tuple[int, FindingRow]]:
    """Some rows of a job, each with its sequence number; ``mapped`` None = all."""
    rows = cut(c, sa.select(findings).where(*_of(job_id, mapped)), findings.c.sequence, part)
    return [(found.sequence, _row(found)) for found in rows]


def count(c: sa.Connection, job_id: int, *, mapped: bool | None) -> int:
    """How many rows a job has."""
    query = sa.select(sa.func.count()).select_from(findings).where(*_of(job_id, mapped))
    return c.scalar(query) or 0


def _of(job_id: int, mapped: bool | None) -> list[sa.ColumnElement[bool]]:
    wanted = [findings.c.job_id == job_id]
    return wanted if mapped is None else [*wanted, findings.c.mapped == mapped]


def _row(found: sa.Row[Any]) -> FindingRow:
    return FindingRow(
        category=found.category,
        cwes=from_json(found.cwes),
        severity=found.severity,
        number=found.number,
        via=found.via,
        mapped=found.mapped,
        tasks=from_json(found.tasks),
        examples=from_json(found.examples),
    )
