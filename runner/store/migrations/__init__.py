"""Alembic's migrations, carried inside the wheel."""
