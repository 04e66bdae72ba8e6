"""The same world with its platform on a remote server, which runs reach over REST."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.conformance.platform import Platform
from runner.conformance.world import World, add_project, utc_now
from runner.engine.probes import StepTold
from runner.model.jobs import Connection
from runner.server.app import create_app
from runner.server.local import as_local_administrator
from runner.server.serve import HttpServer
from runner.server.services import Services
from runner.settings import Settings
from runner.store import accounts, connections
from runner.store.accounts import Scope
from runner.store.database import open_database
from runner.store.vault import KEY_FILE, Vault

REMOTE = "far"


class _NoEngine:
    """The server over there runs nothing."""

    def wake(self) -> None:
        """There is nobody to wake."""

    def cancel(self, job_id: int) -> None:
        """There is nothing to cancel."""

    def systems(self) -> dict[str, Any]:
        """It has no connectors."""
        return {}

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """It takes whatever it is told."""

    def completed(self, connection: Connection) -> Connection:
        """It knows no names."""
        return connection

    def check(self, connection: Connection) -> list[StepTold]:
        """It tests nothing."""
        return []

    def ask_directory(self, settings: Mapping[str, str], *, match: str | None) -> list[dict[str, str]]:
        """It knows no directory."""
        return []

    def status(self) -> dict[str, Any]:
        """It has nothing to tell."""
        return {"claiming": False, "trouble": None}

    def healthy(self) -> bool:
        """It does nothing, and that well."""
        return True


class RemoteWorld(World):
    """One world whose project is on another server."""

    def _found(self, home: Path) -> Platform:
        there = home / "there"
        (there / "uploads").mkdir(parents=True)
        shutil.copyfile(self._daemons.empty_store, there / "runner.db")
        self._open_there = ExitStack()
        database = open_database(f"sqlite:///{there / 'runner.db'}")
        self._open_there.callback(database.close)
        settings = Settings.model_validate({"state_dir": str(there), "server": {"listen": "127.0.0.1:0"}})
        services = Services(
            settings_now=lambda: settings,
            database=database,
            engine=_NoEngine(),
            vault=Vault(there / KEY_FILE),
            uploads=there / "uploads",
            clock=utc_now,
        )
        app = create_app(services)
        server = HttpServer(
            listen=settings.server.listen,
            app=app,
            socket_path=there / "runner.sock",
            socket_app=as_local_administrator(app),
        )
        server.start()
        self._open_there.callback(server.stop)
        token = database.write(_add_agent)
        self.settings = {
            "remote": {REMOTE: {"url": f"http://127.0.0.1:{server.port}", "token": token, "timeout": "10s"}}
        }
        return Platform(there / "runner.db", database.write(add_project))

    def _connect(self, c: sa.Connection, project_id: int) -> int:
        made = connections.create(
            c,
            kind=self.arena.kind,
            system=self.arena.system,
            alias=self.arena.system,
            command="",
            project_id=None,
            params={},
            inaccessible=True,
            now=utc_now(),
        )
        origin = {"remote": REMOTE, "remote_id": 1, "remote_project": project_id}
        connections.update(c, made, origin, now=utc_now())
        return made

    def close(self) -> None:
        """Stop the server over there."""
        self._open_there.close()


def _add_agent(c: sa.Connection) -> str:
    """Give a token as agents have it."""
    # Directories are kept in step by superusers' agents only; what a token may, its scopes say.
    user = accounts.create_user(c, email="agent@example.com", is_superuser=True, now=utc_now())
    scopes = [Scope.READ, Scope.VERIFY, Scope.AGENT]
    return accounts.create_token(c, user_id=user, scopes=scopes, expires=None, now=utc_now())[1]
