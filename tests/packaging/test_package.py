"""The Debian package on a machine that systemd has booted, from its installation to its removal.

The tests share the machine and stand in the order of a service's life.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers.debian import DebianMachine
from tests.servers.waiting import until

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.slow]

UNIT = "integration-runner.service"
CONF = "/etc/integration-runner/conf.d"
STATE = "/var/lib/integration-runner"
FAST = """[Service]
WatchdogSec=6s
TimeoutAbortSec=2s
RestartSec=1s
"""
PLUGINS = """[plugins]
path = "/opt/plugins"
allow = ["acme_folder"]
"""
CALL = """
import json, sys, urllib.error, urllib.request
token, method, path, kind, body = sys.argv[1:]
request = urllib.request.Request(
    "http://127.0.0.1:8080/api/v2/" + path, method=method, data=body.encode() or None,
    headers={"Authorization": "Token " + token, "Content-Type": kind},
)
try:
    print(urllib.request.urlopen(request, timeout=30).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode()}")
"""

MAPPING = """Countermeasure ID,Title,Weakness ID,Weakness Title,Confidence
PT1,Escape output,Cross-Site Scripting: Persistent,Cross-Site Scripting,high
"""
VERSION = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as c:
    print(c.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    c.execute("UPDATE alembic_version SET version_num = ?", sys.argv[2:])
"""


def show(machine: DebianMachine, *names: str) -> dict[str, str]:
    """Properties of the service, as systemd has them."""
    asked = " ".join(f"-p {name}" for name in names)
    return dict(line.split("=", 1) for line in machine.do(f"systemctl show {UNIT} {asked}").splitlines())


def journal(machine: DebianMachine) -> str:
    """All that the service and systemd said of it."""
    return machine.do(f"journalctl --no-pager -o cat -u {UNIT}")


def write(machine: DebianMachine, path: str, text: str) -> None:
    """Write a file there."""
    machine.do(f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}\nEND")


@pytest.fixture(scope="module")
def call(machine: DebianMachine) -> Callable[..., str]:
    """Give what asks the service's API, as an administrator."""
    created = json.loads(machine.do("runner tokens create --user op@example.com --admin --json"))
    write(machine, "/run/call.py", CALL)

    def ask(method: str, path: str, body: object) -> str:
        kind, text = ("text/csv", body) if isinstance(body, str) else ("application/json", json.dumps(body))
        return machine.do(f"python3 /run/call.py {created['token']} {method} {path} {kind} '{text}'")

    return ask


def job(machine: DebianMachine, number: int) -> Any:
    """A job as the command line shows it."""
    return json.loads(machine.do(f"runner jobs show {number} --json"))


def main_pid(machine: DebianMachine) -> int:
    """The service's main process, 0 if it has none."""
    return int(show(machine, "MainPID")["MainPID"])


def restarted(machine: DebianMachine, before: int) -> int:
    """Wait until systemd has started another main process that is ready; its number."""

    def look() -> int:
        state = show(machine, "MainPID", "ActiveState")
        pid = int(state["MainPID"])
        return pid if state["ActiveState"] == "active" and pid not in (0, before) else 0

    return until("another main process that is ready", look)


def test_it_is_installed_and_runs(machine: DebianMachine) -> None:
    """After `dpkg -i` the service is enabled, is ready, and runs as its own user with a state of its own."""
    assert show(machine, "UnitFileState", "ActiveState", "User") == {
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "User": "integration-runner",
    }
    assert "slots busy" in show(machine, "StatusText")["StatusText"]
    owner = machine.do(
        f"stat -c '%U:%G %a' {STATE} /etc/integration-runner/runner.toml /etc/integration-runner"
    )
    assert owner.split("\n")[:3] == [
        "integration-runner:integration-runner 700",
        "root:integration-runner 640",
        "root:integration-runner 750",
    ]
    assert machine.do(f"stat -c %U /proc/{main_pid(machine)}").strip() == "integration-runner"
    assert machine.do("runner status --json")


