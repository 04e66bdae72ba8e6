"""The daemons elsewhere that serve this server's connections, as they say of themselves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.store.pages import Cut, cut
from runner.store.rows import insert
from runner.store.schema import remote_agents, users
from runner.store.values import maybe_from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAgent:
    """One of them."""

    id: int
    name: str
    user_id: int
    user: str  # e-mail of who made it
    version: str
    platform: str
    last_sync: datetime | None


_agents = sa.select(remote_agents, users.c.email.label("user")).join(
    users, users.c.id == remote_agents.c.user_id
)


def page(c: sa.Connection, part: Cut) -> list[RemoteAgent]:
    """Some agents, in the order in which they came."""
    return [_agent(row) for row in cut(c, _agents, remote_agents.c.id, part)]


def count(c: sa.Connection) -> int:
    """How many there are."""
    return c.scalar(sa.select(sa.func.count()).select_from(remote_agents)) or 0


def get(c: sa.Connection, agent_id: int) -> RemoteAgent | None:
    """The agent with this id."""
    row = c.execute(_agents.where(remote_agents.c.id == agent_id)).one_or_none()
    return None if row is None else _agent(row)


def by_name(c: sa.Connection, name: str) -> RemoteAgent | None:
    """The agent of this name."""
    row = c.execute(_agents.where(remote_agents.c.name == name)).one_or_none()
    return None if row is None else _agent(row)


def create(c: sa.Connection, *, name: str, user_id: int) -> int:
    """Make an agent known; the id."""
    return insert(c, remote_agents, name=name, user_id=user_id)


def seen(
    c: sa.Connection, agent_id: int, *, version: str | None, platform: str | None, now: datetime
) -> None:
    """Note that an agent is there, and what it says of itself."""
    values = {"version": version, "platform": platform}
    known = {name: value for name, value in values.items() if value is not None}
    c.execute(
        sa.update(remote_agents)
        .where(remote_agents.c.id == agent_id)
        .values(**known, last_sync=to_micros(now))
    )


def delete(c: sa.Connection, agent_id: int) -> None:
    """Forget an agent."""
    c.execute(sa.delete(remote_agents).where(remote_agents.c.id == agent_id))


def _agent(row: sa.Row[Any]) -> RemoteAgent:
    return RemoteAgent(
        id=row.id,
        name=row.name,
        user_id=row.user_id,
        user=row.user,
        version=row.version,
        platform=row.platform,
        last_sync=maybe_from_micros(row.last_sync),
    )
