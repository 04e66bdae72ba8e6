"""Putting a backup back, in a folder beside first: so a damaged archive changes nothing."""

import shutil
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.store import backup, migrate
from runner.store.backup import About
from runner.store.database import open_database
from runner.store.lock import StateLock

if TYPE_CHECKING:
    from runner.settings import Settings

_PARTS = ("runner.db", "runner.db-wal", "runner.db-shm", *backup.FOLDERS, backup.KEY)
"""What of a state directory a backup replaces; the key only if it has one."""


def put_back(archive: Path, settings: "Settings") -> tuple[Path | None, About]:
    """Replace the state by that of ``archive``; the folder with what was there, and what the archive says."""
    state_dir = settings.state_dir.absolute()
    store = state_dir / "runner.db"
    if settings.store_url != f"sqlite:///{store}":
        msg = f"[store] url is set, so the store isn't {store}; restore it with the means of that database."
        raise StoreError(msg)
    now = datetime.now(UTC)
    with StateLock(state_dir):
        folder = Path(tempfile.mkdtemp(dir=state_dir, prefix="restore-"))
        try:
            about = backup.extract(archive, folder)
            for name in backup.FOLDERS:
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            with closing(open_database(f"sqlite:///{folder / 'runner.db'}")) as database:
                migrate.upgrade(database)
                backup.pause_restored(database, created=about.created, now=now)
            aside = _set_aside(state_dir, with_key=(folder / backup.KEY).exists(), now=now)
            for part in (*backup.FOLDERS, backup.KEY, "runner.db"):
                if (folder / part).exists():
                    (folder / part).rename(state_dir / part)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return aside, about


def _set_aside(state_dir: Path, *, with_key: bool, now: datetime) -> Path | None:
    there = [state_dir / name for name in _PARTS if name != backup.KEY or with_key]
    there = [path for path in there if path.exists()]
    if not there:
        return None
    aside = state_dir / f"before-restore-{now:%Y%m%dT%H%M%SZ}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside
