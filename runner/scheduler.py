"""The scheduler: connections run by themselves, each at its slots.

APScheduler calls ``tick`` each second and does nothing else. A tick asks the store what is
due, adds a job for each slot and says when the connection is due next, two thousand rows in
one write. Nothing is kept in memory, so a restart costs nothing, and what fell due meanwhile is
due at the next tick, once. A connection whose scheduled job still waits gets no second one.

Collections of datasync jobs are looked after in passing: those that are due begin, and a run whose
job has ended goes on with its next.

The wall clock is compared at each tick. Where it was put back, and where the timetable was
changed, slots to come are computed anew; a slot that had its job gets no other.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from runner.errors import StoreError
from runner.metrics import Metrics
from runner.model.calendar import Slots, Timetable
from runner.model.jobs import Frequency
from runner.store import accounts, job_collections
from runner.store import schedule as store
from runner.store.database import Database
from runner.store.schedule import Row

EVERY = 1.0
"""Seconds between ticks."""

_PAGE = 2000  # connections in one write: 0.1 s during which nobody else writes
_PUT_BACK = timedelta(minutes=1)  # less is a clock that was corrected: slots are minutes apart
_LATE = 5.0  # seconds without a tick after which the clock was put back under APScheduler
_SHORTEST = timedelta(minutes=30)  # half of what lies between two slots of any frequency
_STUCK = 300.0  # seconds in one tick after which it makes no progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """What a tick, or a page of one, did."""

    enqueued: int = 0
    coalesced: int = 0  # slots whose connection had a scheduled job waiting
    missed: int = 0  # slots between the one that was caught up and now
    lag: timedelta = timedelta(0)  # of the slot that waited longest for its tick
    rows: int = 0  # connections that were told a new slot

    def __add__(self, other: "Ticked") -> "Ticked":
        return Ticked(
            enqueued=self.enqueued + other.enqueued,
            coalesced=self.coalesced + other.coalesced,
            missed=self.missed + other.missed,
            lag=max(self.lag, other.lag),
            rows=self.rows + other.rows,
        )


class Scheduler:
    """Enqueues what is due. ``wake`` is called when there is something to claim."""

    def __init__(
        self,
        timetable: Timetable,
        database: Database,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._timetable = timetable
        self._database = database
        self._clock = clock
        self._wake = wake
        self._metrics = metrics or Metrics()
        self._log = structlog.get_logger(part="scheduler")
        self._turn = threading.Lock()  # one tick at a time
        self._stopping = False
        self._away = False  # whether the store took the last tick's writes
        self._timer: Any = None  # APScheduler's; it publishes no types
        self._agreed = False  # whether stored slots go by the timetable in force
        self._beat = time.monotonic()
        self._total = Ticked()
        self._known: dict[tuple[str, str | None, str | None], Slots | None] = {}

    # --- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Tick each second, in a thread of its own."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        # It tells each tick, and that one was skipped while a long one went on.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._timer = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            # Without these it would drop what it comes late to.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._timer.add_job(
            self._on_time, "interval", seconds=EVERY, id="tick", next_run_time=datetime.now(UTC)
        )
        self._beat = time.monotonic()
        self._timer.start()

    def stop(self) -> None:
        """End after the page in hand."""
        self._stopping = True
        if self._timer is not None:
            self._timer.shutdown()
            self._timer = None

    def watch(self) -> None:
        """Tick now if no tick came for some seconds; whoever has a steady clock calls this.

        APScheduler waits by the wall clock: put back by a day, it would sleep for a day.
        """
        if self._timer is not None and time.monotonic() - self._beat > _LATE and not self._turn.locked():
            self._beat = time.monotonic()
            self._timer.modify_job("tick", next_run_time=datetime.now(UTC))

    def healthy(self) -> bool:
        """Whether ticks come and go."""
        return self._timer is None or time.monotonic() - self._beat < _STUCK

    def status(self) -> dict[str, Any]:
        """What a person wants to know of it."""
        with self._database.read() as c:
            slots = [at for at in (store.next_due(c), job_collections.next_due(c)) if at is not None]
        following = min(slots, default=None)
        total = self._total
        return {
            "next": None if following is None else following.isoformat().replace("+00:00", "Z"),
            "timezone": self._timetable.zone.key,
            "enqueued": total.enqueued,
            "coalesced": total.coalesced,
            "missed": total.missed,
            "lag_seconds": total.lag.total_seconds(),
        }

    def swap(self, timetable: Timetable) -> None:
        """Go by another timetable from the next tick on."""
        with self._turn:
            self._timetable, self._agreed = timetable, False
            self._known.clear()

    # --- a tick --------------------------------------------------------------------------

    def _on_time(self) -> None:
        self._beat = time.monotonic()
        try:
            self.tick()
        except StoreError as error:
            # Once when it goes, once when it is back: the ticks between are no news.
            if not self._away:
                self._log.warning("tick_failed", why=error.message, detail=error.detail)
            self._away = True
        except Exception:  # noqa: BLE001 - the next tick tries again
            self._log.exception("tick_failed")
        else:
            if self._away:
                self._log.info("ticks_go_on")
            self._away = False
        self._beat = time.monotonic()

    def tick(self) -> Ticked:
        """Enqueue all that is due by now."""
        with self._turn:
            now = self._clock()
            done = self._agree(now)
            with self._database.read() as c:
                beginning = job_collections.anything_due(c, now=now)
                going_on = job_collections.anything_ready(c)
                due = store.anything_to_do(c, now=now)
            if beginning and self._database.write(partial(self._begin_due, now=now)):
                self._wake()
            if going_on:
                self._advance()
            if not due:
                return done
            done += self._pages(partial(self._tell, now=now, choose=_choose_unscheduled))
            done += self._enqueue(now)
            self._total += done
            return done

    def _agree(self, now: datetime) -> Ticked:
        """Compute the slots to come anew if the clock or the timetable isn't what they went by."""
        text = repr((self._timetable.zone.key, self._timetable.rules, self._timetable.spread))
        with self._database.read() as c:
            seen = store.seen(c)
            put_back = seen is not None and now < seen - _PUT_BACK
            if self._agreed and not put_back:
                return Ticked()
            before = store.timetable(c)
        done = Ticked()
        if put_back or before not in {text, None}:
            self._log.warning("slots_were_computed_anew", put_back=put_back, seen=str(seen))
            done = self._pages(partial(self._tell, now=now, choose=_choose_later))
        if self._stopping:
            return done
        if put_back or before != text:
            self._database.write(partial(_remember, text=text, now=now if put_back else None))
        self._agreed = True
        return done

    def go_on(self) -> bool:
        """Let collections' runs go on whose job has ended; whether there were any."""
        with self._database.read() as c:
            ready = job_collections.anything_ready(c)
        return ready and self._advance()

    def _advance(self) -> bool:
        began = False
        while not self._stopping and self._database.write(
            partial(job_collections.advance, now=self._clock())
        ):
            began = True
        if began:
            self._wake()
        return began

    def _begin_due(self, c: sa.Connection, *, now: datetime) -> bool:
        """Begin runs of the collections that are due, and say when they are next."""
        began = False
        for held in job_collections.due(c, now=now):
            slots = self._timetable.slots(Frequency.MANUALLY, held.schedule, None)
            assert slots is not None  # it has a cron expression
            if held.next_run is not None:
                user_id = accounts.find_service_account(c)
                began |= job_collections.begin_slot(c, held, user_id=user_id, now=now)
            job_collections.set_next(c, held.id, slots.after(now))
        return began

    def _pages(self, page: "Callable[[sa.Connection, int], tuple[Ticked, int]]") -> Ticked:
        """Write page by page, by number, until one is empty."""
        done, after = Ticked(), 0
        while not self._stopping:
            some, last = self._database.write(partial(_positional, page, after))
            done += some
            self._beat = time.monotonic()
            if last == after:
                break
            after = last
        return done

    def _tell(
        self, c: sa.Connection, after: int, *, now: datetime, choose: "Callable[..., list[Row]]"
    ) -> tuple[Ticked, int]:
        """Say when some connections are due next; the number of the last of them."""
        rows = choose(c, now=now, after=after)
        if not rows:
            return Ticked(), after
        told = [(row.id, self._next(row, now)) for row in rows]
        store.set_next(c, told)
        return Ticked(rows=len(told)), rows[-1].id

    def _enqueue(self, now: datetime) -> Ticked:
        done = Ticked()
        while not self._stopping:
            some = self._database.write(partial(self._enqueue_page, now=now))
            self._beat = time.monotonic()
            if some.rows == 0:
                break
            done += some
            if some.enqueued:
                self._wake()
        if done.rows:
            self._metrics.count("runner_schedule_enqueued_total", done.enqueued)
            self._metrics.count("runner_schedule_missed_total", done.missed)
            self._log.info(
                "slots_were_enqueued",
                enqueued=done.enqueued,
                coalesced=done.coalesced,
                missed=done.missed,
                lag_seconds=round(done.lag.total_seconds(), 3),
            )
        return done

    def _enqueue_page(self, c: sa.Connection, *, now: datetime) -> Ticked:
        rows = store.due(c, now=now, limit=_PAGE)
        if not rows:
            return Ticked()
        running = [row for row in rows if row.runs]
        told = [(row.id, self._next(row, now) if row.runs else None) for row in rows]
        made = store.enqueue(
            c, [row.id for row in running], user_id=accounts.find_service_account(c), now=now
        )
        store.set_next(c, told)
        store.note_seen(c, now)
        oldest = rows[0].next_run or now
        return Ticked(
            enqueued=made,
            coalesced=len(running) - made,
            missed=sum(self._missed(row, at, now) for row, (_, at) in zip(rows, told, strict=True)),
            lag=now - oldest,
            rows=len(rows),
        )

    def _next(self, row: Row, now: datetime) -> datetime | None:
        slots = self._slots(row)
        return None if slots is None else slots.after(now, row.id)

    def _missed(self, row: Row, following: datetime | None, now: datetime) -> int:
        """How many slots passed after the one that is caught up."""
        if row.next_run is None or following is None:
            return 0
        if row.schedule is None and now - row.next_run < _SHORTEST:
            return 0
        slots = self._slots(row)
        return 0 if slots is None else slots.between(row.next_run, following, row.id)

    def _slots(self, row: Row) -> Slots | None:
        key = (row.frequency, row.schedule, row.timezone)
        if key not in self._known:
            self._known[key] = self._find_slots(row)
        return self._known[key]

    def _find_slots(self, row: Row) -> Slots | None:
        try:
            return self._timetable.slots(row.frequency, row.schedule, row.timezone)
        except ValueError as error:
            # The zone was known when it was set: this machine's zones are others. Its own zone stands in.
            self._log.error("zone_is_unknown", connection=row.id, why=str(error))
            return self._timetable.slots(row.frequency, row.schedule, None)


def _positional(
    page: Callable[[sa.Connection, int], tuple[Ticked, int]], after: int, c: sa.Connection
) -> tuple[Ticked, int]:
    return page(c, after)


def _choose_unscheduled(c: sa.Connection, *, now: datetime, after: int) -> list[Row]:
    return store.unscheduled(c, after=after, limit=_PAGE)


def _choose_later(c: sa.Connection, *, now: datetime, after: int) -> list[Row]:
    return store.scheduled_later(c, now=now, after=after, limit=_PAGE)


def _remember(c: sa.Connection, *, text: str, now: datetime | None) -> None:
    store.note_timetable(c, text)
    job_collections.forget_slots(c)
    if now is not None:
        store.note_seen(c, now)
