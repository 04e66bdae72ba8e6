"""From the documented request to accounts that log in: a daemon, a workbook, an Active Directory."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.directory.opening import opened
from tests.integration.datasync.original import SKELETON, Original, body
from tests.integration.datasync.world import CONTAINER, STATIC, World, document, samba_access
from tests.servers import samba
from tests.servers.lives import begun
from tests.servers.machine import Machine, free_port
from tests.servers.samba import SambaServer
from tests.servers.waiting import PATIENCE, until
from tests.workbooks import write_xlsx

pytestmark = pytest.mark.xdist_group("samba")


class Place:
    """A machine with a daemon's configuration, a workbook and a domain."""

    def __init__(self, folder: Path, server: SambaServer) -> None:
        self.server = server
        server.reset()
        with opened(samba_access(server)) as directory:
            directory.add(CONTAINER, {"objectClass": ["top", "organizationalUnit"]})
        self.port = free_port()
        self.books = folder / "books"
        self.books.mkdir()
        self.machine = Machine(folder / "state", {"RUNNER__SERVER__LISTEN": f"127.0.0.1:{self.port}"})
        (folder / "ad.password").write_text(samba.ADMIN_PASSWORD)
        self.config = folder / "runner.toml"
        self.config.write_text(
            f'[engine]\nretry_delay = "1s"\n[datasync]\nfolders = ["{self.books}"]\n'
            '[provider.ExcelOne]\nworkbook = "people.xlsx"\n'
            f'[provider.ADEnt]\nservers = "{server.address}"\nbind_dn = "{samba.ADMIN}"\n'
            f'password = "file:{folder / "ad.password"}"\nca_bundle = "{server.certificates.ca}"\n'
        )
        self.world = World(folder, samba_access(server), document())
        made = self.machine.json(
            "tokens", "create", "--user", "admin@example.com", "--admin", "--scope", "run"
        )
        self.token, self.token_id = made["token"], made["id"]

    def write(self, rows: list[list[Any]]) -> None:
        """Replace the sheet; it was written long ago."""
        path = write_xlsx(self.books / "people.xlsx", rows, sheet="TTSheet1")
        os.utime(path, (1_700_000_000, 1_700_000_000))

    def original(self) -> Original:
        """A client of the daemon that runs."""
        return Original(self.port, self.token)


@pytest.fixture
def place(samba_server: SambaServer, tmp_path: Path) -> Place:
    """Give a machine on which no daemon ever ran."""
    return Place(tmp_path, samba_server)


SHEET: list[list[Any]] = [["First", "Last"], ["Ada", "Lovelace"], ["Bob", "Noyce"]]


def test_the_documented_request_makes_accounts(place: Place) -> None:
    """The request as printed makes a job, whose run makes accounts that log in; a second finds nothing."""
    place.write(SHEET)
    with place.machine.daemon("--config", str(place.config)):
        client = place.original()
        made = client.call("POST", "/", body())
        assert (made["type"], made["status"], made["errorCode"]) == (6, 0, None)
        job = made["data"]
        details = client.call("GET", f"/{job}/Details")["data"]
        assert details["settings"] == body()["settings"]
        assert details["hasAccess"] is True
        assert STATIC not in json.dumps(details)
        assert details["jobInfo"]["jobId"] == job
        # What is the server's to say is no matter how it was sent.
        assert details["jobInfo"]["created"] > "2026"
        assert (details["jobInfo"]["timesRun"], details["jobInfo"]["collectionId"]) == (0, None)
        assert client.call("GET", "/Names") == [{"name": "DataSyncJob", "type": "1"}]

        preview = client.run(job, preview=True)
        assert preview["outCome"] == "Succeeded", preview["message"]
        assert place.world.entries() == {}
        run = client.run(job)
        assert run["outCome"] == "Succeeded", run["message"]
        assert run["message"].startswith("2 accounts share one password")
        shape = ["action", "objectType", "name", "key", "before", "after"]
        assert [[c[n] for n in shape] for c in preview["changes"]] == [
            [c[n] for n in shape] for c in run["changes"]
        ]
        assert STATIC not in json.dumps([preview, run])
        for entry in place.world.entries().values():
            assert place.world.can_log_in(entry.dn, STATIC)
        assert client.run(job)["message"] == "Nothing to change."

        # A revert disables what was made, and is itself a run like any.
        place.machine.client().post(f"jobs/datasync/{run['runId']}/revert/", {})
        until(
            "the revert",
            lambda: {e.text("userAccountControl") for e in place.world.entries().values()} == {"514"},
        )
        put = client.call("PUT", f"/{job}", details)
        assert put["status"] == 0
        assert client.call("DELETE", "/", params={"jobids": job})["type"] == 7
        assert client.call("GET", f"/{job}/Details", status=404)["status"] == 1


