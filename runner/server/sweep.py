"""Files that an upload left behind when the daemon died under it."""

import time
from pathlib import Path

from runner.store import uploads
from runner.store.database import Database

YOUNGEST = 3600
"""Seconds a file is left alone: another daemon may share the folder and be receiving it."""


def remove_orphans(folder: Path, database: Database, *, youngest: float = YOUNGEST) -> int:
    """Remove files that no row of the store knows; how many. Call it before listening."""
    before = time.time() - youngest
    there = [path for path in folder.iterdir() if path.is_file() and path.stat().st_mtime <= before]
    known = database.write(uploads.files) if there else set()
    orphans = [path for path in there if path.name not in known]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)
