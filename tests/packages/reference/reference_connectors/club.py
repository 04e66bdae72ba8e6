"""A connector that writes outside: members and teams of a club, as a roll says.

Teams are made at need and stay. Who isn't on the roll any more becomes inactive.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from runner.errors import SkipRecord
from runner.model.changes import (
    GENERATED,
    Assigned,
    Change,
    ChangeOutcome,
    ChangeState,
    Complete,
    Generated,
    Op,
    StoredChange,
    Target,
    Values,
    constructive,
    destructive,
)
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo

from .records import Records, Thing
from .source import prove, read_records


class ClubParams(Params):
    """Where from, where to."""

    source: Path = Field(description="JSON file with a count and records of name, team and mail")
    records: Path = Field(description="the club's records")
    token: SecretStr = Field(SecretStr(""), description="what the club asks for")


class Club:
    """Keeps a club's records in step with its roll."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.DATASYNC, name="Records of a club", short_name="Club", command="sync_club"
    )
    params: ClassVar[type[Params]] = ClubParams
    batch_size: ClassVar[int] = 3
    undo: ClassVar[Mapping[str, Op]] = {"team": Op.DELETE, "member": Op.DELETE}

    # --- reading -------------------------------------------------------------------------

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look whether both places are there."""
        yield Step(name="source", ok=ctx.params.source.is_file())
        yield Step(name="records", ok=ctx.params.records.is_file())

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare the roll with the records."""
        roll, count = read_records(ctx.params.source)
        there = Records(ctx.params.records)
        members = there.all("member")
        proof = self.prove(ctx, roll, count, target_size=len(members))
        wanted = dict(self.wanted(ctx, roll))
        teams = {entry["team"] for entry in wanted.values() if entry is not None}
        for team in sorted(teams - there.all("team").keys()):
            yield self.constructive(Op.CREATE, "team", team, None, {})
        for name, entry in sorted(wanted.items()):
            if entry is not None:
                yield from self.keep(name, entry, there, proof)
        for name in sorted(members.keys() - wanted.keys()):
            if members[name]["active"] and proof is not None:
                yield self.remove(name, proof)

    def prove(self, ctx: Context, roll: list[Any], count: int, *, target_size: int) -> Complete | None:
        """Declare the roll read whole, if it is; None = it isn't."""
        return prove(ctx, roll, count, target_size=target_size)

    def wanted(self, ctx: Context, roll: list[Any]) -> Iterator[tuple[str, Thing | None]]:
        """Whom the roll names, with what it says; None = it can't be understood."""
        for record in roll:
            try:
                yield record["name"], self.read(record)
            except SkipRecord as error:
                ctx.say(error.message)
                yield record["name"], None

    def read(self, record: Any) -> Thing:
        """What the roll says of one member."""
        match record:
            case {"team": str(team), "mail": str(mail)}:
                return {"team": team, "mail": mail}
        raise SkipRecord(f"{record['name']} was left out: the entry has no team or no mail.")

    def keep(self, name: str, entry: Thing, there: Records, proof: Complete | None) -> Iterator[Change]:
        """What is to do for somebody who is on the roll."""
        old, team = there.get("member", name), there.get("team", entry["team"])
        number = Assigned("team", entry["team"], "number") if team is None else team["number"]
        if old is None:
            new = {"team": number, "mail": entry["mail"], "active": True, "password": Generated("password")}
            yield self.constructive(Op.CREATE, "member", name, None, new)
            return
        if old["mail"] != entry["mail"]:
            mails = {"mail": old["mail"]}, {"mail": entry["mail"]}
            yield self.constructive(Op.UPDATE, "member", name, *mails)
        if not old["active"]:
            yield self.constructive(Op.ACTIVATE, "member", name, {"active": False}, {"active": True})
        if old["team"] != number and proof is not None:
            yield self.destructive(
                Op.MOVE, "member", name, before={"team": old["team"]}, after={"team": number}, proof=proof
            )

    def remove(self, name: str, proof: Complete) -> Change:
        """What is to do for somebody who isn't."""
        return self.destructive(
            Op.DEACTIVATE, "member", name, before={"active": True}, after={"active": False}, proof=proof
        )

    def constructive(self, op: Op, kind: str, name: str, before: Values | None, after: Values) -> Change:
        """A change that takes nothing away."""
        return constructive(
            op, target=Target.OUTSIDE, kind=kind, key=name, subject=name, before=before, after=after
        )

    def destructive(
        self, op: Op, kind: str, name: str, *, before: Values, after: Values | None, proof: Complete
    ) -> Change:
        """A change that does."""
        return destructive(
            op,
            target=Target.OUTSIDE,
            kind=kind,
            key=name,
            subject=name,
            before=before,
            after=after,
            proof=proof,
        )

    # --- writing -------------------------------------------------------------------------

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Write one thing after another; one that somebody changed meanwhile is left alone."""
        there = Records(ctx.params.records)
        for change in changes:
            old = there.get(change.kind, change.key)
            if not self.is_as_expected(old, change.before):
                yield ChangeOutcome(
                    sequence=change.sequence, state=ChangeState.SKIPPED, message="conflict: it was changed"
                )
            elif change.after is None and there.is_used(change.kind, change.key):
                yield ChangeOutcome(
                    sequence=change.sequence, state=ChangeState.SKIPPED, message="conflict: it has members"
                )
            elif change.after is None:
                there.remove(change.kind, change.key)
                yield ChangeOutcome(sequence=change.sequence, state=ChangeState.DONE)
            else:
                number = there.put(change.kind, change.key, _filled(change.after))
                yield ChangeOutcome(
                    sequence=change.sequence, state=ChangeState.DONE, assigned={"number": number}
                )

    def is_as_expected(self, old: Thing | None, before: Values | None) -> bool:
        """Whether a thing is still what the change was planned for."""
        if old is None or before is None:
            return old is None and before is None
        return all(old.get(name) == value for name, value in before.items())

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """What the records say now."""
        there = Records(ctx.params.records)
        return {key: there.get(kind, key) for key in keys}


def _filled(values: Thing) -> Thing:
    """``values`` with a password where one is to be made."""
    return {
        name: secrets.token_urlsafe(12) if isinstance(value, dict) and GENERATED in value else value
        for name, value in values.items()
    }
