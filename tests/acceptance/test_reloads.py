"""Reloads of good and bad files in any order: afterwards one file is in force, whole."""

import random
import secrets
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runner import configuration, log
from runner.daemon import Daemon
from runner.settings import Settings
from runner.store import connectors
from runner.store.schema import connections

NAMES = ("east", "north", "south", "west")
ROUNDS = 50


def good(chance: random.Random, plugins: Path) -> str:
    """A file that is in order, different each time."""
    shared = chance.random() < 0.6
    tables = [
        f"[[connection]]\nname = '{name}'\nsystem = 'acme_door'\nalias = 'Door {chance.randrange(99)}'\n"
        f"schedule = '{chance.randrange(60)} * * * *'\nenabled = {chance.choice(['true', 'false'])}\n"
        f"params = {{ password = 'env:DOOR_KEY', lock = '/lock{chance.randrange(99)}' }}\n"
        f"safety = {{ max_creates = {chance.randrange(99)} }}\n"
        + ("connector = 'doors'\n" if shared and chance.random() < 0.7 else "")
        for name in NAMES
        if chance.random() < 0.6
    ]
    return (
        f"[plugins]\npath = '{plugins}'\nallow = ['acme_door']\n"
        f"[engine]\nretries = {chance.randrange(99)}\n"
        f"[scheduler]\ntimezone = '{chance.choice(['Asia/Tokyo', 'Europe/Berlin', 'UTC'])}'\n"
        f"[safety]\nmax_destructive = {chance.randrange(999)}\n"
        f"[retention]\nlogs = '{chance.randrange(1, 99)}d'\n"
        f"[log]\nlevel = '{chance.choice(['warning', 'error'])}'\n"
        f"[provider.People]\nworkbook = 'people{chance.randrange(99)}.xlsx'\n"
        + (
            f"[connector.doors]\nsystem = 'acme_door'\nalias = 'Doors {chance.randrange(99)}'\n"
            f"params = {{ rotate = '/key{chance.randrange(99)}' }}\n"
            if shared
            else ""
        )
        + "\n".join(tables)
    )


FLAWS = (
    lambda text: text + "\n[provider.Both]\nworkbook = 'a.xlsx'\nservers = 'dc.example.com'\n",
    lambda text: text + "\n[connector.none]\nsystem = 'acme_nothing'\n",
    lambda text: text + "\n[connector.none]\nsystem = 'acme_door'\nparams = { password = 'env:NOT_THERE' }\n",
    lambda text: text + "\n[[connection]]\nname = 'extra'\nsystem = 'acme_door'\nconnector = 'nobody'\n",
    lambda text: text[: len(text) // 2] + "\n[scheduler",
    lambda text: text + "\n[engin]\nretries = 1\n",
    lambda text: text.replace("d'\n[log]", " days'\n[log]"),
    lambda text: text.replace("max_destructive", "max_destructiv"),
    lambda text: text.replace("[scheduler]\ntimezone = '", "[scheduler]\ntimezone = 'Mars/"),
    lambda text: text + "\n[[connection]]\nname = 'extra'\nsystem = 'acme_nothing'\n",
    lambda text: text + "\n[[connection]]\nname = 'extra'\nsystem = 'acme_door'\nparams = {}\n",
    lambda text: text + "\n[[connection]]\nname = 'extra'\nsystem = 'acme_door'\nproject = 'Nowhere'\n",
    lambda text: text + "\n[[connection]]\nname = 'x'\nsystem = 'acme_door'\n" * 2,
    lambda text: (
        text
        + "\n[[connection]]\nname = 'extra'\nsystem = 'acme_door'\n"
        + "params = { password = 'file:/nowhere/at/all', lock = '/lock' }\n"
    ),
)


def in_force(daemon: Daemon) -> dict[str, Any]:
    """What the parts of a daemon go by, each asked for itself."""
    with daemon.database.read() as c:
        rows = list(c.execute(sa.select(connections).where(connections.c.declared.is_not(None))))
        stored = {
            row.declared: (row.alias, row.schedule, row.params, row.safety) for row in rows if row.enabled
        }
        under = connectors.declared(c)
        lying = {row.declared for row in rows if row.enabled and row.connector_id is not None}
    return {
        "retries": daemon.engine.settings.engine.retries,
        "timezone": daemon.scheduler.status()["timezone"],
        "freeze": daemon.engine.timetable.zone.key,
        "safety": daemon.engine.surroundings.safety.max_destructive,
        "logs": daemon.engine.remover.keep.logs,
        "level": log._least,
        "connections": stored,
        "under": {name: (one.name, one.params) for name, one in under.items() if lying},
        "lying": lying,
        "workbook": daemon.engine.surroundings.settings.provider["People"].workbook,
    }


def expected(file: Path) -> dict[str, Any]:
    """What all of them should go by, with this file."""
    found = configuration.load(file=file)
    lying = {one.name for one in found.connection if one.enabled and one.connector is not None}
    return {
        "retries": found.engine.retries,
        "timezone": found.scheduler.timezone,
        "freeze": found.scheduler.timezone,
        "safety": found.safety.max_destructive,
        "logs": found.retention.logs,
        "level": log._LEVELS[found.log.level],
        "connections": {
            one.name: (
                one.alias,
                one.schedule,
                f'{{"password":"env:DOOR_KEY","lock":"{one.params["lock"]}"}}',
                f'{{"max_creates":{one.safety["max_creates"]}}}',
            )
            for one in found.connection
            if one.enabled
        },
        "under": {name: (one.alias, one.params) for name, one in found.connector.items() if lying},
        "lying": lying,
        "workbook": found.provider["People"].workbook,
    }


@pytest.mark.slow
def test_no_reload_leaves_a_half_state(
    tmp_path: Path, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of fifty reloads all parts go by the last good file; status says whether one was refused."""
    seed = secrets.randbelow(10**9)
    chance = random.Random(seed)  # noqa: S311 - it is to be repeatable, not secret
    monkeypatch.setenv("RUNNER__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOOR_KEY", "opensesame")
    file, last = tmp_path / "runner.toml", tmp_path / "last.toml"
    file.write_text(good(chance, plugins))
    last.write_text(file.read_text())
    level, refused = log._least, 0

    def load() -> Settings:
        return configuration.load(file=file)

    try:
        log.set_level(load().log.level)
        with Daemon(load(), listen=False, load=load) as daemon:
            for number in range(ROUNDS):
                text = good(chance, plugins)
                is_good = chance.random() < 0.5
                file.write_text(text if is_good else chance.choice(FLAWS)(text))
                daemon.reload()
                if is_good:
                    last.write_text(text)
                refused += not is_good
                where = f"reload {number} with seed {seed}:\n{file.read_text()}"
                assert (daemon._about()["configuration"]["refused"] is None) == is_good, where
                assert in_force(daemon) == expected(last), where
    finally:
        log._least = level
    assert 0 < refused < ROUNDS
