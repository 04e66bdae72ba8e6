"""Changes: the writes that a run wants to make, and what became of each.

A plan is a sequence of changes. The same rows are its preview, its progress, the journal
and the source of a revert. What is destructive stands here, in ``TRAITS``, and nowhere else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from runner.model.storable import storable

Values: TypeAlias = Mapping[str, Any]
"""Fields of a thing by name, JSON values. Placeholders may stand for values not known yet."""


class Target(StrEnum):
    """Where a change is written."""

    PLATFORM = "platform"  # the SD Elements-style side; main writes it
    OUTSIDE = "outside"  # the connector's system; its worker writes it


class Op(StrEnum):
    """What a change does to the thing named by its kind and key."""

    CREATE = "create"
    UPDATE = "update"
    ADD_MEMBER = "add_member"
    ACTIVATE = "activate"
    REOPEN = "reopen"
    FAIL = "fail"  # a verification that found something
    UNVERIFY = "unverify"  # a verification taken back
    DELETE = "delete"
    DEACTIVATE = "deactivate"
    REMOVE_MEMBER = "remove_member"
    CLOSE = "close"
    MOVE = "move"
    BLANK = "blank"  # a field that had a value is emptied
    LOWER_ROLE = "lower_role"
    PASS = "pass"  # a verification that concludes from finding nothing


OPS: Mapping[str, Op] = {op.value: op for op in Op}
"""By their values: looked up, a member costs a tenth of what its class takes."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What an operation means for safety."""

    destructive: bool = False  # needs proof of a complete read, and counts under a ceiling
    by_share: bool = True  # its ceiling is a share of the target; else ``max_pass_share``
    verb: str = ""  # past tense, for messages: "3 users deactivated"
    inverse: "Op | None" = None  # what takes it back; a creation's is its connector's to say


TRAITS: Mapping[Op, Traits] = {
    Op.CREATE: Traits(verb="created"),
    Op.UPDATE: Traits(verb="updated", inverse=Op.UPDATE),
    Op.ADD_MEMBER: Traits(verb="added to groups", inverse=Op.REMOVE_MEMBER),
    Op.ACTIVATE: Traits(verb="activated", inverse=Op.DEACTIVATE),
    Op.REOPEN: Traits(verb="reopened", inverse=Op.CLOSE),
    Op.FAIL: Traits(verb="set to fail", inverse=Op.UNVERIFY),
    Op.UNVERIFY: Traits(verb="set back"),
    Op.DELETE: Traits(destructive=True, verb="deleted", inverse=Op.CREATE),
    Op.DEACTIVATE: Traits(destructive=True, verb="deactivated", inverse=Op.ACTIVATE),
    Op.REMOVE_MEMBER: Traits(destructive=True, verb="removed from groups", inverse=Op.ADD_MEMBER),
    Op.CLOSE: Traits(destructive=True, verb="closed", inverse=Op.REOPEN),
    Op.MOVE: Traits(destructive=True, verb="moved", inverse=Op.MOVE),
    Op.BLANK: Traits(destructive=True, verb="emptied", inverse=Op.UPDATE),
    Op.LOWER_ROLE: Traits(destructive=True, verb="given a lower role", inverse=Op.UPDATE),
    Op.PASS: Traits(destructive=True, by_share=False, verb="judged clean", inverse=Op.UNVERIFY),
}

DESTRUCTIVE = frozenset(op for op, traits in TRAITS.items() if traits.destructive)


class ChangeState(StrEnum):
    """What became of a change."""

    PLANNED = "planned"
    INTENDED = "intended"  # committed before it was sent; its outcome isn't known yet
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # not made, on purpose; ``error`` says why


@dataclass(frozen=True, slots=True)
class Complete:
    """Proof that a reading reached its end. Only a context's ``Reading`` makes one."""

    reading: str
    size: int  # records read


@dataclass(frozen=True, slots=True)
class Assigned:
    """Stands for a value that the target gives to the thing an earlier change creates."""

    kind: str
    key: str
    field: str


@dataclass(frozen=True, slots=True)
class Generated:
    """Stands for a value that the worker makes when it applies, as a password."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write that a connector wants to make.

    Build it with one of the constructors below: those of destructive operations want the
    proof of a complete read, so that forgetting it is a type error.
    """

    op: Op
    target: Target
    kind: str  # what sort of thing, as "task" or "user"
    key: str  # its identity in the target, the same from run to run
    subject: str  # what a person calls it
    before: Values | None = None  # compared again inside the write; None = absent
    after: Values | None = None  # None = absent
    proof: Complete | None = None
    why: str = ""  # a sentence for the preview

    def __post_init__(self) -> None:
        if self.op in DESTRUCTIVE and self.proof is None:
            msg = f"a change that is {self.op.value!r} wants the proof of a complete read"
            raise TypeError(msg)


def constructive(
    op: Op,
    *,
    kind: str,
    key: str,
    subject: str,
    after: Values,
    before: Values | None = None,
    target: Target = Target.PLATFORM,
    why: str = "",
) -> Change:
    """A change that destroys nothing: creations, additions, ordinary updates."""
    return Change(
        op=op, target=target, kind=kind, key=key, subject=subject, before=before, after=after, why=why
    )


def destructive(
    op: Op,
    *,
    kind: str,
    key: str,
    subject: str,
    before: Values | None,
    after: Values | None,
    proof: Complete,
    target: Target = Target.PLATFORM,
    why: str = "",
) -> Change:
    """A change that takes something away; ``proof`` says on what complete read it rests."""
    return Change(
        op=op,
        target=target,
        kind=kind,
        key=key,
        subject=subject,
        before=before,
        after=after,
        proof=proof,
        why=why,
    )


ASSIGNED = "$assigned"
GENERATED = "$generated"


def _placeholder(value: object) -> object:
    match value:
        case Assigned(kind, key, field):
            return {ASSIGNED: [kind, key, field]}
        case Generated(name):
            return {GENERATED: name}
    msg = f"a change's values are JSON; {type(value).__name__} isn't"
    raise TypeError(msg)


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_placeholder
).encode


def values_to_json(values: Values | None) -> str | None:
    """``values`` as canonical JSON text: equal values give equal texts."""
    return None if values is None else storable(_encode(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """What became of one change that was sent."""

    sequence: int
    state: ChangeState  # done, failed or skipped
    message: str = ""
    assigned: Values | None = None  # what the target gave, as ids


@dataclass(slots=True, kw_only=True)
class StoredChange:
    """A change as it stands in the journal."""

    sequence: int
    target: Target
    op: Op
    kind: str
    key: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    state: ChangeState
    error: str = ""
    why: str = ""
    assigned: dict[str, Any] | None = None
