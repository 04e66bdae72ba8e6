"""Removing what is kept no longer, as ``[retention]`` says: little by little, once an hour."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import sqlalchemy as sa
import structlog

from runner.settings import Retention
from runner.store import answers, job_collections, job_log
from runner.store import retention as store
from runner.store.database import Database

T = TypeVar("T")

_FIRST = 60.0  # seconds after the start; later turns are an hour apart
_EVERY = 3600.0
_ANSWERS = timedelta(days=7)  # how long a client may ask again with its Idempotency-Key
_PAUSE = 0.02  # seconds after each write, for others to come in between
_PAGES = 256  # of a SQLite file, given back in one write
_SPARE = 1024  # free pages that stay in the file, for what comes next

_Look: TypeAlias = Callable[..., store.Expired]


class Remover(threading.Thread):
    """The thread that removes; ``turn`` is what it does each hour."""

    def __init__(
        self, database: Database, *, keep: Retention, uploads: Path, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(name="remover", daemon=True)
        self._database = database
        self.keep = keep
        self._uploads = uploads
        self._clock = clock
        self._ended = threading.Event()
        self._log = structlog.get_logger(part="retention")

    def run(self) -> None:
        """Take turns until told to end."""
        wait = _FIRST
        while not self._ended.wait(wait):
            wait = _EVERY
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - what isn't removed now is removed at the next turn
                self._log.exception("retention_failed")

    def end(self) -> None:
        """End it, between two writes if need be; the next turn does what is left."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def turn(self, *, spare: int = _SPARE) -> dict[str, int]:
        """Remove all that is over its time; how much of each.

        ``spare`` is how many free pages a SQLite file keeps.
        """
        now = self._clock()
        removed = {
            "previews": self._jobs(store.expired_previews, now - self.keep.previews),
            "changes": self._changes(now - self.keep.changes),
            "jobs": self._jobs(store.expired_jobs, now - self.keep.jobs),
            "files": self._files(now, now - self.keep.uploads),
        }
        self._repeat(store.remove_uploads)
        self._repeat(partial(job_log.remove, before=now - self.keep.logs, limit=store.BATCH))
        self._repeat(partial(job_collections.remove_runs, before=now - self.keep.jobs, limit=store.BATCH))
        self._repeat(partial(answers.remove, before=now - _ANSWERS, limit=store.BATCH))
        if any(removed.values()):
            self._log.info("old_things_were_removed", **removed)
        self._give_back(spare)
        return removed

    def _jobs(self, look: _Look, before: datetime) -> int:
        """Remove jobs, their changes first: so no write has more to do than one batch."""
        removed = 0
        for job_ids in self._pages(look, before):
            self._repeat(partial(store.remove_changes, job_ids=job_ids))
            removed += self._write(partial(store.remove_jobs, job_ids=job_ids))
        return removed

    def _changes(self, before: datetime) -> int:
        pages = self._pages(store.expired_jobs, before)
        return sum(self._repeat(partial(store.remove_changes, job_ids=job_ids)) for job_ids in pages)

    def _files(self, now: datetime, before: datetime) -> int:
        """Remove files; a row says so before its file goes, and one left behind is found at a start."""
        removed = 0
        while not self._ended.is_set():
            files = self._write(partial(store.give_up_uploads, before=before, now=now))
            for file in files:
                (self._uploads / file).unlink(missing_ok=True)
            removed += len(files)
            if len(files) < store.BATCH:
                break
        return removed

    def _give_back(self, spare: int) -> None:
        """Shrink a SQLite file that has many free pages, a little with each write."""
        left = self._write(store.free_pages)
        while left > spare and not self._ended.is_set():
            before, left = left, self._write(partial(store.give_back_space, pages=min(_PAGES, left - spare)))
            if left >= before:
                break  # a file that was made without this can't shrink

    def _pages(self, look: _Look, before: datetime) -> Iterator[Sequence[int]]:
        """The ids of jobs that are over their time, some hundred at a time."""
        after: int | None = 0
        while after is not None and not self._ended.is_set():
            with self._database.read() as c:
                expired = look(c, before=before, after=after)
            after = expired.after
            if expired.job_ids:
                yield expired.job_ids

    def _repeat(self, remove: Callable[[sa.Connection], int]) -> int:
        """Remove until nothing is left to remove; how much it was in all."""
        total = 0
        while not self._ended.is_set() and (removed := self._write(remove)):
            total += removed
        return total

    def _write(self, write: Callable[[sa.Connection], T]) -> T:
        done = self._database.write(write)
        self._ended.wait(_PAUSE)
        return done
