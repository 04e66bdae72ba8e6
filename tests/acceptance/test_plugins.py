"""Connectors of a package that somebody else wrote, installed into a folder by pip."""

import contextlib
import json
import re
import shutil
import sqlite3
import tomllib
from pathlib import Path

import pytest

from runner.cli.refusals import RequestRefused
from tests.servers.at_rest import AtRest
from tests.servers.lives import alive, live, log_of
from tests.servers.machine import Machine


def machine_with(root: Path, plugins: Path, *allowed: str) -> Machine:
    """A machine on which some connectors of the folder are allowed."""
    return Machine(
        root / "state",
        {
            "RUNNER__SERVER__LISTEN": "",
            "RUNNER__PLUGINS__PATH": str(plugins),
            "RUNNER__PLUGINS__ALLOW": json.dumps(allowed),
        },
    )


def post_connection(machine: Machine, system: str) -> None:
    """Ask the daemon that runs for a connection to a system."""
    with contextlib.closing(machine.client()) as client:
        project = client.post(
            "projects/",
            {
                "name": "P",
                "application": client.post(
                    "applications/",
                    {"name": "A", "business_unit": client.post("business-units/", {"name": "B"})["id"]},
                )["id"],
            },
        )
        body = {"alias": "A", "system": system, "project": project["id"], "params": {}}
        client.post("connections/alm/", body)


def test_what_is_not_allowed_is_not_loaded(tmp_path: Path, plugins: Path) -> None:
    """A connection to it is refused, and a job of an older one fails; both say why."""
    machine = machine_with(tmp_path, plugins, "acme_folder")
    with AtRest(machine.state) as rest:
        rest.add_job(rest.add_connection("acme_noop", {}))
    with alive(machine), pytest.raises(RequestRefused, match=r"system: .*acme_noop"):
        post_connection(machine, "acme_noop")
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.reason) == ("failed", "bad_params")
    assert "must be named in [plugins] allow" in job.result_message


def test_what_is_allowed_runs(tmp_path: Path, plugins: Path) -> None:
    """A connector that is allowed is offered like those of the runner itself, and does its work."""
    machine = machine_with(tmp_path, plugins, "acme_noop")
    with alive(machine):
        post_connection(machine, "acme_noop")
        [connection] = machine.json("connections", "list")
        done = machine.json("connections", "run", connection["id"], "--wait")
    assert (done["outcome"], done["message"]) == ("succeeded", "Nothing to change.")


def test_one_may_use_threads(tmp_path: Path, plugins: Path) -> None:
    """What a connector says and asks on several threads at once isn't mixed up."""
    machine = machine_with(tmp_path, plugins, "acme_threads")
    with AtRest(machine.state) as rest:
        project = rest.fill_sample()
        rest.drop_jobs()
        rest.add_job(rest.add_connection("acme_threads", {}, project=project))
        tasks = rest.platform()["tasks"].total()
    assert live(machine) == 0
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert f"All threads counted {{{tasks}}}." in job.result_message


def test_one_may_count_by_any_name(tmp_path: Path, plugins: Path) -> None:
    """A count that is called as something in the log stands beside it, and the next job runs."""
    machine = machine_with(tmp_path, plugins, "acme_names")
    machine.settings["RUNNER__ENGINE__CONCURRENCY"] = "1"
    with AtRest(machine.state) as rest:
        connection = rest.add_connection("acme_names", {})
        first = rest.add_job(connection)
        rest.add_job(connection)
    assert live(machine) == 0
    with AtRest(machine.state) as rest:
        assert [job.outcome for job in rest.jobs()] == ["succeeded", "succeeded"]
    lines = [line for line in log_of(machine).read_text(encoding="utf-8").splitlines() if line[:1] == "{"]
    line = next(told for told in map(json.loads, lines) if told["event"] == "job_finished")
    assert (line["job"], line["total_job"], line["total_event"], line["apples"]) == (first, 1, 1, 1)


def test_an_end_that_cannot_be_recorded_is_an_end(tmp_path: Path, plugins: Path) -> None:
    """Where the store refuses what a run says, the job fails with a sentence of the daemon's own."""
    machine = machine_with(tmp_path, plugins, "acme_names")
    with AtRest(machine.state) as rest:
        rest.add_job(rest.add_connection("acme_names", {}))
    with contextlib.closing(sqlite3.connect(machine.state / "runner.db")) as store, store:
        store.execute(
            "CREATE TRIGGER no_apples BEFORE UPDATE OF result_message ON jobs"
            " WHEN NEW.result_message LIKE '%apples%' BEGIN SELECT RAISE(ABORT, 'no apples'); END"
        )
    assert live(machine) == 1
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert (job.outcome, job.reason) == ("failed", "internal")
    assert job.result_message.startswith("The daemon could not record what the run said at its end")
    assert "no apples" in log_of(machine).read_text(encoding="utf-8")


def test_a_broken_one_stops_no_other(tmp_path: Path, plugins: Path) -> None:
    """One whose module is missing is listed with the reason, and all others work."""
    machine = machine_with(tmp_path, plugins, "acme_missing", "acme_noop")
    with AtRest(machine.state) as rest:
        broken = rest.add_job(rest.add_connection("acme_missing", {}))
        rest.add_job(rest.add_connection("acme_noop", {}))
    with alive(machine):
        listed = machine.status()["broken_systems"]
        with pytest.raises(RequestRefused, match=r"acme_missing can't be loaded: .*nowhere"):
            post_connection(machine, "acme_missing")
    assert list(listed) == ["acme_missing"]
    assert "No module named 'acme_connectors.nowhere'" in listed["acme_missing"]
    with AtRest(machine.state) as rest:
        outcomes = {job.id: (job.outcome, job.result_message) for job in rest.jobs()}
    assert outcomes.pop(broken)[0] == "failed"
    assert list(outcomes.values()) == [("succeeded", "Nothing to change.")]


def test_a_broken_package_stops_no_other(tmp_path: Path, plugins: Path) -> None:
    """A package whose list of connectors can't be read does no harm to the others beside it."""
    folder = tmp_path / "plugins"
    shutil.copytree(plugins, folder)
    (folder / "broken-1.0.dist-info").mkdir()
    (folder / "broken-1.0.dist-info" / "entry_points.txt").write_text("[runner.connectors]\nno list\n")
    machine = machine_with(tmp_path, folder, "acme_noop")
    with AtRest(machine.state) as rest:
        rest.add_job(rest.add_connection("acme_noop", {}))
    assert live(machine) == 0


@pytest.mark.parametrize("name", ["acme-connectors", "integration-runner"])
def test_ours_win(tmp_path: Path, plugins: Path, name: str) -> None:
    """Neither a connector with the name of one of ours takes its place, nor a package with our name."""
    folder = tmp_path / "plugins"
    shutil.copytree(plugins, folder)
    [metadata] = folder.glob("acme_connectors-*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("Name: acme-connectors", f"Name: {name}"))
    machine = machine_with(tmp_path, folder, "fortify_file_upload")
    with AtRest(machine.state) as rest:
        rest.fill_sample()
    assert live(machine) == 0
    with AtRest(machine.state) as rest:
        [job] = rest.jobs()
    assert "tasks set to fail" in job.result_message
    assert "impostor" not in job.result_message


def test_modules_are_listed_and_described(tmp_path: Path, plugins: Path) -> None:
    """One sees which modules there are and what each takes, daemon or not; a broken one says why."""
    machine = machine_with(tmp_path, plugins, "acme_folder", "acme_missing")
    listed = {row["id"]: row["broken"] for row in machine.json("plugins", "list")}
    assert listed["rally"] is None
    assert listed["acme_folder"] is None
    assert "acme_connectors.nowhere" in listed["acme_missing"]
    assert "acme_noop" not in listed
    described = machine.json("plugins", "describe", "sync_ldap")
    assert described["params"]["required"] == ["ldap_server", "bind_dn"]
    assert described["secrets"] == ["bind_password"]
    with alive(machine):
        told = machine.type("plugins", "describe", "acme_folder").stdout
        assert re.search(
            r"^source +path +required +JSON file: an object of file name to text", told, re.MULTILINE
        )
    unknown = machine.type("plugins", "describe", "acme_noop")
    assert (unknown.returncode, "no connector module 'acme_noop'" in unknown.stderr) == (1, True)
    broken = machine.type("plugins", "describe", "acme_missing")
    assert (broken.returncode, "can't be loaded" in broken.stderr) == (1, True)
    upload = machine.type("plugins", "describe", "fortify_file_upload", "--toml")
    assert (upload.returncode, "takes files" in upload.stderr) == (2, True)


def test_a_described_connection_can_be_declared(tmp_path: Path, plugins: Path) -> None:
    """What --toml prints is a connection that the check takes once its required parameters are filled in."""
    machine = machine_with(tmp_path, plugins, "acme_folder")
    printed = machine.type("plugins", "describe", "acme_folder", "--toml").stdout
    file = tmp_path / "runner.toml"
    file.write_text(printed.replace('source = ""', 'source = "/a"'), encoding="utf-8")
    file.write_text(file.read_text().replace('folder = ""', 'folder = "/b"'), encoding="utf-8")
    done = machine.type("check", "--offline", "--config", file)
    assert done.returncode == 0, done.stderr
    assert "connection my-acme-folder" in done.stdout


@pytest.mark.parametrize("name", ["datasync", "rally", "sync_ldap", "whitehat"])
def test_a_described_connection_has_every_parameter(tmp_path: Path, plugins: Path, name: str) -> None:
    """Uncommented, what --toml prints is a configuration that names each parameter."""
    machine = machine_with(tmp_path, plugins)
    printed = machine.type("plugins", "describe", name, "--toml").stdout
    whole = re.sub(r"^# (\w+ = )", r"\1", printed, flags=re.MULTILINE)
    [connection] = tomllib.loads(whole)["connection"]
    described = machine.json("plugins", "describe", name)["params"]
    assert list(connection["params"]) == list(described["properties"])