def test_a_kept_server_and_an_uploaded_workbook_are_providers(place: Place) -> None:
    """A job whose sides are an LDAP server kept here and a workbook that was sent is tested, and runs."""
    place.write(SHEET)
    settings = place.config.read_text().partition("[provider.ExcelOne]")[0]
    place.config.write_text(
        f'{settings}[provider.Corp]\ndirectory = "Head office"\n'
        f'ca_bundle = "{place.server.certificates.ca}"\n'
    )
    with place.machine.daemon("--config", str(place.config)):
        client = place.original()
        session = requests.Session()
        session.headers["x-apikey"] = f"accesskey={place.token_id}; secretkey={place.token}"
        kept = {
            "name": "Head office",
            "host": place.server.address,
            "port": str(samba.TLS_PORT),
            "encryption": "ldaps",
            "dn": samba.BASE,
            "username": samba.ADMIN,
            "password": samba.ADMIN_PASSWORD,
        }
        answer = session.post(f"{client.base}/rest/ldap", json=kept, timeout=PATIENCE)
        assert answer.json()["error_code"] == 0, answer.text
        headers = {"Authorization": f"Token {place.token}"}
        with (place.books / "people.xlsx").open("rb") as file:
            sent = requests.post(
                f"{client.base}/api/v2/providers/",
                data={"name": "Staff"},
                files={"workbook": ("people.xlsx", file)},
                headers=headers,
                timeout=PATIENCE,
            )
        assert sent.status_code == 201, sent.text
        job = client.call("POST", "/", body(sourceProvider="Staff", destinationProvider="Corp"))["data"]
        path = f"{client.base}/api/v2/connections/datasync/{job}/"
        shown = requests.get(path, headers=headers, timeout=PATIENCE).json()["params"]
        assert "SET" in json.dumps(shown["fieldsMap"])
        written = requests.patch(path, json={"params": shown}, headers=headers, timeout=PATIENCE)
        assert written.status_code == 200, written.text
        assert STATIC.encode() not in b"".join(
            path.read_bytes() for path in place.machine.state.glob("runner.db*")
        )
        tested = requests.post(f"{path}test/", json={}, headers=headers, timeout=PATIENCE).json()
        assert tested["success"] is True, tested
        run = client.run(job)
        assert run["outCome"] == "Succeeded", run["message"]
        assert len(place.world.entries()) == 2


def test_code_is_refused_until_it_is_accepted_as_ignored(place: Place) -> None:
    """A job with code does nothing until an administrator accepts that it is ignored; then it says so."""
    place.write(SHEET)
    with place.machine.daemon("--config", str(place.config)):
        client = place.original()
        given = body()
        given["settings"][-1]["value"] = SKELETON.replace(" End Sub", " DTM.CancelRow()\r\n End Sub")
        job = client.call("POST", "/", given)["data"]
        refused = client.run(job)
        assert refused["outCome"] == "Failed"
        assert "IgnoreScripts" in refused["message"]
        assert place.world.entries() == {}
        client.call("POST", f"/{job}/IgnoreScripts")
        run = client.run(job)
        assert run["outCome"] == "Succeeded", run["message"]
        assert "script code was ignored" in run["message"]


def test_wrong_requests_are_answered_in_the_envelope(place: Place) -> None:
    """Refusals have status 1, a code, and what is wrong by field."""
    place.write(SHEET)
    with place.machine.daemon("--config", str(place.config)):
        client = place.original()
        wrong = client.call("POST", "/", {"fieldsMap": []}, status=400)
        assert (wrong["status"], wrong["errorCode"]) == (1, "400")
        assert "jobInfo" in wrong["exceptionMessagesAttributeWise"]
        given = body()
        given["fieldsMap"][0]["transform"] = "Upper:field=First"
        wrong = client.call("POST", "/", given, status=400)
        assert "Upper" in wrong["message"]
        client.headers = {"Authorization": "Bearer nonsense"}
        assert client.call("GET", "/Names", status=401)["status"] == 1


@pytest.mark.parametrize("victim", ["daemon", "samba"])
def test_killed_in_the_middle_a_second_run_ends_the_same(place: Place, victim: str) -> None:
    """Whether the daemon or the directory dies in mid-run, the next run makes the rest, each account once."""
    names = [f"P{number:02}" for number in range(40)]
    place.write([["First", "Last"], *([name, "X"] for name in names)])
    flags = ("--config", str(place.config))
    with begun(place.machine, *flags) as process:
        until("the daemon answers", lambda: place.machine.state.joinpath("runner.sock").exists())
        until("the port answers", lambda: _answers(place.port))
        client = place.original()
        job = client.call("POST", "/", body())["data"]
        run = client.call("POST", f"/{job}/Run", {})["data"]
        until("some accounts", lambda: 3 <= len(place.world.entries()) < 38)
        if victim == "daemon":
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
        else:
            place.server.kill()
            place.server.start()
            client.ended(job, run)
    with place.machine.daemon(*flags):
        client = place.original()
        client.ended(job, run)
        last = client.run(job)
        assert last["outCome"] == "Succeeded", last["message"]
        entries = place.world.entries()
        assert sorted(entries) == [f"{name}_api_X" for name in names]
        assert {entry.text("userAccountControl") for entry in entries.values()} == {"512"}
        for name in names[::10]:
            assert place.world.can_log_in(entries[f"{name}_api_X"].dn, STATIC)
        assert client.run(job)["message"] == "Nothing to change."


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/-/healthy", timeout=5).ok
    except requests.ConnectionError:
        return False
