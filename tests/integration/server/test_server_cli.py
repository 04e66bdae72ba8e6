"""The command line against a real server: what was added to look at and to steer connections."""

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.cli.app import run
from runner.model.findings import FindingRow
from runner.model.jobs import Kind
from runner.settings import Declaration
from runner.store import claims, findings, job_log, queue
from runner.store.accounts import Role, Scope
from runner.store.job_log import Line
from runner.store.schema import users
from tests.integration.server.kit import Running

Said = tuple[int, str]
Command = Callable[..., Said]

CSV = "Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence\nT21,XSS,CWE-79,XSS,high\n"


@pytest.fixture
def command(server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command with an administrator's token; its exit code and output."""
    token = tmp_path / "token"
    token.write_text(server.token(Scope.ADMIN, email="cli@example.com", role=Role.ADMINISTRATOR))

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = run([*arguments, "--url", server.base, "--token-file", str(token)])
        return code, capsys.readouterr().out

    return call


def test_a_connection_is_tried(server: Running, command: Command) -> None:
    """Each step is printed; the exit code is 1 if one fails."""
    good = server.connection(params={})
    bad = server.connection(alias="bad", params={"fail": True})
    code, said = command("connections", "test", str(good))
    assert (code, "log in" in said) == (0, True)
    code, said = command("connections", "test", str(bad), "--json")
    told = json.loads(said)
    assert (code, told["success"], told["steps"][1]["ok"]) == (1, False, False)


def test_a_connection_is_disabled_and_scheduled(server: Running, command: Command) -> None:
    """Disabled, enabled, and due by a frequency or an expression of its own."""
    ident = str(server.connection())

    def shown() -> dict[str, object]:
        told: dict[str, object] = json.loads(command("connections", "show", ident, "--json")[1])
        return told

    assert command("connections", "disable", ident)[0] == 0
    assert shown()["enabled"] is False
    assert command("connections", "enable", ident)[0] == 0
    assert shown()["enabled"] is True
    arguments = ("--frequency", "daily", "--cron", "30 6 * * *", "--timezone", "Europe/Berlin")
    assert command("connections", "schedule", ident, *arguments)[0] == 0
    now = shown()
    assert (now["frequency"], now["schedule"], now["timezone"]) == ("daily", "30 6 * * *", "Europe/Berlin")
    assert command("connections", "schedule", ident, "--cron", "")[0] == 0
    assert shown()["schedule"] is None
    assert command("connections", "schedule", ident)[0] == 2
    assert command("connections", "schedule", ident, "--cron", "nonsense")[0] == 1


def test_connections_are_exported_as_json(server: Running, command: Command) -> None:
    """With ``--json`` all connections with their params, masks where secrets are."""
    server.connection(params={"alm_server": "a", "alm_pass": "hunter2-hunter2"})
    code, said = command("connections", "export", "--json")
    (told,) = json.loads(said)
    assert (code, told["params"]) == (0, {"alm_server": "a", "alm_pass": "********"})


def test_connections_are_exported_as_declarations(server: Running, command: Command) -> None:
    """Tables for a drop-in: names told apart, projects and groups by name, no secret but where it is."""
    project = server.project()
    params = {"alm_server": "a", "alm_pass": "hunter2-hunter2", "odd key": {"x": [1, None]}, "none": None}
    for alias in ("Shop", "Shop"):
        server.connection(params=params, alias=alias, project_id=project)
    ldap = server.connection("ldap", alias="People", schedule="0 3 * * *", safety={"max_destructive": 5})
    server.connection("fortify_file_upload", project_id=project, is_file_upload=True)
    server.database.write(lambda c: c.execute(users.update().values(is_superuser=True)))
    admin = server.client(Scope.ADMIN, email="cli@example.com")
    for name in ("developers", "testers"):
        group = admin.post("groups/", json={"name": name}).json()["id"]
        path = f"connections/ldap/{ldap}/group-mappings/"
        made = admin.post(path, json={"ldap_group": f"CN={name}", "sde_group": group})
        assert made.status_code == 201, made.text
    code, said = command("connections", "export")
    assert (code, "hunter2" in said) == (0, False)
    first, second, third = (
        Declaration.model_validate(one).model_dump() for one in tomllib.loads(said)["connection"]
    )
    assert [first["name"], second["name"], third["name"]] == ["Shop", "Shop (2)", "People"]
    assert first["project"] == "Unit of Webshop/Application of Webshop/Webshop"
    secret = {"alm_server": "a", "odd key": {"x": [1]}}
    assert first["params"] == {**secret, "alm_pass": "env:RUNNER_SHOP_ALM_PASS"}
    assert second["params"] == {**secret, "alm_pass": "env:RUNNER_SHOP_2_ALM_PASS"}
    assert (third["schedule"], third["safety"]) == ("0 3 * * *", {"max_destructive": 5})
    groups = [(one["ldap_group"], one["group"]) for one in third["group_mappings"]]
    assert groups == [("CN=developers", "developers"), ("CN=testers", "testers")]


def test_a_mapping_goes_in_and_comes_out(server: Running, command: Command, tmp_path: Path) -> None:
    """The file that was set is what is printed; one that can't be used changes nothing."""
    ident, file = str(server.connection("whitehat")), tmp_path / "mapping.csv"
    file.write_text(CSV)
    assert command("mapping", "set", ident, str(file))[0] == 0
    assert command("mapping", "get", ident) == (0, CSV)
    file.write_text("nonsense\n")
    assert command("mapping", "set", ident, str(file))[0] == 1
    assert command("mapping", "get", ident) == (0, CSV)
    assert command("mapping", "get", "99")[0] == 1


def test_a_jobs_log_and_findings_are_shown(server: Running, command: Command) -> None:
    """What the connector logged, what the import found, and how the job ended."""
    connection = server.connection("whitehat")
    server.database.write(
        lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.ANALYSIS, now=server.clock())
    )
    job = server.database.write(lambda c: claims.claim(c, owner="test", now=server.clock()))[0].job
    line = Line(datetime(2026, 1, 1, tzinfo=UTC), "page_read", {"page": 3})
    server.database.write(lambda c: job_log.add(c, job=job, lines=[line]))
    rows = [
        FindingRow("XSS", [79], "high", 3, "cwe", mapped=True, tasks=["T21"], examples=[]),
        FindingRow("Odd", [], "low", 1, "nothing", mapped=False, tasks=[], examples=[]),
    ]
    server.database.write(lambda c: findings.add(c, job, first=1, rows=rows))
    assert "page_read  page=3" in command("jobs", "log", str(job.id))[1]
    told = json.loads(command("jobs", "findings", str(job.id), "--unmapped", "--json")[1])
    assert [row["category"] for row in told] == ["Odd"]
    assert "XSS" in command("jobs", "findings", str(job.id))[1]
    server.admin().post(f"jobs/analysis/{job.id}/cancel/")
    server.database.write(lambda c: claims.hand_back(c, job=job, now=server.clock()))
    code, said = command("jobs", "watch", str(job.id), "--json")
    assert (code, json.loads(said)["outcome"]) == (1, "cancelled")
