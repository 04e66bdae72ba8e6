"""Two machines: one whose server has the jobs, and one whose daemon runs them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.servers.machine import Machine, free_port

ALLOW = '["acme_noop", "acme_nap", "acme_tasks", "acme_later", "acme_folder", "acme_door"]'


@dataclass
class Over:
    """The server's API, as its administrator uses it."""

    base: str
    token: str
    verify: str | bool = True  # a file with who vouches for its certificate

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Send a request; the answer's JSON."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self.verify
            headers = {"Authorization": f"Token {self.token}"}
            answer = session.request(
                method, f"{self.base}/api/v2/{path}", headers=headers, timeout=30, **options
            )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def answers(self) -> bool:
        """Whether the server answers at its port."""
        with contextlib.suppress(requests.ConnectionError):
            self.call("GET", "users/me/")
            return True
        return False

    def project(self) -> int:
        """The one project, made if need be."""
        found = self.call("GET", "projects/")["results"]
        if found:
            return int(found[0]["id"])
        unit = self.call("POST", "business-units/", json={"name": "Shops"})["id"]
        owner = self.call("POST", "applications/", json={"name": "Portal", "business_unit": unit})["id"]
        return int(self.call("POST", "projects/", json={"name": "Webshop", "application": owner})["id"])

    def connection(self, system: str = "acme_noop", *, kind: str = "alm", **more: Any) -> int:
        """Add a connection that the server leaves to an agent; its number."""
        if kind != "ldap" and "project" not in more:
            more["project"] = self.project()
        body = {"alias": f"Far {system}", "system": system, "params": {}, "inaccessible": True, **more}
        made: int = self.call("POST", f"connections/{kind}/", json=body)["id"]
        return made

    def ask(self, connection: int, *, kind: str = "alm", automatic: bool = False) -> int:
        """Ask for a run; the job's number."""
        body = {"connection": connection, "automatic": automatic, "ready": False}
        made: int = self.call("POST", f"jobs/{kind}/", json=body)["id"]
        return made

    def job(self, ident: int, *, kind: str = "alm") -> Any:
        """A job."""
        return self.call("GET", f"jobs/{kind}/{ident}/")

    def jobs(self, *, kind: str = "alm", **query: Any) -> list[Any]:
        """Jobs, the newest first."""
        found: list[Any] = self.call("GET", f"jobs/{kind}/", params=query)["results"]
        return found


def undelivered(machine: Machine) -> int:
    """Results that its remote server doesn't have yet."""
    found: int = machine.status()["remotes"][0]["undelivered"]
    return found


class Pair:
    """The two machines in one folder. ``through`` stands in for the server's own address."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        self.folder = folder
        self.port = free_port()
        plug = {"RUNNER__PLUGINS__PATH": str(plugins), "RUNNER__PLUGINS__ALLOW": ALLOW}
        (folder / "there").mkdir()
        (folder / "here").mkdir()
        self.there = Machine(
            folder / "there" / "state", {**plug, "RUNNER__SERVER__LISTEN": f"127.0.0.1:{self.port}"}
        )
        self.token_file = folder / "token"
        self.here = Machine(folder / "here" / "state", {**plug, "RUNNER__SERVER__LISTEN": ""})
        self.set(url=f"http://127.0.0.1:{self.port}", token=f"file:{self.token_file}", poll_interval="200ms")

    def set(self, **settings: str) -> None:
        """Set something of the remote server on the machine that runs its jobs."""
        for name, value in settings.items():
            self.here.settings[f"RUNNER__REMOTE__SDE__{name.upper()}"] = value

    def over(self, *, verify: Path | None = None) -> Over:
        """Make an administrator's token on the server, and an agent's for the other machine."""
        made = self.there.json("tokens", "create", "--user", "agent@example.com", "--admin")
        scheme = "http" if verify is None else "https"
        over = Over(
            f"{scheme}://127.0.0.1:{self.port}", made["token"], True if verify is None else str(verify)
        )
        agent = over.call("POST", "tokens/", json={"user": "agent@example.com", "scopes": ["agent"]})
        self.token_file.write_text(agent["token"], encoding="ascii")
        return over

    def log(self) -> str:
        """What the machine that runs the jobs has told."""
        file = self.here.state.with_name("daemon.log")
        return file.read_text(encoding="utf-8") if file.exists() else ""
