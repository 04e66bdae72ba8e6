"""Backups of a SQLite store with its files, and states that were copied: neither runs by itself.

A backup is a tar archive: ``about.json`` in front, ``runner.db`` as of one moment, uploaded reports
and workbooks, and with it on demand the key to the secrets in it.
"""

import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from runner.errors import StoreError, StoreNewer
from runner.store import facts, intake, migrate, pauses
from runner.store.database import Database

FORMAT = 1
KEY = "key"
"""The file in a state directory with the key to stored secrets, if there is one."""

WORKBOOKS = "workbooks"
"""The folder in a state directory with uploaded workbooks."""

FOLDERS = ("uploads", WORKBOOKS)
"""Folders of a state directory that belong to its store."""

_ABOUT, _STORE = "about.json", "runner.db"
_HOME = "home"
"""The fact, and the file in the state directory, that say where the state belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a backup says of itself."""

    version: str  # of the runner that made it
    schema: str
    created: str  # ISO 8601
    with_key: bool


def write(
    database: Database, file: Path, *, state_dir: Path, version: str, now: datetime, with_key: bool
) -> None:
    """Write a backup to ``file``, which must not be there; jobs may run meanwhile."""
    if database.dialect != "sqlite":
        msg = (
            f"The store is PostgreSQL: back it up with pg_dump, and {' and '.join(FOLDERS)} with your files."
        )
        raise StoreError(msg)
    about = {
        "format": FORMAT,
        "version": version,
        "schema": migrate.HEAD,
        "created": now.isoformat(),
        "with_key": with_key and (state_dir / KEY).is_file(),
    }
    snapshot = file.with_name(f"{file.name}.db")
    try:
        _snapshot(database, snapshot)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w") as archive:
                for path, name in _members(snapshot, state_dir, about, file):
                    # A file may go meanwhile, by retention or by hand; then no job needs it any more.
                    if path.exists():
                        archive.add(path, name, recursive=False)
            raw.flush()
            os.fsync(raw.fileno())
    finally:
        snapshot.unlink(missing_ok=True)


def _snapshot(database: Database, to: Path) -> None:
    with database.read() as c, closing(sqlite3.connect(to)) as copy:
        driver: Any = c.connection.driver_connection
        driver.backup(copy)
        # Else the copy would be one with its neighbours -wal and -shm.
        copy.execute("PRAGMA journal_mode=DELETE")


def _members(
    snapshot: Path, state_dir: Path, about: dict[str, Any], file: Path
) -> Iterator[tuple[Path, str]]:
    told = file.with_name(f"{file.name}.json")
    told.write_text(json.dumps(about), encoding="utf-8")
    try:
        yield told, _ABOUT
    finally:
        told.unlink()
    yield snapshot, _STORE
    for folder in FOLDERS:
        found = sorted((state_dir / folder).iterdir()) if (state_dir / folder).is_dir() else []
        for path in found:
            if path.is_file():
                yield path, f"{folder}/{path.name}"
    if about["with_key"]:
        yield state_dir / KEY, KEY


def extract(archive: Path, to: Path) -> About:
    """Take a backup apart into the empty folder ``to``; what is no backup of ours is refused whole."""
    try:
        with tarfile.open(archive, "r:") as opened:
            first = opened.next()
            told = opened.extractfile(first) if first is not None and first.name == _ABOUT else None
            if told is None:
                raise _no_backup(archive)
            about = _about(json.load(told), archive)
            while (member := opened.next()) is not None:
                if not member.isfile() or not _expected(member.name):
                    raise _no_backup(archive)
                opened.extract(member, to, filter="data")
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise _no_backup(archive, str(error)) from error
    _check(to / _STORE, archive)
    return about


def _about(told: dict[str, Any], archive: Path) -> About:
    if told["format"] != FORMAT or str(told["schema"]) > migrate.HEAD:
        msg = f"{archive} was made by version {told['version']}, which is newer; install that version first."
        raise StoreNewer(msg)
    return About(
        version=told["version"], schema=told["schema"], created=told["created"], with_key=told["with_key"]
    )


def _expected(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts in {(_STORE,), (KEY,)} or (len(parts) == len(("folder", "file")) and parts[0] in FOLDERS)


def _check(store: Path, archive: Path) -> None:
    if not store.is_file():
        raise _no_backup(archive)
    with closing(sqlite3.connect(store)) as opened:
        try:
            [[state]] = opened.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            raise _no_backup(archive, str(error)) from error
    if state != "ok":
        raise _no_backup(archive, state)


def _no_backup(archive: Path, why: str = "") -> StoreError:
    return StoreError(
        f"{archive} is no backup of the runner's, or is damaged; nothing was changed.", detail=why
    )


def pause_restored(database: Database, *, created: str, now: datetime) -> None:
    """Have the daemon that finds this state start paused, and say why."""
    why = (
        f"The state was restored from a backup of {created}. Its jobs may have run since: "
        "look at `runner jobs list`, then go on with `runner resume`."
    )
    database.write(partial(_pause, why=why, now=now))


def _pause(c: sa.Connection, *, why: str, now: datetime) -> None:
    facts.drop(c, _HOME)  # this says it already
    facts.drop(c, intake.AGENT)  # what the original holds elsewhere isn't held by the copy
    pauses.resume(c)  # an older pause was another one's
    pauses.pause(c, why=why, now=now)


# --- where a state belongs ----------------------------------------------------------------------


def settle(database: Database, state_dir: Path, *, now: datetime) -> str | None:
    """Pause a state that was copied here, or put back from a copy; the sentence that says so.

    A file that nobody writes to is known by its number and the time of its last change, which
    no copy can have, and a file system keeps. PostgreSQL's state isn't in this folder.
    """
    if database.dialect != "sqlite":
        return None
    with database.read() as c:
        known = facts.get(c, _HOME)
    here = _identity(state_dir)
    if known == here and here is not None:
        return None
    if here is None:
        (state_dir / _HOME).write_text("The runner knows its state directory by this file.\n", "utf-8")
        here = _identity(state_dir)
    why = None
    if known is not None:
        why = (
            f"The state in {state_dir} was copied or restored. Its jobs may have run where it comes from: "
            "look at `runner jobs list`, then go on with `runner resume`."
        )
    database.write(partial(_move_in, here=here or "", why=why, now=now))
    return why


def _identity(state_dir: Path) -> str | None:
    try:
        found = (state_dir / _HOME).stat()
    except FileNotFoundError:
        return None
    return f"{found.st_ino}:{found.st_ctime_ns}"


def _move_in(c: sa.Connection, *, here: str, why: str | None, now: datetime) -> None:
    if why is not None:
        _pause(c, why=why, now=now)
    facts.put(c, _HOME, here)
