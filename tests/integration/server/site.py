"""A daemon with the sample project, as a process of its own, and real clients of it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.integration.server.kit import curl
from tests.servers.machine import Machine, free_port

PROJECT = 1
"""The number of the sample project."""


class Site:
    """One daemon that starts no job, an administrator's token, and curl."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.base = f"http://127.0.0.1:{port}"
        self.token = (machine.state / "admin-token").read_text(encoding="utf-8").strip()
        status, _ = self.ask("POST", "pause/", {})
        assert status == 200

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        authorization: str = 'Token "{token}"',
        form: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a request below ``/api/v2/`` with curl; the status, and the answer if it has any."""
        arguments = ["-X", method, "-H", "Accept: application/json"]
        arguments += ["-H", f"Authorization: {authorization.format(token=self.token)}"]
        if body is not None:
            arguments += ["-d", json.dumps(body)]
        for name, value in (form or {}).items():
            arguments += ["-F", f"{name}={value}"]
        status, text = curl(*arguments, f"{self.base}/api/v2/{path}")
        return status, json.loads(text) if text else None

    def connection(self, kind: str, system: str, params: Mapping[str, Any], **more: Any) -> int:
        """Add a connection; its number."""
        body = {"alias": "My Connection", "system": system, "params": params, "frequency": "daily", **more}
        if kind in {"alm", "analysis"}:
            body["project"] = PROJECT
        status, made = self.ask("POST", f"connections/{kind}/", body)
        assert status == 201, made
        ident: int = made["id"]
        return ident

    def finished(self, kind: str, connection: int) -> int:
        """Post the result of a run of a connection; the number of its job."""
        body = {"connection": connection, "result_message": "Done.", "succeeded": True, "automatic": True}
        status, made = self.ask("POST", f"jobs/{kind}/", body)
        assert status == 201, made
        ident: int = made["id"]
        return ident


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Site]:
    """Start `runner run --sample` with its state below ``folder``."""
    port = free_port()
    machine = Machine(folder / "state", {"RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}"})
    with machine.daemon("--sample"):
        yield Site(machine, port)
