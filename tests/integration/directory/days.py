"""Bad days of a directory: what cuts a reading short, and what becomes of the run then."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.integration.directory.stage import Stage
from tests.servers import fault_proxy, slapd
from tests.servers.fault_proxy import Fault, FaultProxy

AFTER = 150
"""Entries that come before things go wrong."""


class Day(NamedTuple):
    """What goes wrong on the wire, or in the settings, and the reason that the run fails with."""

    reason: str
    fault: Callable[[], Fault] | None = None
    deed: Callable[[Stage], None] | None = None


def _wrong_password(stage: Stage) -> None:
    stage.set(bind_password="another-secret")


def _missing_base(stage: Stage) -> None:
    stage.set(base_dn=f"ou=peeple,{slapd.BASE}")


def _missing_group_base(stage: Stage) -> None:
    stage.set(group_base_dn=f"ou=grops,{slapd.BASE}")


DAYS: Mapping[str, Day] = {
    "a time limit": Day("incomplete_read", lambda: fault_proxy.ends_with(3, after=AFTER)),
    "a size limit": Day("incomplete_read", lambda: fault_proxy.ends_with(4, after=AFTER)),
    "an administrative limit": Day("incomplete_read", lambda: fault_proxy.ends_with(11, after=AFTER)),
    "a size limit at once": Day("incomplete_read", lambda: fault_proxy.ends_with(4, after=0)),
    "cut": Day("unreachable", lambda: fault_proxy.cut(after=AFTER)),
    "reset in mid-page": Day("unreachable", lambda: fault_proxy.reset(after=AFTER)),
    "hang": Day("unreachable", lambda: fault_proxy.hang(after=AFTER)),
    "missing base": Day("bad_params", deed=_missing_base),
    "missing group base": Day("bad_params", deed=_missing_group_base),
    "wrong password": Day("auth", deed=_wrong_password),
}


def live_through(day: Day, stage: Stage, proxy: FaultProxy, *, secret: str) -> None:
    """Let a day come over a platform in step: the run fails with its reason and writes nothing."""
    people = stage.people()
    if day.fault is not None:
        proxy.fault = day.fault()
    if day.deed is not None:
        day.deed(stage)
    done = stage.sync()
    assert proxy.connections, "the run never came by the proxy"
    assert (done.outcome, done.reason, done.told()) == ("failed", day.reason, []), done.message
    assert stage.people() == people
    assert secret not in done.message
