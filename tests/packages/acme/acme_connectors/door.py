"""A connector with a password that is checked, over there in a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from runner.errors import AccessDenied
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class DoorParams(Params):
    """Where the lock is, and the key to it."""

    password: SecretStr = Field(description="has to be what the lock holds")
    lock: Path = Field(description="file with the right password")
    rotate: Path | None = Field(None, description="file that somebody writes the right password to meanwhile")


class Door:
    """Plans nothing, and only for those who know the password."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.LDAP, name="Acme Door", short_name="Door", command="sync_acme_door"
    )
    params: ClassVar[type[Params]] = DoorParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Try the key."""
        params: DoorParams = ctx.params
        fits = params.password.get_secret_value() == params.lock.read_text(encoding="utf-8")
        return [Step(name="the lock", ok=fits, message="" if fits else "The key doesn't fit.")]

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Find nothing to do, behind the door."""
        params: DoorParams = ctx.params
        right = params.lock.read_text(encoding="utf-8")
        if params.password.get_secret_value() != right:
            if params.rotate is not None:
                params.rotate.write_text(f"{right}\n", encoding="utf-8")
            raise AccessDenied(f"The lock doesn't take {params.password.get_secret_value()}.")
        yield from ()
