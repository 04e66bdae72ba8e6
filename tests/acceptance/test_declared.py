"""Connections that the configuration files declare. Real processes, real signals."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.servers.machine import Machine
from tests.servers.waiting import until


class Site:
    """A machine with a main file, a drop-in with connections, and a lock with its key in a file."""

    def __init__(self, home: Path, plugins: Path) -> None:
        self.home = home
        self.machine = Machine(home / "state", {"RUNNER__SERVER__LISTEN": ""})
        self.main = home / "runner.toml"
        self.drop_in = home / "conf.d" / "connections.toml"
        self.drop_in.parent.mkdir()
        self.lock, self.key = home / "lock", home / "key"
        self.lock.write_text("opensesame")
        self.key.write_text("opensesame\n")
        self.main.write_text(
            f"[plugins]\npath = '{plugins}'\nallow = ['acme_door', 'acme_noop']\n"
            "[engine]\nretry_delay = '0s'\n"
        )

    def declare(self, *names: str, more: str = "", key: str = "", params: str = "") -> None:
        """Write the drop-in with connections to the lock."""
        tables = [
            f"[[connection]]\nname = '{name}'\nsystem = 'acme_door'\n{more}\n"
            f"params = {{ password = '{key or f'file:{self.key}'}', lock = '{self.lock}'{params} }}\n"
            for name in names
        ]
        self.drop_in.write_text("\n".join(tables))

    def type(self, *words: object) -> subprocess.CompletedProcess[str]:
        """A command with this configuration."""
        return self.machine.type(*words, "--config", self.main)

    def connections(self) -> dict[str, Any]:
        """The declared connections by their names."""
        return {row["declared"]: row for row in self.machine.client().get("connections/")["results"]}

    def run(self, name: str) -> Any:
        """Run a connection; its job."""
        done = self.type("connections", "run", self.connections()[name]["id"], "--wait", "--json")
        return json.loads(done.stdout)

    def reload(self, process: "subprocess.Popen[bytes]") -> str | None:
        """Have the files read again; why they were refused, if they were."""
        seen = len(self.told())
        process.send_signal(signal.SIGHUP)
        until("the reload", lambda: len(self.told()) > seen)
        line = self.told()[-1]
        return None if line["event"] == "configuration_was_reloaded" else line["why"]

    def told(self) -> list[Any]:
        """What the log says of reloads."""
        return [line for line in self.log() if line["event"] in _RELOADS]

    def log(self) -> list[Any]:
        """The daemon's log."""
        lines = self.machine.state.with_name("daemon.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


_RELOADS = ("configuration_was_reloaded", "configuration_was_refused")


@pytest.fixture
def site(tmp_path: Path, plugins: Path) -> Site:
    """Give a site on which nothing ran yet."""
    return Site(tmp_path, plugins)


def test_a_reload_adds_changes_and_removes(site: Site) -> None:
    """What comes to the files is made, what leaves them is disabled and comes back with its history."""
    site.declare("east", "west")
    with site.machine.daemon("--config", str(site.main)) as process:
        before = site.connections()
        assert {name: row["enabled"] for name, row in before.items()} == {"east": True, "west": True}
        job = site.run("west")
        assert job["outcome"] == "succeeded"

        site.declare("east", "north", more="alias = 'The gate'\nschedule = '26 1 * * *'")
        assert site.reload(process) is None
        after = site.connections()
        assert {name: row["enabled"] for name, row in after.items()} == {
            "east": True,
            "west": False,
            "north": True,
        }
        assert after["east"]["id"] == before["east"]["id"]
        assert (after["east"]["alias"], after["east"]["schedule"]) == ("The gate", "26 1 * * *")

        site.declare("west")
        assert site.reload(process) is None
        again = site.connections()
        assert (again["west"]["id"], again["west"]["enabled"]) == (before["west"]["id"], True)
        listed = json.loads(site.type("jobs", "list", "--connection", again["west"]["id"], "--json").stdout)
        assert [row["id"] for row in listed] == [job["id"]]


def test_all_that_is_declared_is_in_force(site: Site) -> None:
    """Each key of a declared connection is what the API shows of it."""
    site.main.write_text(site.main.read_text().replace("'acme_noop'", "'acme_noop', 'acme_leaky'"))
    site.declare(
        "east",
        more="kind = 'ldap'\nalias = 'The gate'\nfrequency = 'weekly'\nenabled = false\n"
        "safety = { max_creates = 7 }",
    )
    more = (
        "\n[[connection]]\nname = 'shop'\nsystem = 'acme_leaky'\nproject = 'Webshop'\n"
        "schedule = '15 9 * * mon'\ntimezone = 'Asia/Kolkata'\n"
        "params = { password = 'env:HOME', end = 'error' }\n"
    )
    site.drop_in.write_text(site.drop_in.read_text() + more)
    with site.machine.daemon("--sample", "--config", str(site.main)):
        east, shop = (site.connections()[name] for name in ("east", "shop"))
        client = site.machine.client()
        params = client.get(f"connections/alm/{shop['id']}/")["params"]
    shown = {name: east[name] for name in ("kind", "alias", "frequency", "enabled", "safety")}
    assert shown == {
        "kind": "ldap",
        "alias": "The gate",
        "frequency": "weekly",
        "enabled": False,
        "safety": {"max_creates": 7},
    }
    assert (east["system"]["id"], shop["system"]["id"]) == ("acme_door", "acme_leaky")
    assert (east["declared"], shop["alias"]) == ("east", "shop")
    assert (shop["schedule"], shop["timezone"]) == ("15 9 * * mon", "Asia/Kolkata")
    assert shop["project"] is not None
    assert params == {"password": "********", "end": "error"}


def test_the_api_shows_them_and_can_not_change_them(site: Site) -> None:
    """Changes, removal and mappings are refused with a sentence; pausing and running are not."""
    mappings = "group_mappings = [{ ldap_group = 'cn=dev,dc=acme', group = 'Developers' }]"
    site.declare("east", more=mappings)
    with site.machine.daemon("--config", str(site.main)):
        client, number = site.machine.client(), site.connections()["east"]["id"]
        path = f"connections/ldap/{number}/"
        [mapping] = client.get(f"{path}group-mappings/")["results"]
        assert (mapping["ldap_group"], mapping["sde_group"]["name"]) == ("cn=dev,dc=acme", "Developers")
        tries = [
            ("PATCH", path, {"alias": "Mine"}),
            ("DELETE", path, None),
            ("DELETE", f"{path}group-mappings/{mapping['id']}/", None),
        ]
        for method, where, body in tries:
            with pytest.raises(Exception, match="declared in the configuration files, as 'east'"):
                client._send(method, where, json=body)
        assert site.type("pause", "--connection", number).returncode == 0
        assert site.connections()["east"]["alias"] == "east"
        shown = json.dumps(client.get(path))
        assert "opensesame" not in shown
        assert str(site.key) not in shown


def test_group_mappings_may_stand_among_the_params(site: Site) -> None:
    """Both forms become mappings, an inline one as soon as there is its group; what leaves the file goes."""
    params = (
        "ldap_server = 'ldap.example.com', bind_dn = 'cn=reader,dc=example,dc=com', "
        f"bind_password = 'file:{site.key}', base_dn = 'dc=example,dc=com'"
    )
    text = (
        "[[connection]]\nname = 'people'\nsystem = 'sync_ldap'\n"
        "group_mappings = [{{ ldap_group = 'dev', group = 'Developers' }}]\n"
        "params = {{ {}, group_mapping = {{ {} }} }}\n"
    )
    site.drop_in.write_text(text.format(params, "lead = 'developers', ops = 'Operators'"))
    with site.machine.daemon("--config", str(site.main)) as process:
        client = site.machine.client()
        path = f"connections/ldap/{site.connections()['people']['id']}/group-mappings/"

        def mapped() -> set[tuple[str, str]]:
            return {(one["ldap_group"], one["sde_group"]["name"]) for one in client.get(path)["results"]}

        assert mapped() == {("dev", "Developers"), ("lead", "Developers")}
        group = client.post("groups/", {"name": "Operators"})["id"]
        assert mapped() == {("dev", "Developers"), ("lead", "Developers"), ("ops", "Operators")}
        assert site.reload(process) is None
        with pytest.raises(Exception, match="remove these mappings first"):
            client._send("DELETE", f"groups/{group}/")
        site.drop_in.write_text(text.format(params, "ops = 'Operators'"))
        assert site.reload(process) is None
        assert mapped() == {("dev", "Developers"), ("ops", "Operators")}


def test_a_connector_of_the_organisation_lies_under_its_connections(site: Site) -> None:
    """Its params, secrets too, are those of its connections; a reload changes it and takes it away."""
    common = f"alias = 'All doors'\nparams = {{ password = 'file:{site.key}', lock = '/nowhere' }}\n"
    shared = f"[connector.doors]\nsystem = 'acme_door'\n{common}"
    one = "\n[[connection]]\nname = '{}'\nsystem = 'acme_door'\nconnector = 'doors'\n{}\n"
    own = f"params = {{ lock = '{site.lock}' }}"
    site.drop_in.write_text(shared + one.format("east", own) + one.format("west", ""))
    with site.machine.daemon("--config", str(site.main)) as process:
        assert site.run("east")["outcome"] == "succeeded"
        assert site.run("west")["outcome"] == "failed"
        client = site.machine.client()
        [shown] = client.get("connectors/ldap/")["results"]
        assert (shown["name"], shown["declared"]) == ("All doors", "doors")
        assert shown["params"] == {"password": "********", "lock": "/nowhere"}
        for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
            with pytest.raises(Exception, match="declared in the configuration files, as 'doors'"):
                client._send(method, f"connectors/ldap/{shown['id']}/", json=body)
        with pytest.raises(Exception, match="declare the connection there too"):
            client.post("connections/ldap/", {"connector": shown["id"], "params": {}})

        site.drop_in.write_text(site.drop_in.read_text().replace("/nowhere", str(site.lock)))
        assert site.reload(process) is None
        assert site.run("west")["outcome"] == "succeeded"

        text = site.drop_in.read_text()
        site.drop_in.write_text("")
        assert site.reload(process) is None
        assert [row["enabled"] for row in site.connections().values()] == [False, False]
        site.drop_in.write_text(text)
        assert site.reload(process) is None
        assert [row["id"] for row in client.get("connectors/ldap/")["results"]] == [shown["id"]]
        assert site.run("east")["outcome"] == "succeeded"


SHARED_BAD = {
    "[connector.doors]\nsystem = 'acme_door'\n[connector.no]\nsystem = 'acme_doors'": "there is no connector",
    "[connector.doors]\nsystem = 'acme_noop'": "connection 'east': [connector.doors] is for acme_noop",
    "[connector.gates]\nsystem = 'acme_door'": "connection 'east': there is no [connector.doors]",
    "[connector.doors]\nsystem = 'acme_door'\nparams = { password = 'env:NOT_THERE' }": "params.password",
    "[connector.doors]\nsystem = 'acme_door'\neditable = []\nparams = { lock = '/x' }": "lock is set by",
    "[connector.doors]\nsystem = 'acme_door'\neditables = []": "did you mean 'editable'",
}


@pytest.mark.parametrize("text", SHARED_BAD)
def test_what_is_wrong_with_a_shared_connector_is_told(site: Site, text: str) -> None:
    """The check fails (78) and names what is wrong with a connector or with what lies on it."""
    site.declare("east", more="connector = 'doors'")
    site.drop_in.write_text(f"{site.drop_in.read_text()}\n{text}\n")
    done = site.type("check", "--offline")
    assert done.returncode == 78
    assert SHARED_BAD[text] in " ".join((done.stdout + done.stderr).split())


def test_a_secret_is_replaced_by_replacing_its_file(site: Site) -> None:
    """The next run uses what the file holds then; nobody restarts anything."""
    site.declare("east")
    with site.machine.daemon("--config", str(site.main)):
        assert site.run("east")["outcome"] == "succeeded"
        site.lock.write_text("mellon-mellon")
        failed = site.run("east")
        assert (failed["outcome"], failed["reason"]) == ("failed", "auth")
        assert "opensesame" not in json.dumps(failed)
        site.key.write_text("mellon-mellon\n")
        assert site.run("east")["outcome"] == "succeeded"
        site.key.unlink()
        lost = site.run("east")
        assert (lost["outcome"], lost["reason"]) == ("failed", "bad_params")
        assert f"file:{site.key} can't be read: No such file or directory" in lost["message"]


def test_after_a_refusal_the_file_is_read_again(site: Site) -> None:
    """A secret that was replaced while a job ran lets the job run again, and succeed, once."""
    site.declare("east", params=f", rotate = '{site.key}'")
    site.key.write_text("the-old-one\n")
    with site.machine.daemon("--config", str(site.main)):
        job = site.run("east")
        assert (job["outcome"], job["attempt"]) == ("succeeded", 2)
    assert [line["tried"] for line in site.log() if line["event"] == "job_was_put_off"] == [1]


def test_text_of_the_api_is_no_reference(site: Site) -> None:
    """Who may make connections can't have the daemon read files: there a reference is plain text."""
    site.lock.write_text(f"file:{site.key}")
    with site.machine.daemon("--config", str(site.main)):
        params = {"password": f"file:{site.key}", "lock": str(site.lock)}
        body = {"alias": "Mine", "system": "acme_door", "params": params}
        number = site.machine.client().post("connections/ldap/", body)["id"]
        assert site.type("connections", "run", number, "--wait").returncode == 0


@pytest.mark.parametrize(
    ("place", "environment"),
    [
        ("env:DOOR_KEY", {"DOOR_KEY": "opensesame"}),
        ("credential:door.key", {"CREDENTIALS_DIRECTORY": ""}),
    ],
)
def test_secrets_come_from_the_environment_and_from_systemd(
    site: Site, place: str, environment: dict[str, str]
) -> None:
    """``env:`` and ``credential:`` name secrets too."""
    (site.home / "door.key").write_text("opensesame\n")
    if "CREDENTIALS_DIRECTORY" in environment:
        environment = {"CREDENTIALS_DIRECTORY": str(site.home)}
    site.machine.settings |= environment
    site.declare("east", key=place)
    with site.machine.daemon("--config", str(site.main)):
        assert site.run("east")["outcome"] == "succeeded"


def test_a_literal_secret_is_warned_about(site: Site) -> None:
    """A secret that stands in a file works, is sealed in the store, and the log only names it."""
    site.declare("east", key="opensesame")
    with site.machine.daemon("--config", str(site.main)) as process:
        assert site.run("east")["outcome"] == "succeeded"
        assert site.reload(process) is None
        assert b"opensesame" not in b"".join(
            path.read_bytes() for path in site.machine.state.glob("runner.db*")
        )
    assert [line for line in site.log() if line["event"] == "declared_connections_were_applied"][1:] == []
    line, _ = [line for line in site.log() if line["event"] == "secrets_stand_in_files"]
    assert line["names"] == ["connection east: params.password"]


BAD = {
    "system = 'acme_doors'": "there is no connector 'acme_doors'",
    "kind = 'alm'": "acme_door is of the kind ldap",
    "project = 'Nowhere'": "there is no project 'Nowhere'",
    "safety = { max_creates = -1 }": "max_creates",
    "schedule = 'often'": "is not a cron expression",
    "frequancy = 'daily'": "did you mean 'frequency'",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_with_a_declared_connection_is_told(site: Site, text: str) -> None:
    """The daemon doesn't start (78), and names the connection and what is wrong with it."""
    site.declare("east", more=text)
    if text.startswith("system"):
        site.drop_in.write_text(site.drop_in.read_text().replace("system = 'acme_door'\n", "", 1))
    done = site.type("run", "--once")
    assert done.returncode == 78
    assert "east" in done.stderr
    assert BAD[text] in done.stderr


def test_a_missing_secret_and_wrong_params_are_told(site: Site) -> None:
    """Both at once: all that is wrong is told together."""
    site.declare("east", key="env:NOT_THERE")
    text = site.drop_in.read_text()
    site.drop_in.write_text(f"{text}\n[[connection]]\nname = 'west'\nsystem = 'acme_door'\n")
    done = site.type("run", "--once")
    assert done.returncode == 78
    assert "connection east: params.password: env:NOT_THERE names an environment variable" in done.stderr
    assert "connection west: params" in done.stderr


def test_check_goes_through_its_tiers(site: Site) -> None:
    """Files and references without a network; with one each connection's steps, and 69 if one fails."""
    site.declare("east", "west")
    offline = site.type("check", "--offline")
    assert offline.returncode == 0, offline.stdout
    assert "connection east: names a connector that takes its params" in offline.stdout
    assert "the lock" not in offline.stdout
    first = site.type("check")
    assert first.returncode == 0, first.stdout
    assert "are tested once the daemon has set up the store" in first.stdout
    with site.machine.daemon("--config", str(site.main)):
        assert "connection west: the lock: good" in site.type("check").stdout
    done = site.type("check")  # and without a daemon, in the command itself
    assert (done.returncode, "connection west: the lock: good" in done.stdout) == (0, True)
    site.lock.write_text("mellon-mellon")
    bad = site.type("check")
    assert bad.returncode == 69
    assert "FAILED  connection east: the lock: The key doesn't fit." in bad.stdout
    assert site.type("check", "--offline").returncode == 0


def test_check_names_what_the_files_refer_to_in_vain(site: Site) -> None:
    """A secret that can't be had is told for each connection, with 78; nothing is reached after that."""
    site.declare("east", key="env:NOT_THERE")
    for flags in ([], ["--offline"]):
        done = site.type("check", *flags)
        assert done.returncode == 78
        assert "FAILED connection east: params.password: env:NOT_THERE names" in " ".join(done.stdout.split())
    site.declare("east", key="opensesame")
    done = site.type("check", "--offline")
    assert done.returncode == 0
    assert "connection east: params.password stands in a file as plain text" in " ".join(done.stdout.split())


def test_planted_secrets_are_in_no_output(site: Site) -> None:
    """From files, environment and systemd, through runs that succeed, fail and break: nothing tells them."""
    planted = {name: f"planted-{name}-{'x' * 9}" for name in ("file", "env", "credential")}
    site.key.write_text(f"{planted['file']}\n")
    (site.home / "door.key").write_text(planted["credential"])
    site.machine.settings |= {
        "PLANTED": planted["env"],
        "CREDENTIALS_DIRECTORY": str(site.home),
        "RUNNER__LOG__LEVEL": "debug",
    }
    site.main.write_text(site.main.read_text().replace("'acme_noop'", "'acme_leaky'"))
    places = {"file": f"file:{site.key}", "env": "env:PLANTED", "credential": "credential:door.key"}
    ends = ("", "error", "defect")
    site.drop_in.write_text(
        "\n".join(
            f"[[connection]]\nname = '{kind}-{end}'\nsystem = 'acme_leaky'\nproject = 'Webshop'\n"
            f"params = {{ password = '{place}', end = '{end}' }}\n"
            for kind, place in places.items()
            for end in ends
        )
    )
    told: list[str] = []
    with site.machine.daemon("--sample", "--config", str(site.main)):
        client, rows = site.machine.client(), site.connections()
        assert len([name for name in rows if name]) == 9
        for name, row in rows.items():
            if name:
                for verb in (["preview"], ["run", "--wait"], ["run", "--wait", "--json"]):
                    done = site.type("connections", verb[0], row["id"], *verb[1:])
                    told += [done.stdout, done.stderr]
        more = "progress,totals,reason,outcome,preview"
        told.append(json.dumps(list(client.pages("jobs/", include=more))))
        told.append(json.dumps(list(client.pages("changes/", include="preview"))))
        told.append(json.dumps([client.get("connections/"), client.get("status/")]))
        for words in (["check"], ["status"], ["config", "show", "--origins"], ["changes", "export"]):
            done = site.type(*words)
            told += [done.stdout, done.stderr]
    told.append(site.machine.state.with_name("daemon.log").read_text(encoding="utf-8"))
    assert "printed ********" in told[-1]
    assert "warned of ********" in told[-1]
    store = b"".join(path.read_bytes() for path in site.machine.state.glob("runner.db*"))
    assert sum(text.count("********") for text in told) > 100
    for secret in planted.values():
        assert not any(secret in text for text in told)
        assert secret.encode() not in store
