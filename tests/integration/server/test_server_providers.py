"""What datasync jobs may name: listed, uploaded, removed, and found by the engine."""

from pathlib import Path
from typing import Any

import pytest
import requests

from runner.engine.providers import Naming
from runner.model.jobs import Connection, Frequency, Kind
from runner.server.securitycenter.servers import sealed
from runner.settings import Provider
from runner.store import ldap_servers
from runner.store.accounts import Scope
from tests.integration.server.kit import Running

KEPT = {
    "host": "ldap.example.com",
    "port": "636",
    "encryption": "ldaps",
    "dn": "dc=example,dc=com",
    "username": "cn=writer,dc=example,dc=com",
    "password": "writers-secret",
}


def keep_server(server: Running, name: str) -> int:
    """Keep an LDAP server, as the SecurityCenter dialect does; its id."""
    return server.database.write(
        lambda c: ldap_servers.create(
            c,
            name=name,
            description="",
            settings=sealed(KEPT, server.services.vault),
            organizations=[],
            now=server.clock(),
        )
    )


def send(
    client: requests.Session, name: str, file: str, content: bytes = b"First,Last\n"
) -> requests.Response:
    """Upload a workbook."""
    return client.post("providers/", data={"name": name}, files={"workbook": (file, content)})


def completed(server: Running, **info: Any) -> Connection:
    """A datasync job with these providers, as a run gets it."""
    services = server.services
    naming = Naming(settings=services.settings, database=services.database, vault=services.vault)
    return naming.completed(
        Connection(
            id=1,
            kind=Kind.DATASYNC,
            system="datasync",
            alias="People",
            command="datasync",
            frequency=Frequency.MANUALLY,
            project_id=None,
            params={"jobInfo": info, "destination_password": "planted", "source": {"path": "/etc/passwd"}},
        )
    )


def test_workbooks_are_uploaded_listed_replaced_and_removed(server: Running) -> None:
    """A workbook is called as its provider, whatever its file was; another in its place is the one then."""
    client = server.client(Scope.READ, Scope.EDIT_LDAP)
    made = send(client, "Staff list", "people.csv")
    assert (made.status_code, made.json()["kind"], made.json()["origin"]) == (201, "workbook", "upload")
    again = send(client, "Staff list", "C:\\tables\\New.XLSX", b"other")
    assert (again.json()["where"], again.json()["size"]) == ("Staff list.xlsx", 5)
    (shown,) = client.get("providers/").json()["results"]
    assert shown == again.json()
    path = Path(completed(server, sourceProvider="Staff list").params["source"]["path"])
    assert path.read_bytes() == b"other"
    assert client.delete("providers/Staff%20list/").status_code == 204
    assert client.delete("providers/Staff%20list/").status_code == 404
    assert "source" not in completed(server, sourceProvider="Staff list").params


@pytest.mark.parametrize(
    ("name", "file", "field"),
    [
        ("", "people.csv", "name"),
        ("../../etc/cron", "people.csv", "name"),
        (".hidden", "people.csv", "name"),
        ("People", "people.exe", "workbook"),
        ("People", "people", "workbook"),
    ],
)
def test_what_is_no_name_and_no_workbook_is_refused(
    server: Running, name: str, file: str, field: str
) -> None:
    """A name that leads elsewhere, and a file of another kind, are named; nothing is kept."""
    client = server.client(Scope.READ, Scope.EDIT_LDAP)
    refused = send(client, name, file)
    assert (refused.status_code, list(refused.json())) == (400, [field])
    assert send(client, "Empty", "people.csv", b"").json() == {"workbook": ["The submitted file is empty."]}
    assert list((server.services.settings.state_dir / "workbooks").iterdir()) == []


def test_all_that_can_be_named_is_listed_without_secrets(server: Running) -> None:
    """Sections of the configuration and kept servers stand beside uploads; a section can't be taken over."""
    settings = server.services.settings
    settings.provider["ADEnt"] = Provider(servers="dc1.example.com", password="env:AD_PASSWORD")
    keep_server(server, "Head office")
    client = server.client(Scope.READ, Scope.EDIT_LDAP)
    answer = client.get("providers/")
    assert [(each["name"], each["kind"], each["origin"]) for each in answer.json()["results"]] == [
        ("ADEnt", "directory", "configuration"),
        ("Head office", "directory", "ldap-server"),
    ]
    assert "AD_PASSWORD" not in answer.text
    assert "secret" not in answer.text
    assert send(client, "ADEnt", "people.csv").status_code == 409
    assert client.delete("providers/ADEnt/").status_code == 409


def test_destination_may_be_a_kept_server(server: Running) -> None:
    """A job's destination is a section, else a kept server by id or name; what a client plants is dropped."""
    number = keep_server(server, "Head office")
    server.services.settings.provider["ADEnt"] = Provider(directory="Head office", container="ou=x")
    for named in (str(number), "Head office", "ADEnt"):
        params = completed(server, destinationProvider=named).params
        assert params["destination"]["servers"] == "ldap.example.com:636"
        assert params["destination"]["bind_dn"] == KEPT["username"]
        assert params["destination_password"] == KEPT["password"]
        assert params["destination"]["container"] == ("ou=x" if named == "ADEnt" else "")
        assert "source" not in params
    nobody = completed(server, destinationProvider="Nobody").params
    assert "destination_password" not in nobody
