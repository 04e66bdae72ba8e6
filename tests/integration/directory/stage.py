"""A platform with a directory connection, and daemons that synchronise it: real processes, a real store."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.conformance.daemons import Daemons
from runner.model.changes import ChangeState, StoredChange
from runner.model.jobs import Frequency, Kind
from runner.scheduler import Scheduler
from runner.settings import Scheduler as SchedulerSettings
from runner.store import (
    accounts,
    approvals,
    changes,
    connections,
    group_mappings,
    groups,
    ldap_servers,
    listing,
    queue,
)
from runner.store.database import open_database
from runner.store.pages import Cut
from runner.store.people import account_page
from runner.store.vault import KEY_FILE, Vault

_PAGE = 1000
_LONG_AGO = timedelta(days=7)  # when the schedule's clock begins, so that it has slots to go through


@dataclass
class _Clock:
    """A clock that is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How a sync ended."""

    id: int
    outcome: str
    reason: str | None
    message: str
    rows: list[StoredChange]

    def told(self, *states: ChangeState) -> list[str]:
        """Operation and key of the changes in these states; done ones if none is named."""
        wanted = states or (ChangeState.DONE,)
        return [f"{row.op.value} {row.key}" for row in self.rows if row.state in wanted]


@dataclass
class Stage:
    """One store with one connection; groups of ours have the ids G1, G2, … in the order of their names."""

    home: Path
    daemons: Daemons
    params: Mapping[str, Any]
    groups: Iterable[str] = ("Developers", "Operators")
    mappings: Mapping[str, int] = field(default_factory=dict)
    safety: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = _Clock(datetime.now(UTC) - _LONG_AGO)
        self.state = self.home / "state"
        (self.state / "uploads").mkdir(parents=True)
        shutil.copyfile(self.daemons.empty_store, self.state / "runner.db")
        self.database = open_database(f"sqlite:///{self.state / 'runner.db'}")
        self.connection = self.database.write(self._fill)

    def _fill(self, c: sa.Connection) -> int:
        now = datetime.now(UTC)
        accounts.service_account(c, now=now)
        for name in self.groups:
            groups.create(c, name=name, now=now)
        made = connections.create(
            c,
            kind=Kind.LDAP,
            system="sync_ldap",
            alias="ldap",
            command="sync_ldap",
            project_id=None,
            params=dict(self.params),
            now=now,
        )
        for ldap_group, group_id in self.mappings.items():
            group_mappings.create(c, made, ldap_group=ldap_group, group_id=group_id, now=now)
        return made

    def close(self) -> None:
        """Let go of the store."""
        self.database.close()

    def set(self, **params: Any) -> None:
        """Change parameters of the connection."""
        self.params = {**self.params, **params}
        values = {"params": dict(self.params)}
        self.database.write(lambda c: connections.update(c, self.connection, values, now=datetime.now(UTC)))

    def user(self, email: str, **fields: Any) -> int:
        """Add an account by hand."""
        return self.database.write(
            lambda c: accounts.create_user(c, email=email, now=datetime.now(UTC), **fields)
        )

    def allow(self, number: int) -> None:
        """Let the next run take away so much."""
        self.database.write(
            lambda c: approvals.grant(
                c, connection_id=self.connection, allowed=number, user_id=None, now=datetime.now(UTC)
            )
        )

    def sync(self, **job: Any) -> Synced:
        """Ask for a run, let a daemon do it, and tell how it ended."""
        values = {"connection_id": self.connection, "kind": Kind.LDAP, **job}
        number = self.database.write(lambda c: queue.enqueue(c, now=datetime.now(UTC), **values)[0])
        self._live()
        return self._ended(number)

    def fall_due(self, frequency: Frequency) -> list[Synced]:
        """Let a slot of a schedule come, and a daemon do what follows; the jobs it gave, twice asked."""
        scheduler = Scheduler(
            SchedulerSettings().timetable(), self.database, clock=self.clock, wake=lambda: None
        )
        values = {"frequency": frequency}
        self.database.write(lambda c: connections.update(c, self.connection, values, now=self.clock()))
        wanted = listing.Wanted(kinds=(Kind.LDAP,), automatic=True)
        with self.database.read() as c:
            before = {job.id for job in listing.page(c, wanted, Cut(limit=1000))}
        scheduler.tick()
        self.clock.now += timedelta(hours=1)
        for _ in range(2):
            scheduler.tick()
        self._live()
        with self.database.read() as c:
            found = [job.id for job in listing.page(c, wanted, Cut(limit=1000)) if job.id not in before]
        return [self._ended(number) for number in found]

    def keep_server(self, name: str, settings: Mapping[str, str]) -> int:
        """Keep a directory's server, as the SecurityCenter dialect does; its id."""
        vault = Vault(self.state / KEY_FILE)
        stored = vault.seal(settings, lambda each: each == "password")
        now = datetime.now(UTC)
        return self.database.write(
            lambda c: ldap_servers.create(
                c, name=name, description="", settings=stored, organizations=[], now=now
            )
        )

    def _live(self) -> None:
        settings = {
            "state_dir": str(self.state),
            "engine": {"concurrency": 1, "retries": 0},
            "safety": dict(self.safety),
            "log": {"level": "debug", "format": "json"},
        }
        self.daemons.live(settings, log=self.home / "daemon.log")

    def _ended(self, number: int) -> Synced:
        with self.database.read() as c:
            found = listing.one(c, number)
            rows = changes.journal(c, number, after=0, limit=1_000_000)
        assert found is not None
        return Synced(
            id=number,
            outcome=str(found.outcome),
            reason=found.reason,
            message=found.result_message,
            rows=rows,
        )

    def took(self, job_id: int) -> timedelta:
        """How long a job ran."""
        with self.database.read() as c:
            found = listing.one(c, job_id)
        assert found is not None
        assert found.started is not None
        assert found.finished is not None
        return timedelta(microseconds=found.finished - found.started)

    def succeed(self, **job: Any) -> list[str]:
        """Synchronise, which has to go well; what was done."""
        done = self.sync(**job)
        assert done.outcome == "succeeded", done.message
        return done.told()

    def people(self) -> dict[str, dict[str, Any]]:
        """All accounts but the service's, by e-mail."""
        found: dict[str, dict[str, Any]] = {}
        after: int | None = 0
        with self.database.read() as c:
            while after is not None:
                rows, after = account_page(
                    c, connection_id=self.connection, author=None, after=after, limit=_PAGE
                )
                found |= {
                    row["email"]: row for row in rows if not row["protected"].endswith("service account")
                }
        return found

    def active(self) -> list[str]:
        """E-mails of those who may log in."""
        return sorted(email for email, row in self.people().items() if row["is_active"])

    def members(self, group: str = "G1") -> list[str]:
        """E-mails of a group's members."""
        return sorted(email for email, row in self.people().items() if group in row["groups"])
