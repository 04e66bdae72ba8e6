"""All remote servers together: a poller, a holder and a delivery for each."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from runner import reconcile
from runner.delivery import Deliverer
from runner.errors import RunnerError, StoreError
from runner.holding import Holder
from runner.metrics import Metrics
from runner.model.network import Network
from runner.poller import Poller
from runner.sdelements.server import Presence
from runner.sdelements.taking import Connector
from runner.settings import Remote
from runner.store import outbox
from runner.store.database import Database
from runner.store.vault import Vault

_DAY = 86400.0  # seconds
_JOIN = 10.0  # seconds that a request in hand is waited for


class Remotes:
    """Pollers and deliveries; without any remote it does nothing."""

    def __init__(
        self,
        settings: Mapping[str, Remote],
        database: Database,
        *,
        network: Network,
        systems: Callable[[], Mapping[str, Connector]],
        clock: Callable[[], datetime],
        wake: Callable[[], None],
        vault: Vault,
        secret: Callable[[str, str], bool],
        room: int,
        refusing: Callable[[], str],
        hand_back: Callable[[int, str], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._network = network
        self._clock = clock
        self._ended = threading.Event()
        self._log = structlog.get_logger(part="remotes")
        self._database = database
        self.presences = {name: Presence(name) for name in settings}
        self.pollers = {
            name: Poller(
                name,
                one,
                database,
                presence=self.presences[name],
                network=network,
                systems=systems,
                clock=clock,
                wake=wake,
                vault=vault,
                secret=secret,
                room=room,
                refusing=refusing,
                metrics=metrics,
            )
            for name, one in settings.items()
        }
        self.deliverers = {
            name: Deliverer(
                name,
                one,
                database,
                presence=self.presences[name],
                network=network,
                clock=clock,
                on_delivered=self.pollers[name].wake,
            )
            for name, one in settings.items()
            if one.mode == "run"
        }
        self.holders = {
            name: Holder(
                name,
                settings[name],
                database,
                presence=self.presences[name],
                network=network,
                clock=clock,
                refusing=refusing,
                hand_back=hand_back,
            )
            for name in self.deliverers
        }
        self._started = False

    def start(self) -> None:
        """Begin to poll and to deliver."""
        self._started = True
        if len(self.deliverers) < len(self.pollers):
            threading.Thread(target=self._compare_daily, name="comparison", daemon=True).start()
        self.hold()
        for thread in (*self.pollers.values(), *self.deliverers.values()):
            thread.start()

    def hold(self) -> None:
        """Begin to hold what was claimed."""
        for holder in self.holders.values():
            holder.start()

    def poll_once(self) -> int:
        """Look for work now, on this thread; how many jobs are new here.

        A server that is away is told of in the log.
        """
        before = sum(poller.seen.taken for poller in self.pollers.values())
        for poller in self.pollers.values():
            poller.round()
        return sum(poller.seen.taken for poller in self.pollers.values()) - before

    def wake(self) -> None:
        """Deliver: a job has ended."""
        for deliverer in self.deliverers.values():
            deliverer.wake()

    def stop_polling(self) -> None:
        """Take no more work."""
        for poller in self.pollers.values():
            poller.end()

    def stop(self, *, deadline: float = 0.0) -> None:
        """End all loops; what is due is delivered first, for ``deadline`` seconds at the most."""
        self._ended.set()
        self.stop_polling()
        for deliverer in self.deliverers.values():
            deliverer.end()
        if self._started:
            for thread in (*self.pollers.values(), *self.deliverers.values()):
                thread.join(_JOIN)
        if deadline:
            self.deliver(deadline)
        for holder in self.holders.values():
            holder.end()
        for holder in self.holders.values():
            if holder.ident is not None:
                holder.join(_JOIN)
                if deadline and not holder.is_alive():
                    holder.last_round()

    def deliver(self, seconds: float) -> bool:
        """Deliver what is due on this thread, for so long at the most; whether all of it went."""
        end, went = time.monotonic() + seconds, True
        with contextlib.suppress(StoreError):
            for deliverer in self.deliverers.values():
                if not deliverer.is_alive():
                    went = deliverer.flush(deadline=end) and went
            return went
        return False

    def healthy(self) -> bool:
        """Whether all loops come round."""
        if not self._started:
            return True
        loops: list[Poller | Deliverer | Holder] = [*self.pollers.values(), *self.deliverers.values()]
        return all(one.healthy() for one in [*loops, *self.holders.values()])

    def anything_due(self) -> bool:
        """Whether any result waits to be delivered."""
        with self._database.read() as c:
            return any(outbox.counts(c, name)["undelivered"] for name in self.deliverers)

    def reconcile(self, name: str, since: timedelta = reconcile.SINCE) -> dict[str, Any] | None:
        """Our history beside a server's; None if there is no such remote."""
        settings = self._settings.get(name)
        if settings is None:
            return None
        found = reconcile.look(
            name, settings, self._database, network=self._network, now=self._clock(), since=since
        )
        return reconcile.told(found)

    def _compare_daily(self) -> None:
        """Tell, once a day, how what was only planned compares with what was done over there."""
        while not self._ended.wait(_DAY):
            for name in self.pollers.keys() - self.deliverers.keys():
                try:
                    found = self.reconcile(name, timedelta(days=1))
                except RunnerError as error:
                    self._log.warning("remote_was_not_compared", remote=name, why=error.message)
                else:
                    self._log.info("remote_was_compared", remote=name, **(found or {}))

    def status(self) -> list[dict[str, Any]]:
        """What a person wants to know of each."""
        return [
            {
                "name": name,
                "away": self.presences[name].why,
                **poller.status(),
                **(
                    self.deliverers[name].status()
                    if name in self.deliverers
                    else {"delivered": 0, "undelivered": 0, "refused": 0}
                ),
            }
            for name, poller in self.pollers.items()
        ]
