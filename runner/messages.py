"""The vocabulary of the pipe between main and a worker: JSON, one object a message.

Main trusts nothing that comes from a worker, for it may run anyone's code: what arrives is
validated here, and a message that doesn't fit ends the worker. Rows of changes travel as
arrays, 500 at the most, with ``before`` and ``after`` already encoded, so that main can
store them without parsing.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from runner.errors import Reason
from runner.model.changes import ChangeState, Op, Target
from runner.model.findings import FindingRow
from runner.model.storable import storable

PLAN_ROWS = 500
"""Changes in one message at the most."""

LONGEST = 64 * 1024 * 1024
"""Bytes of one message at the most; a longer one ends the worker."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanRow(NamedTuple):
    """One planned change."""

    sequence: int
    target: Target
    op: Op
    kind: str
    key: str
    subject: str
    before: str | None  # canonical JSON text
    after: str | None
    proof: str | None  # name of the complete reading it rests on
    why: str


class OutcomeRow(NamedTuple):
    """What became of one change of a batch."""

    sequence: int
    state: ChangeState
    message: str
    assigned: str | None  # JSON text


class Plan(_Message):
    """Some changes of the plan, in order."""

    m: Literal["plan"] = "plan"
    rows: Annotated[list[PlanRow], Field(max_length=PLAN_ROWS)]


class Read(_Message):
    """A reading ended, proven whole or not."""

    m: Literal["read"] = "read"
    name: str
    complete: bool
    size: int = 0
    target_size: int | None = None
    why: str = ""
    additions_hold: bool = False


class Findings(_Message):
    """Some of what an import found, by sort."""

    m: Literal["findings"] = "findings"
    rows: Annotated[list[FindingRow], Field(max_length=PLAN_ROWS)]


class Planned(_Message):
    """The plan is told in full."""

    m: Literal["planned"] = "planned"
    rows: int = 0  # how many changes were told in all
    batch_size: int | None = None  # what apply() takes at once; None = it has none
    undo: dict[str, Op] = Field(default_factory=dict)  # how a creation is taken back, by kind
    keeps: list[str] = Field(default_factory=list)  # kinds of things whose links are kept
    totals: dict[str, int] = Field(default_factory=dict)
    sentences: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)  # what is said first
    memory: dict[str, Any] = Field(default_factory=dict)


class Outcomes(_Message):
    """Outcomes of changes of the batch in hand; ``last`` = the batch is through."""

    m: Literal["outcomes"] = "outcomes"
    rows: list[OutcomeRow]
    last: bool = False


class CurrentIs(_Message):
    """Answer to ``CurrentOf``: canonical JSON by key, None = absent."""

    m: Literal["current"] = "current"
    values: dict[str, str | None]


class Ask(_Message):
    """A question to the platform, or for links; main answers with a ``Page``."""

    m: Literal["ask"] = "ask"
    what: Literal["project", "tasks", "links", "accounts", "groups", "group_mappings"]
    after: int = 0
    kind: str = ""  # of links
    after_key: str = ""  # of links


class Progress(_Message):
    """How far the run is."""

    m: Literal["progress"] = "progress"
    text: str
    done: int | None = None
    total: int | None = None


class LogLine(_Message):
    """A line for the job's log."""

    m: Literal["log"] = "log"
    event: str
    fields: dict[str, Any] = Field(default_factory=dict)


class Failed(_Message):
    """The connector can't go on."""

    m: Literal["failed"] = "failed"
    reason: Reason
    message: str
    detail: str | None = None
    retry_after: float | None = None
    later: bool = False  # the other side may take it later


class Answer(_Message):
    """Answer to a probe: a description, or the steps of a connection test."""

    m: Literal["answer"] = "answer"
    value: Any


FromWorker = (
    Plan | Read | Findings | Planned | Outcomes | CurrentIs | Ask | Progress | LogLine | Failed | Answer
)

_from_worker: TypeAdapter[FromWorker] = TypeAdapter(Annotated[FromWorker, Field(discriminator="m")])


_NUL = b"\\u0000"


def parse_from_worker(raw: bytes) -> FromWorker:
    """Read one message of a worker; a ``pydantic.ValidationError`` if it isn't one."""
    return _from_worker.validate_json(storable(raw.decode(errors="replace")) if _NUL in raw else raw)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_text = json.encoder.encode_basestring  # a string as JSON


def encode(m: str, **fields: Any) -> bytes:
    """One message as bytes. ``m`` names it; JSON has what the other side validates.

    Half a surrogate pair, as a file's odd name may have, can't be sent and becomes "?".
    """
    return _encode({"m": m, **fields}).encode(errors="replace")


def encode_apply(changes: Iterable[Any]) -> bytes:
    """The message that has changes made. They are rows of the store: JSON in them is passed on as it is."""
    rows = [
        f'{{"sequence":{row.sequence},"op":"{row.op}","kind":{_text(row.kind)},"key":{_text(row.key)},'
        f'"subject":{_text(row.subject)},"before":{row.before or "null"},"after":{row.after or "null"}}}'
        for row in changes
    ]
    return f'{{"m":"apply","changes":[{",".join(rows)}]}}'.encode()


def parse_from_main(raw: bytes) -> dict[str, Any]:
    """Read one message of main, in the worker: run, apply, current_of, page, describe, check, directory."""
    message: dict[str, Any] = json.loads(raw)
    return message
