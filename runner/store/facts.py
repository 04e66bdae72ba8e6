"""What the store knows of itself, by name."""

import sqlalchemy as sa

from runner.store.schema import facts


def get(c: sa.Connection, name: str) -> str | None:
    """What the store knows by this name."""
    return c.scalar(sa.select(facts.c.value).where(facts.c.name == name))


def put(c: sa.Connection, name: str, value: str) -> None:
    """Remember it. (Two daemons that do so for the first time repeat the transaction.)"""
    if not c.execute(sa.update(facts).where(facts.c.name == name).values(value=value)).rowcount:
        c.execute(sa.insert(facts).values(name=name, value=value))


def drop(c: sa.Connection, name: str) -> bool:
    """Forget it; whether it was known."""
    return bool(c.execute(sa.delete(facts).where(facts.c.name == name)).rowcount)
