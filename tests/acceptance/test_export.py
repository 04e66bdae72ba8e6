"""Connections and connectors as text: what the command line prints is what the configuration takes."""

import contextlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.servers.machine import Machine

RALLY = {
    "alias": "Tickets",
    "system": "rally",
    "project": 1,
    "frequency": "daily",
    "params": {
        "alm_server": "rally.example.com",
        "rally_workspace": "W",
        "alm_project": "P",
        "alm_user": "me",
        "alm_pass": "hunter2-hunter2",
    },
}


def test_what_is_exported_loads_elsewhere(lasting: Machine, tmp_path: Path) -> None:
    """A daemon that finds another's export in its conf.d has the same connections, with its secrets."""
    with contextlib.closing(lasting.client()) as client:
        client.post("connections/alm/", RALLY)
    done = lasting.type("connections", "export")
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout
    main = tmp_path / "runner.toml"
    main.write_text("")
    main.with_name("conf.d").mkdir()
    (main.parent / "conf.d" / "connections.toml").write_text(done.stdout, encoding="utf-8")
    other = Machine(tmp_path / "state", {"RUNNER__SERVER__LISTEN": ""})
    missing = other.type("check", "--offline", "--config", main)
    assert (missing.returncode, "RUNNER_TICKETS_ALM_PASS" in missing.stdout + missing.stderr) == (78, True)
    other.settings |= dict.fromkeys(re.findall(r'"env:(\w+)"', done.stdout), "hunter2-hunter2")
    steps = other.json("check", "--offline", "--config", main)
    assert {step["ok"] for step in steps} == {True}
    assert "connection Tickets" in {step["step"] for step in steps}
    with other.daemon("--sample", "--config", str(main)), contextlib.closing(other.client()) as client:
        rows = client.get("connections/")["results"]
    (there,) = [row for row in rows if row["declared"] == "Tickets"]
    assert (there["system"]["id"], there["project"], there["frequency"]) == ("rally", 1, "daily")
    assert there["params"] == {**RALLY["params"], "alm_pass": "********"}  # type: ignore[dict-item]  # a dict


def test_connectors_are_listed_and_described(lasting: Machine) -> None:
    """Each connector with what it wants to be told; an unknown one is answered with those there are."""
    listed = {row["id"]: row for row in lasting.json("plugins", "list")}
    assert {"rally", "whitehat", "sync_ldap", "datasync", "fortify_file_upload", "acme_folder"} <= set(listed)
    assert "Rally" in lasting.type("plugins", "list").stdout
    told = lasting.json("plugins", "describe", "rally")
    assert {"alm_pass", "conflict_policy"} <= set(told["params"]["properties"])
    assert "alm_pass" in told["secrets"]
    assert "conflict_policy" in lasting.type("plugins", "describe", "rally").stdout
    unknown = lasting.type("plugins", "describe", "raly")
    assert (unknown.returncode, "There is no connector module 'raly'" in unknown.stderr) == (1, True)


@pytest.mark.parametrize("name", ["rally", "whitehat", "sync_ldap", "fortify_ssc", "datasync"])
def test_a_connector_is_described_as_a_connection_to_fill_in(lasting: Machine, name: str) -> None:
    """``--toml`` is a table for a drop-in: what is required stands there, all else is commented out."""
    said = lasting.type("plugins", "describe", name, "--toml").stdout
    (table,) = tomllib.loads(said)["connection"]
    params = lasting.json("plugins", "describe", name)["params"]
    required = set(params.get("required", ()))
    assert (table["system"], set(table.get("params", {}))) == (name, required)
    assert [one for one in params["properties"] if f"{one} = " not in said] == []


def test_a_store_is_taken_to_another_database(machine: Machine, tmp_path: Path) -> None:
    """Copied while no daemon runs, the same jobs are there when it goes on at the new place."""
    with machine.daemon("--sample"):
        refused = machine.type("db", "copy", "--to", f"sqlite:///{tmp_path / 'new.db'}")
        assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
    before = machine.json("connections", "list")
    secret = machine.type("db", "copy", "--to", "postgresql+psycopg://me:secret@127.0.0.1/x")
    assert (secret.returncode, "PGPASSWORD" in secret.stderr) == (2, True)
    done = machine.type("db", "copy", "--to", f"sqlite:///{tmp_path / 'new.db'}")
    assert (done.returncode, "rows are copied" in done.stderr) == (0, True), done.stderr
    again = machine.type("db", "copy", "--to", f"sqlite:///{tmp_path / 'new.db'}")
    assert (again.returncode, "isn't empty" in again.stderr) == (1, True)
    machine.settings["RUNNER__STORE__URL"] = f"sqlite:///{tmp_path / 'new.db'}"
    with machine.daemon():
        assert machine.json("connections", "list") == before
