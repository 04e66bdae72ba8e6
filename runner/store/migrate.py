"""Bring a database to the schema that this version needs. Alembic is imported here only."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from runner.errors import StoreNewer
from runner.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The schema's version that this code is written for; a test holds it against the migrations."""

_LOCK = 0x72756E6E6572  # "runner", so that no other program on the server means the same lock


def version(database: Database) -> str | None:
    """The version of the schema that the database has; None if it is empty."""
    with database.read() as c:
        if not sa.inspect(c).has_table("alembic_version"):
            return None
        found: str | None = c.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return found


def upgrade(database: Database) -> tuple[str | None, str]:
    """Migrate to ``HEAD``; the versions before and after. Raises ``StoreNewer``."""
    before = version(database)
    if before == HEAD:
        return before, HEAD
    if before is not None and before > HEAD:
        msg = (
            f"The store has schema {before}, this version of the runner knows {HEAD}. "
            "Install the version that wrote it, or restore a backup."
        )
        raise StoreNewer(msg)
    from alembic import command

    def migrate(c: sa.Connection) -> None:
        if c.dialect.name == "postgresql":
            # Of several daemons that start together one migrates; the others wait and find it done.
            c.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        command.upgrade(_config(c), "head")

    database.write(migrate)
    return before, HEAD


def _config(c: sa.Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = c
    return config
