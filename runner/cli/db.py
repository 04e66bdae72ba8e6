"""``runner db``: the store's schema."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import loaded
from runner.cli.command import DONE, AsJson, Config, settled
from runner.cli.output import facts, note, print_json, say
from runner.cli.reach import become_owner, find_socket
from runner.cli.refusals import BadUsage
from runner.errors import StoreAway, StoreError

if TYPE_CHECKING:
    from runner.settings import Settings
    from runner.store.database import Database

app = typer.Typer(name="db", help="The store: its schema, backups.", no_args_is_help=True)


@app.command("status")
@settled
def status(*, config: Config = None, as_json: AsJson = False) -> int:
    """Show which schema the store has, and which one this version needs."""
    from runner import configuration
    from runner.store import migrate

    settings = configuration.load(file=config)
    schema, running = read_schema(settings)
    row = {
        "database": display_url(settings),
        "schema": schema,
        "needed": migrate.HEAD,
        "up_to_date": schema == migrate.HEAD,
        "daemon": "running" if running else "stopped",
    }
    if as_json:
        print_json(row)
    else:
        facts((name.replace("_", " "), value) for name, value in row.items())
    return DONE


@app.command("upgrade")
@settled
def upgrade(*, config: Config = None) -> int:
    """Bring the store to the schema that this version needs; a daemon does so by itself when it starts."""
    from runner import configuration
    from runner.store import migrate

    settings = configuration.load(file=config)
    if find_socket(settings) is not None:
        schema, _ = read_schema(settings)
        say(f"The daemon is running and has the store at schema {schema}; nothing is to be done.")
        return DONE
    become_owner(settings.state_dir)
    with opened(settings) as database:
        before, after = migrate.upgrade(database)
    say(f"The store has schema {after}." if before == after else f"Schema {before or 'none'} → {after}.")
    return DONE


@app.command("backup")
@settled
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write; it must not be there.")],
    *,
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="Put the key to stored secrets in too: guard the file like one."),
    ] = False,
    config: Config = None,
) -> int:
    """Write the store and uploaded files to an archive, as of one moment; a daemon goes on meanwhile."""
    from runner.cli.reach import Where, reach

    if file.exists():
        raise StoreError(f"{file} is there already; it is left as it is.")
    part = file.with_name(f".{file.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with (
            os.fdopen(descriptor, "wb") as made,
            reach(Where(config=config)) as client,
            client.stream("backup/", with_key=with_key) as chunks,
        ):
            for chunk in chunks:
                made.write(chunk)
            made.flush()
            os.fsync(made.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    note(f"The backup is in {file}.")
    return DONE


@app.command("restore")
@settled
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `db backup` wrote.")],
    *,
    config: Config = None,
) -> int:
    """Put a backup in place of the store and uploaded files; what was there is kept aside. Starts paused."""
    from runner import configuration
    from runner.cli.putting_back import put_back

    settings = configuration.load(file=config)
    if find_socket(settings) is not None:
        raise StoreError("The daemon is running; stop it first.")
    archive = file.absolute()
    become_owner(settings.state_dir)
    aside, about = put_back(archive, settings)
    if aside is not None:
        note(f"What was there is in {aside}.")
    note(f"Restored from {file}, made on {about.created} by version {about.version}.")
    note("The daemon will start paused: look at `runner jobs list`, then go on with `runner resume`.")
    return DONE


@app.command("copy")
@settled
def copy(
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="URL", help="An empty database, as postgresql+psycopg://me@host/runner."
        ),
    ],
    config: Config = None,
) -> int:
    """Copy the whole store into an empty database, to go on there; stop the daemon before."""
    from runner import configuration
    from runner.cli.moving import copy_store

    settings = configuration.load(file=config)
    if find_socket(settings) is not None:
        raise StoreError("The daemon is running; stop it first.")
    target = parsed(to, "--to")
    if target.password is not None:
        msg = "--to: flags show in process lists; give the password in PGPASSWORD, or in ~/.pgpass."
        raise BadUsage(msg)
    become_owner(settings.state_dir)
    with opened(settings) as source:
        number = copy_store(source, target)
    note(f"{number} rows are copied. Go on there with [store] url, and keep the state directory as it is.")
    return DONE


@app.command("rekey")
@settled
def rekey(*, config: Config = None) -> int:
    """Make a new key and seal all stored secrets with it; stop the daemon before."""
    from runner import configuration
    from runner.store.vault import KEY_FILE, Vault

    settings = configuration.load(file=config)
    become_owner(settings.state_dir)
    with opened(settings) as database:
        vault = Vault(settings.state_dir / KEY_FILE)
        # In this order: whenever it is cut off, each secret is sealed with a key of the file.
        vault.add_key()
        number = database.write(vault.rekey)
        vault.drop_old_keys()
    say(f"Secrets of {number} connections are sealed with a new key, {settings.state_dir / KEY_FILE}.")
    return DONE


def read_schema(settings: "Settings") -> tuple[str | None, bool]:
    """The schema of the store, None if it is empty, and whether a daemon has it open."""
    from runner.store import migrate

    if (socket := find_socket(settings)) is not None:
        from runner.cli.client import Client

        with contextlib.closing(Client.over_socket(socket)) as client:
            return client.get("status/").get("schema"), True
    file = sqlite_file(settings)
    if file is not None and not file.exists():
        return None, False  # opening it would create it
    become_owner(settings.state_dir)
    with opened(settings) as database:
        return migrate.version(database), False


@contextlib.contextmanager
def opened(settings: "Settings") -> Iterator["Database"]:
    """The database, opened in this process while the state lock keeps daemons out."""
    from sqlalchemy.exc import DBAPIError

    from runner.store.database import open_database
    from runner.store.lock import StateLock

    with StateLock(settings.state_dir):
        try:
            with contextlib.closing(open_database(settings.store_url)) as database:
                loaded()
                yield database
        except DBAPIError as error:
            msg = f"The database {display_url(settings)} can't be used: {error.orig}."
            raise StoreAway(msg, detail=str(error)) from error


def sqlite_file(settings: "Settings") -> Path | None:
    """The file of an SQLite store, else None."""
    database = parsed(settings.store_url, "[store] url").database
    return Path(database) if database and settings.store_url.startswith("sqlite") else None


def display_url(settings: "Settings") -> str:
    """The database's URL without its password."""
    return str(parsed(settings.store_url, "[store] url").render_as_string(hide_password=True))


def parsed(url: str, name: str) -> Any:
    """A database's URL in its parts; ``StoreError`` if it isn't one, with the ``name`` of what it is from."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except ArgumentError as error:
        raise StoreError(f"{name} is not a database URL.", detail=str(error)) from error
