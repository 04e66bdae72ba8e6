"""A machine with workbooks, a plain directory, and clients of its daemon."""

import os
from pathlib import Path
from typing import Any

from runner.directory.access import Access, Security, Server
from runner.directory.opening import opened
from runner.model.network import Network
from tests.integration.datasync.original import Original, body
from tests.integration.datasync.world import STATIC, field
from tests.servers import slapd
from tests.servers.machine import Machine, free_port
from tests.servers.slapd import SlapdServer
from tests.servers.waiting import until
from tests.workbooks import write_xlsx


class Place:
    """A machine with two workbooks, a directory, and a client of the original's API."""

    def __init__(self, folder: Path, server: SlapdServer, settings: str = "") -> None:
        server.reset()
        self.access = Access(
            servers=[Server(host="localhost", port=server.tls_port)],
            security=Security.LDAPS,
            bind_dn=slapd.ADMIN,
            password=slapd.ADMIN_PASSWORD,
            ca_bundle=server.certificates.ca.read_text(),
            network=Network(),
        )
        self.port = free_port()
        self.machine = Machine(folder / "state", {"RUNNER__SERVER__LISTEN": f"127.0.0.1:{self.port}"})
        self.books = folder / "books"
        self.books.mkdir()
        (folder / "password").write_text(slapd.ADMIN_PASSWORD)
        config = folder / "runner.toml"
        config.write_text(
            f'{settings}[engine]\nretries = 0\n[datasync]\nfolders = ["{self.books}"]\n'
            '[provider.Staff]\nworkbook = "staff.xlsx"\n[provider.Crew]\nworkbook = "crew.xlsx"\n'
            f'[provider.Corp]\nservers = "localhost:{server.tls_port}"\nbind_dn = "{slapd.ADMIN}"\n'
            f'password = "file:{folder / "password"}"\nca_bundle = "{server.certificates.ca}"\n'
        )
        self.flags = ("--config", str(config))
        made = self.machine.json(
            "tokens", "create", "--user", "admin@example.com", "--admin", "--scope", "run"
        )
        self.token = made["token"]

    def write(self, name: str, *people: str) -> None:
        """Replace a workbook; it was written long ago."""
        rows = [["Id", "Name"], *([uid, uid.title()] for uid in people)]
        path = write_xlsx(self.books / f"{name}.xlsx", rows, sheet="TTSheet1")
        os.utime(path, (1_700_000_000, 1_700_000_000))

    def client(self) -> Original:
        """A client of the daemon that runs."""
        until("the daemon answers", lambda: self.machine.state.joinpath("runner.sock").exists())
        return Original(self.port, self.token)

    def people(self) -> set[str]:
        """Who is in the directory."""
        with opened(self.access) as directory:
            found = directory.search(slapd.PEOPLE, "(objectClass=person)", ["uid"])
            return {entry.text("uid") for entry in found}


def job(name: str, source: str, order: int = 0, **info: Any) -> dict[str, Any]:
    """The documented request for a job that makes people of a plain directory."""
    found = body(name=name, sourceProvider=source, destinationProvider="Corp", runOrder=order, type=2, **info)
    found["fieldsMap"] = [
        field("uid", "Id", isKey=True),
        field("cn", "Name"),
        field("sn", "Name"),
        field("userPassword", transform=f"Static:value={STATIC}"),
    ]
    for each in found["settings"]:
        if each["key"] == "Destination.Container":
            each["value"] = slapd.PEOPLE
    found["objectsOption"][0]["containerOptionValue"] = slapd.PEOPLE
    return found
