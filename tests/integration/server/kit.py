"""A real server on a loopback port and a Unix socket, with a stand-in for the engine."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from runner.engine.catalogue import System
from runner.engine.probes import StepTold
from runner.errors import Refused
from runner.model.jobs import Connection, Kind, State
from runner.server.services import Services
from runner.store import accounts, claims, connections, work
from runner.store.accounts import Role, Scope
from runner.store.database import Database
from runner.store.schema import jobs, notes, tasks
from runner.store.values import to_json, to_micros

SYSTEMS = {
    system.id: system
    for system in (
        System(
            id="fortify_file_upload",
            kind=Kind.ANALYSIS,
            name="Fortify Software Security Center",
            short_name="Fortify",
            command="import_fortify",
            file_upload=True,
        ),
        System(
            id="whitehat",
            kind=Kind.ANALYSIS,
            name="WhiteHat Sentinel",
            short_name="Whitehat",
            command="import_whitehat",
            secrets=("wh_api_token",),
        ),
        System(
            id="rally",
            kind=Kind.ALM,
            name="Rally",
            short_name="Rally",
            command="sync_rally",
            writes_outside=True,
            secrets=("alm_pass",),
        ),
        System(id="ldap", kind=Kind.LDAP, name="LDAP", short_name="LDAP", command="sync_ldap"),
        System(id="torn", kind=Kind.ANALYSIS, name="torn", short_name="torn", command="", broken="no module"),
    )
}


@dataclass
class EngineStandIn:
    """Records what the server asks of it."""

    wakes: int = 0
    cancelled: list[int] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=lambda: {"claiming": True, "trouble": None})
    alive: bool = True
    checked: list[Connection] = field(default_factory=list)
    directories: list[tuple[dict[str, str], str | None]] = field(default_factory=list)

    def wake(self) -> None:
        """Count it."""
        self.wakes += 1

    def cancel(self, job_id: int) -> None:
        """Note it."""
        self.cancelled.append(job_id)

    def systems(self) -> Mapping[str, System]:
        """Tell the systems above."""
        return SYSTEMS

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """Refuse a param called ``refuse_me``."""
        assert system in SYSTEMS
        if "refuse_me" in params:
            raise Refused("refuse_me is no such thing.", field="params")

    def completed(self, connection: Connection) -> Connection:
        """Leave it as it is: nothing is named here."""
        return connection

    def check(self, connection: Connection) -> list[StepTold]:
        """Note what was to be tested; it fails if a param says so."""
        self.checked.append(connection)
        good = "fail" not in connection.params
        return [StepTold("connect", ok=True), StepTold("log in", ok=good, message="" if good else "No.")]

    def ask_directory(self, settings: Mapping[str, str], *, match: str | None) -> list[dict[str, str]]:
        """Note what was asked; a host called "away" can't be reached."""
        self.directories.append((dict(settings), match))
        if settings["host"] == "away":
            raise Refused("Nobody answers at away.")
        if match is None:
            return [{"name": "log-in", "ok": "true", "message": "Logged in."}]
        return [{"name": "John Doe", "email": "", "phone": "", "username": "JohnDoe"}]

    def status(self) -> dict[str, Any]:
        """Tell what the test put there."""
        return dict(self.told)

    def healthy(self) -> bool:
        """Tell what the test put there."""
        return self.alive


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time, a moment later than before."""
        self.now += timedelta(microseconds=1)
        return self.now


class Client(requests.Session):
    """A session with one token, which knows where the server is."""

    def __init__(self, base: str, token: str | None) -> None:
        super().__init__()
        self.trust_env = False
        self.base = base
        self.token = token
        if token is not None:
            self.headers["Authorization"] = f"Token {token}"

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]  # as loose as the base
        """Send a request to a path below ``/api/v2/``, or to any that begins with a slash."""
        if not url.startswith("http"):
            url = self.base + (url if url.startswith("/") else f"/api/v2/{url}")
        options.setdefault("timeout", 30)
        return super().request(method, url, *args, **options)


@dataclass
class Running:
    """The server under test and what stands behind it."""

    base: str
    socket: Path
    services: Services
    engine: EngineStandIn
    clock: Clock
    clients: list[Client] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """The store."""
        return self.services.database

    def token(self, *scopes: Scope, email: str = "", role: Role = Role.USER) -> str:
        """A token with these scopes, of a user who is made if need be."""
        email = email or ("boss@example.com" if Scope.ADMIN in scopes else "somebody@example.com")

        def write(c: Any) -> str:
            user = accounts.user_by_email(c, email)
            ident = (
                accounts.create_user(c, email=email, role=role, now=self.clock()) if user is None else user.id
            )
            return accounts.create_token(c, user_id=ident, scopes=scopes, expires=None, now=self.clock())[1]

        return self.database.write(write)

    def client(self, *scopes: Scope, email: str = "", role: Role = Role.USER) -> Client:
        """A session with a token of these scopes; without any, no token."""
        if Scope.ADMIN in scopes:
            role = Role.ADMINISTRATOR
        made = Client(self.base, self.token(*scopes, email=email, role=role) if scopes else None)
        self.clients.append(made)
        return made

    def admin(self) -> Client:
        """A session that may do everything."""
        return self.client(Scope.ADMIN)

    def project(self, name: str = "Webshop") -> int:
        """A project with two tasks."""

        def write(c: Any) -> int:
            now = self.clock()
            unit = work.create_business_unit(c, name=f"Unit of {name}", now=now)
            assert unit is not None
            owner = work.create_application(
                c, business_unit_id=unit, name=f"Application of {name}", priority="0-none", now=now
            )
            assert owner is not None
            made = work.create_project(c, application_id=owner, name=name, description="", now=now)
            assert made is not None
            for number, title in ((21, "Escape what is shown"), (38, "Bind variables in SQL")):
                c.execute(
                    tasks.insert().values(
                        project_id=made,
                        task_id=f"T{number}",
                        title=title,
                        priority=number // 4,
                        phase="development",
                        cwes=to_json([79]),
                        tags=to_json(["web"]),
                        created=to_micros(now),
                        updated=to_micros(now),
                    )
                )
            return made

        return self.database.write(write)

    def connection(self, system: str = "rally", *, project_id: int | None = None, **more: Any) -> int:
        """A connection of a system."""
        known = SYSTEMS[system]
        fields: dict[str, Any] = {"alias": f"My {known.short_name}", "params": {}, **more}
        return self.database.write(
            lambda c: connections.create(
                c,
                kind=known.kind,
                system=system,
                command=known.command,
                project_id=project_id,
                now=self.clock(),
                **fields,
            )
        )

    def finished_jobs(self, connection_id: int, number: int, **values: Any) -> None:
        """Many finished jobs of a connection, written at once."""

        def write(c: Any) -> None:
            now = to_micros(self.clock())
            row = {
                "kind": "alm",
                "connection_id": connection_id,
                "state": "finished",
                "outcome": "succeeded",
                "not_before": now,
                "created": now,
                "last_run": now,
                **values,
            }
            c.execute(jobs.insert(), [{**row, "uuid": str(count)} for count in range(number)])

        self.database.write(write)

    def start_next(self) -> int:
        """Claim the next job, as the engine would."""
        return self.database.write(lambda c: claims.claim(c, owner="test", now=self.clock()))[0].job.id

    def state(self, job_id: int) -> State:
        """The state of a job."""
        with self.database.read() as c:
            return State(c.execute(jobs.select().where(jobs.c.id == job_id)).one().state)

    def analysis_note(self, task_row: int, text: str) -> None:
        """A note as an import writes it."""
        from runner.store.schema import analysis_sessions

        def write(c: Any) -> None:
            now = to_micros(self.clock())
            session = c.execute(
                analysis_sessions.insert()
                .values(project_id=1, analysis_ref="Build 7", analysis_type="fortify", key=text, created=now)
                .returning(analysis_sessions.c.id)
            ).scalar_one()
            c.execute(
                notes.insert().values(
                    task=task_row,
                    text=text,
                    automatic=True,
                    session_id=session,
                    analysis_type="fortify",
                    status="fail",
                    confidence="high",
                    behaviour="replace",
                    findings=to_json([{"count": 2, "desc": "XSS"}]),
                    created=now,
                    updated=now,
                )
            )

        self.database.write(write)


def curl(*arguments: str) -> tuple[int, str]:
    """Run the real curl; the status and the body of the answer."""
    program = shutil.which("curl")
    assert program is not None, "curl is needed"
    done = subprocess.run(
        [program, "-sS", "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


Starter = Callable[..., Running]
