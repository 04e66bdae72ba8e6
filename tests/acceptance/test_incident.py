"""The page about the day a source came back empty tells what really happens."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.machine import ROOT, Machine
from tests.servers.terminal import Shell, type_all

PAGE = ROOT / "docs" / "incidents" / "source-came-back-empty.md"
PEOPLE = [
    *("adam", "anna", "bela", "boris", "carla", "chen", "dana", "dmitri", "eva", "farid"),
    *("gina", "hugo", "ines", "ivan", "jana", "karim", "lena", "luca", "mara", "nils"),
    *("olga", "pavel", "quinn", "rosa", "sami", "tara", "ugo", "vera", "wanda", "zoe"),
]


@pytest.fixture
def shell(tmp_path: Path, plugins: Path) -> Iterator[Shell]:
    """Give the machine as the page finds it."""
    people = json.dumps({name: f"Staff: {name.title()}" for name in PEOPLE})
    for name in ("people.json", "yesterday.json"):
        (tmp_path / name).write_text(people, encoding="utf-8")
    (tmp_path / "people").mkdir()
    machine = Machine(
        tmp_path / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": '["acme_folder"]',
        },
    )
    with machine.daemon():
        with contextlib.closing(machine.client()) as client:
            unit = client.post("business-units/", {"name": "Head office"})
            owner = client.post("applications/", {"name": "Personnel", "business_unit": unit["id"]})
            project = client.post("projects/", {"name": "Staff", "application": owner["id"]})
            client.post(
                "connections/alm/",
                {
                    "alias": "Staff",
                    "system": "acme_folder",
                    "project": project["id"],
                    "params": {
                        "source": str(tmp_path / "people.json"),
                        "folder": str(tmp_path / "people"),
                    },
                },
            )
        yield Shell(machine, tmp_path)


@pytest.mark.slow
def test_the_page_tells_what_happens(shell: Shell) -> None:
    """Each command of the page prints what the page says, in the page's order."""
    assert type_all(PAGE, shell) > 10
