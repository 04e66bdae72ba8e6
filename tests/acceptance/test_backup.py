"""Backups, what is put back, and states that were copied: none runs its jobs again by itself."""

import shutil
import stat
import tarfile
from pathlib import Path

import pytest
import requests

from runner.cli.transport import UnixAdapter
from tests.servers.lives import log_of
from tests.servers.machine import REPORT, Machine
from tests.servers.waiting import until


def jobs(machine: Machine) -> dict[int, str]:
    """All jobs with their states."""
    return {job["id"]: job["state"] for job in machine.json("jobs", "list")}


@pytest.fixture
def full(machine: Machine) -> Machine:
    """Give a machine with the sample project, where one import ran."""
    with machine.daemon("--sample"):
        assert machine.type("upload", REPORT, "--project", "1", "--wait").returncode == 0
    return machine


def test_a_backup_is_put_back_and_starts_paused(full: Machine, tmp_path: Path) -> None:
    """Made while the daemon runs; later jobs are gone, uploads are back, and nothing runs before resume."""
    archive = tmp_path / "backup.tar"
    with full.daemon():
        assert full.type("pause").returncode == 0
        connection = full.json("jobs", "list")[0]["connection"]
        waiting = full.type("upload", REPORT, "--project", "1")
        assert waiting.returncode == 0, waiting.stderr
        done = full.type("db", "backup", archive)
        assert done.returncode == 0, done.stderr
        before = jobs(full)
        assert sorted(before.values()) == ["finished", "finished", "pending"]  # the sample's, ours, ours
        assert full.type("resume").returncode == 0
        until("the job's end", lambda: set(jobs(full).values()) == {"finished"})
        refused = full.type("db", "restore", archive)
        assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    shutil.rmtree(full.state / "uploads")

    done = full.type("db", "restore", archive)
    assert done.returncode == 0, done.stderr
    assert "start paused" in done.stderr
    [aside] = full.state.glob("before-restore-*")
    assert (aside / "runner.db").is_file()
    assert len(list((full.state / "uploads").iterdir())) == 3
    with full.daemon():
        assert jobs(full) == before
        status = full.status()
        assert (status["ready"], "restored from a backup" in status["paused"]["why"]) == (False, True)
        assert full.type("resume").returncode == 0
        until("the job's end", lambda: set(jobs(full).values()) == {"finished"})
        assert {job["outcome"] for job in full.json("jobs", "list")} == {"succeeded"}
        assert {job["connection"] for job in full.json("jobs", "list")} == {connection}


def test_without_a_daemon_the_command_does_it(full: Machine, tmp_path: Path) -> None:
    """The archive holds the store and the uploads, and a file that is there is left alone."""
    archive = tmp_path / "backup.tar"
    assert full.type("db", "backup", archive).returncode == 0
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert names[:2] == ["about.json", "runner.db"]
    assert [name for name in names[2:] if not name.startswith("uploads/")] == []
    assert len(names) == 4  # the sample's report, and ours
    size = archive.stat().st_size
    again = full.type("db", "backup", archive)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert archive.stat().st_size == size
    assert not list(full.state.glob("backup-*"))


def test_uploaded_workbooks_come_back(machine: Machine, tmp_path: Path) -> None:
    """A restore has the workbooks that were there, and no other; those that it took away are kept aside."""
    archive, address = tmp_path / "backup.tar", "http://localhost/api/v2/providers/"

    def send(name: str, text: str) -> None:
        with requests.Session() as client:
            client.mount("http://", UnixAdapter(machine.state / "runner.sock"))
            sent = client.post(address, data={"name": name}, files={"workbook": ("p.csv", text)}, timeout=60)
            assert sent.status_code == 201, sent.text

    def there() -> dict[str, str]:
        folder = machine.state / "workbooks"
        return {path.name: path.read_text() for path in sorted(folder.iterdir())}

    with machine.daemon():
        send("Staff list", "First\nAda\n")
        assert machine.type("db", "backup", archive).returncode == 0
        send("Staff list", "First\nBob\n")
        send("Later", "First\nCem\n")
        later = there()
    done = machine.type("db", "restore", archive)
    assert done.returncode == 0, done.stderr
    assert there() == {"Staff list.csv": "First\nAda\n"}
    [aside] = machine.state.glob("before-restore-*")
    assert {path.name for path in (aside / "workbooks").iterdir()} == set(later)
    with machine.daemon():
        (shown,) = machine.client().get("providers/")["results"]
        assert (shown["name"], shown["size"]) == ("Staff list", 10)


def test_the_key_goes_with_it_on_demand(full: Machine, tmp_path: Path) -> None:
    """Without the flag a backup alone opens no secret."""
    (full.state / "key").write_text("a key")
    for flags, expected in (([], False), (["--with-key"], True)):
        archive = tmp_path / f"backup{len(flags)}.tar"
        assert full.type("db", "backup", archive, *flags).returncode == 0
        with tarfile.open(archive) as opened:
            assert ("key" in opened.getnames()) == expected


@pytest.mark.parametrize("flaw", ["cut", "other", "escape", "nothing"])
def test_a_damaged_archive_changes_nothing(full: Machine, tmp_path: Path, flaw: str) -> None:
    """It is refused whole, with a sentence, and the state is as it was."""
    archive, bad = tmp_path / "backup.tar", tmp_path / "bad.tar"
    assert full.type("db", "backup", archive).returncode == 0
    if flaw == "cut":
        bad.write_bytes(archive.read_bytes()[: archive.stat().st_size // 3])
    elif flaw == "other":
        bad.write_text("no archive at all")
    elif flaw == "escape":
        shutil.copy(archive, bad)
        with tarfile.open(bad, "a") as opened:
            opened.add(REPORT, "../escaped")
    before = sorted(path.name for path in full.state.iterdir())
    done = full.type("db", "restore", bad)
    assert done.returncode == 1
    assert "is no backup of the runner's, or is damaged; nothing was changed" in done.stderr
    assert sorted(path.name for path in full.state.iterdir()) == before
    assert not (full.state.parent / "escaped").exists()
    assert set(jobs(full).values()) == {"finished"}


def test_a_copied_state_starts_paused(full: Machine, tmp_path: Path) -> None:
    """Copied by whatever means it waits for a person; where it was, and when it is moved, it goes on."""
    copied = Machine(tmp_path / "copied" / "state", full.settings)
    shutil.copytree(full.state, copied.state)
    with full.daemon():
        assert full.status()["ready"]
    with copied.daemon():
        status = copied.status()
        assert (status["ready"], "was copied or restored" in status["paused"]["why"]) == (False, True)
        assert '"event": "state_was_copied"' in log_of(copied).read_text()
        assert copied.type("resume").returncode == 0
    with copied.daemon():
        assert copied.status()["ready"]
    moved = Machine(tmp_path / "moved" / "state", full.settings)
    moved.state.parent.mkdir()
    full.state.rename(moved.state)
    with moved.daemon():
        assert moved.status()["ready"]