def test_the_manual_and_completion_come_with_it(machine: DebianMachine) -> None:
    """The manual has its three pages, and bash completes the installed command."""
    for page in ("man1/runner.1", "man5/runner.toml.5", "man8/integration-runner.8"):
        assert ".TH" in machine.do(f"zcat /usr/share/man/{page}.gz")
    asked = "COMP_WORDS=(runner jo); COMP_CWORD=1; _runner_completion runner; echo $COMPREPLY"
    script = f". /usr/share/bash-completion/completions/runner; {asked}"
    assert machine.do(f"bash -c '{script}'").strip() == "jobs"
    assert machine.do("head -1 /usr/share/zsh/vendor-completions/_runner").strip() == "#compdef runner"


def test_no_sample_data_and_no_token_come_with_it(machine: DebianMachine) -> None:
    """A fresh installation knows nobody: no project, no connection, no token."""
    assert json.loads(machine.do("runner tokens list --json")) == []
    assert json.loads(machine.do("runner connections list --json")) == []


def test_a_report_is_imported(machine: DebianMachine, call: Callable[..., str]) -> None:
    """Under all of the unit's restrictions a worker reads a report, and tasks are verified."""
    call("POST", "business-units/", {"name": "Unit"})
    call("POST", "applications/", {"name": "Portal", "business_unit": 1})
    call("POST", "projects/", {"name": "Webshop", "application": 1})
    call("POST", "projects/1/tasks/", {"title": "Escape output", "phase": "development", "priority": 7})
    upload = "runner upload /srv/report.xml --project 1 --wait"
    assert "None of the 18 findings matches" in machine.type(upload).stdout
    call("PUT", "connections/analysis/1/mapping/", MAPPING)
    done = machine.type(upload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 task set to fail" in done.stdout


def test_a_good_file_is_taken_at_a_reload(machine: DebianMachine) -> None:
    """`systemctl reload` succeeds, and the process goes on with the new settings."""
    before = main_pid(machine)
    write(machine, f"{CONF}/10-safety.toml", "[log]\nlevel = 'debug'")
    machine.do(f"systemctl reload {UNIT}")
    until("the reload", lambda: "configuration_was_reloaded" in journal(machine))
    assert main_pid(machine) == before


def test_a_bad_file_is_refused_at_a_reload(machine: DebianMachine) -> None:
    """`systemctl reload` fails and says why; the service goes on as it was."""
    before = main_pid(machine)
    write(machine, f"{CONF}/20-bad.toml", "[engine]\nconcurency = 2")
    assert machine.type(f"systemctl reload {UNIT}").returncode != 0
    assert main_pid(machine) == before
    assert "did you mean 'concurrency'" in journal(machine)
    assert show(machine, "ActiveState")["ActiveState"] == "active"


def test_a_bad_file_at_a_start_doesn_t_loop(machine: DebianMachine) -> None:
    """A start with a configuration that is wrong fails at once, is not tried again, and says why."""
    assert machine.type(f"systemctl restart {UNIT}").returncode != 0
    state = show(machine, "ActiveState", "SubState", "NRestarts", "ExecMainStatus", "Result")
    assert (state["ActiveState"], state["SubState"], state["NRestarts"]) == ("failed", "failed", "0"), state
    machine.do(f"rm {CONF}/20-bad.toml && systemctl reset-failed {UNIT} && systemctl start {UNIT}")


def test_somebody_else_s_connector_runs(machine: DebianMachine, call: Callable[..., str]) -> None:
    """A plug-in in a folder of its own is allowed by name and runs."""
    machine.do("cp -r /srv/plugins /opt/plugins && chmod -R a+rX /opt/plugins")
    write(machine, f"{CONF}/30-plugins.toml", PLUGINS)
    machine.do(f"systemctl restart {UNIT}")
    machine.do(f"install -d -o integration-runner {STATE}/folder")
    write(machine, f"{STATE}/source.json", json.dumps({f"{n}.txt": "text" for n in range(8)}))
    machine.do(f"chmod 644 {STATE}/source.json")
    body = {
        "alias": "folder",
        "system": "acme_folder",
        "project": 1,
        "params": {"source": f"{STATE}/source.json", "folder": f"{STATE}/folder", "pause": 0.5},
    }
    call("POST", "connections/alm/", body)
    done = machine.type("runner connections run 2 --wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(machine.do(f"ls {STATE}/folder").split()) == 8


def begin(machine: DebianMachine) -> int:
    """Start a run that writes for some seconds; its number, when its first write is made."""
    machine.do(f"rm -f {STATE}/folder/*.txt")
    number = json.loads(machine.do("runner connections run 2 --json"))["id"]
    until("its first write", lambda: machine.do(f"ls {STATE}/folder").split())
    return int(number)


def test_a_killed_process_is_started_again(machine: DebianMachine) -> None:
    """After SIGKILL systemd starts it again, and the job that ran is brought to its end."""
    write(machine, f"/etc/systemd/system/{UNIT}.d/fast.conf", FAST)
    machine.do(f"systemctl daemon-reload && systemctl restart {UNIT}")
    number, before = begin(machine), main_pid(machine)
    machine.do(f"kill -KILL {before}")
    restarted(machine, before)
    until("the end of the job", lambda: job(machine, number)["outcome"] == "succeeded")
    assert len(machine.do(f"ls {STATE}/folder").split()) == 8


def test_a_process_that_hangs_is_replaced(machine: DebianMachine) -> None:
    """One that says no more that it is alive is ended by the watchdog and started again."""
    before = main_pid(machine)
    machine.do(f"kill -STOP {before}")
    restarted(machine, before)
    assert "Watchdog timeout" in journal(machine)


def test_a_stop_lets_the_running_job_end(machine: DebianMachine) -> None:
    """`systemctl stop` under load waits for the job in hand, and is a clean end."""
    number = begin(machine)
    machine.do(f"systemctl stop {UNIT}")
    assert show(machine, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    machine.do(f"systemctl start {UNIT}")
    assert job(machine, number)["outcome"] == "succeeded"


def test_a_stop_that_is_cut_short_is_no_failure(machine: DebianMachine) -> None:
    """What isn't through by the deadline is handed back with 75, which systemd takes for success."""
    write(machine, f"{CONF}/40-drain.toml", "[engine]\ndrain_deadline = '1s'")
    machine.do(f"systemctl reload {UNIT}")
    number = begin(machine)
    machine.do(f"systemctl stop {UNIT}")
    assert show(machine, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "75"}
    machine.do(f"rm {CONF}/40-drain.toml && systemctl start {UNIT}")
    until("the end of the job", lambda: job(machine, number)["outcome"] == "succeeded")


def test_an_upgrade_backs_up_first(machine: DebianMachine) -> None:
    """The store is backed up, the service runs again, and plug-ins and connections are as they were."""
    before = main_pid(machine)
    machine.do("dpkg -i /srv/second.deb")
    restarted(machine, before)
    assert machine.do(f"ls {STATE}/backups").split()
    done = machine.type("runner connections run 2 --wait")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_store_of_a_newer_version_is_refused(machine: DebianMachine) -> None:
    """It isn't started, isn't tried again and again, and the journal says what to do."""
    machine.do(f"systemctl stop {UNIT}")
    write(machine, "/run/version.py", VERSION)
    known = machine.do(f"python3 /run/version.py {STATE}/runner.db 9999").strip()
    machine.type(f"systemctl start {UNIT}")
    until("systemd's giving up", lambda: show(machine, "ActiveState")["ActiveState"] == "failed")
    assert show(machine, "NRestarts")["NRestarts"] == "0"
    assert "Install the version that wrote it" in journal(machine)
    machine.do(f"python3 /run/version.py {STATE}/runner.db {known}")
    machine.do(f"systemctl reset-failed {UNIT} && systemctl start {UNIT}")


def test_nothing_confidential_is_dumped(machine: DebianMachine) -> None:
    """A process that crashes leaves no image of its memory behind."""
    limits = machine.do(f"cat /proc/{main_pid(machine)}/limits")
    [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_removal_leaves_the_state(machine: DebianMachine) -> None:
    """Removed and purged, the package leaves its journal of changes, and nothing that runs."""
    machine.do("dpkg --remove integration-runner")
    assert show(machine, "ActiveState")["ActiveState"] != "active"
    told = machine.do("dpkg --purge integration-runner")
    assert "the state is kept" in told
    machine.do(f"test -s {STATE}/runner.db && ! test -e /usr/bin/runner")
