"""Runs migrations on the connection that ``runner.store.migrate`` hands over."""

from alembic import context

from runner.store.schema import metadata

connection = context.config.attributes["connection"]
# SQLite alters a table by copying it; batch mode does that.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
