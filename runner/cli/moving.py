"""Taking a store to another database, with a progress bar on a terminal."""

import contextlib
from typing import TYPE_CHECKING, Any

from runner.cli.output import console
from runner.errors import StoreAway

if TYPE_CHECKING:
    from runner.store.database import Database


def copy_store(source: "Database", target: Any) -> int:
    """Copy all of ``source`` into the empty database that the URL ``target`` names; how many rows."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from sqlalchemy.exc import DBAPIError

    from runner.store import copying
    from runner.store.database import open_database

    shown = target.render_as_string(hide_password=True)
    columns = (TextColumn("copying"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    try:
        with (
            contextlib.closing(open_database(target.render_as_string(hide_password=False))) as database,
            Progress(*columns, console=console(error=True), transient=True) as bar,
        ):
            task = bar.add_task("copying", total=copying.rows(source))
            return copying.copy(source, database, told=lambda number: bar.advance(task, number))
    except DBAPIError as error:
        raise StoreAway(f"The database {shown} can't be used: {error.orig}.", detail=str(error)) from error
