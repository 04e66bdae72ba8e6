"""pyral, a client that others wrote, works against the simulated Rally."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from simulators.rally.server import SERVICE, Simulator
from simulators.rally.things import Things, User

KEY = "_pyralskey"
WAYS: dict[str, dict[str, str]] = {
    "basic": {"user": "ada", "password": "enchantress"},
    "key": {"apikey": KEY},
}


@pytest.fixture
def rally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Give a server over HTTPS, which is all that pyral speaks."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, trusted = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    things = Things()
    workspace = things.add_workspace("Rally Workspace")
    project = things.add_project(workspace, "Rally Project")
    things.add_user(
        User(name="ada", password="enchantress", keys={KEY: True}), workspace=workspace, project=project
    )
    with Simulator(things, certificate=(chain, key)) as simulator:
        yield simulator


def connect(rally: Simulator, way: str) -> Any:
    """Log in with pyral, which publishes no types."""
    from pyral import Rally

    where = {"workspace": "Rally Workspace", "project": "Rally Project"}
    return Rally(server=f"127.0.0.1:{rally.port}", warn=False, **where, **WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_pyral_creates_finds_and_updates(rally: Simulator, way: str) -> None:
    """Log-in, create, query, update and tags work as pyral expects them of Rally."""
    client = connect(rally, way)
    tag = client.create("Tag", {"Name": "SD-Elements"})
    story = client.create(
        "HierarchicalRequirement", {"Name": "T1: Escape output", "Tags": [{"_ref": tag.ref}]}
    )
    assert story.FormattedID == "US1"
    assert story.ScheduleState == "Defined"
    found = client.get(
        "HierarchicalRequirement",
        fetch="FormattedID,Name,ScheduleState",
        query='Name = "T1: Escape output"',
        instance=True,
    )
    assert found.FormattedID == "US1"
    updated = client.update("HierarchicalRequirement", {"FormattedID": "US1", "ScheduleState": "Completed"})
    assert updated.ScheduleState == "Completed"
    assert [each.Name for each in updated.Tags] == ["SD-Elements"]
    other = client.create("Tag", {"Name": "Security"})
    assert client.addCollectionItems(updated, [other]) == ["Security"]
    assert client.delete("HierarchicalRequirement", "US1")
    assert rally.things.all("RecycleBinEntry")[0].values["ID"] == "US1"


def test_pyral_reads_all_pages(rally: Simulator) -> None:
    """Paging gives each row once when the order has ObjectID."""
    project = rally.things.all("Project")[0]
    for number in range(45):
        rally.things.add(
            "HierarchicalRequirement",
            Name=f"Story {number}",
            Project=project.oid,
            Workspace=project.values["Workspace"],
        )
    client = connect(rally, "key")
    found = client.get("HierarchicalRequirement", fetch="Name", order="ObjectID", pagesize=20)
    assert sorted(each.Name for each in found) == sorted(f"Story {number}" for number in range(45))


def test_refused_log_in_is_a_page(rally: Simulator) -> None:
    """A wrong password is answered with status 401 and HTML, not JSON."""
    answer = requests.get(f"{rally.url}{SERVICE}/user", auth=("ada", "wrong"), timeout=10)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "incorrect" in answer.text
