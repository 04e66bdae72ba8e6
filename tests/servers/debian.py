"""A Debian system of the tests' own, booted by a real systemd in a container; gone with the test run.

The base system is made once in a folder. A machine boots on it with an overlay in memory, so that it can't
change it, and without a network but its own loopback.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.waiting import until

_MAKING = 900  # seconds; its packages come over the network
_BOOT = 120.0  # seconds
_COMMAND = 180.0  # seconds
_PACKAGES = "dbus,init-system-helpers,libpam-systemd,python3,systemd,systemd-sysv"


def why_not() -> str | None:
    """What is missing to boot one, as a phrase; None if nothing is."""
    if os.getuid() != 0:
        return "only root can boot a system in a container"
    absent = [name for name in ("debootstrap", "systemd-nspawn", "nsenter") if shutil.which(name) is None]
    return f"{', '.join(absent)} isn't installed" if absent else None


def make_base(folder: Path) -> None:
    """Unpack a small Debian of this machine's release into ``folder``, from where this machine's comes."""
    release = _from_os_release("VERSION_CODENAME")
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {release}", "Component: main"]
    sources = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, folder, *sources[:1]],
        check=True,
        timeout=_MAKING,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def _from_os_release(name: str) -> str:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)[name].strip('"')


@dataclass(frozen=True, kw_only=True)
class DebianMachine:
    """One booted system."""

    leader: int  # the process that it knows as its number 1

    def type(self, script: str, *, seconds: float = _COMMAND) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root, to its end."""
        return subprocess.run(
            [
                *("nsenter", "--target", str(self.leader)),
                *("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"),
                *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"),
                *("DEBIAN_FRONTEND=noninteractive", "HOME=/root", "/bin/sh", "-c", script),
            ],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def do(self, script: str) -> str:
        """Run a shell script that has to succeed; what it prints."""
        done = self.type(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def booted(base: Path, *, shared: Path, log: Path) -> Iterator[DebianMachine]:
    """A machine on ``base`` that finds the folder ``shared`` at /srv; its console goes to ``log``."""
    with log.open("wb") as console:
        process = subprocess.Popen(
            [
                *("systemd-nspawn", "--boot", "--register=no", "--keep-unit", "--private-network", "--quiet"),
                *("--volatile=overlay", f"--directory={base}", f"--bind-ro={shared}:/srv"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        leader = until("the container's first process", lambda: _first(process.pid))
        assert leader is not None
        machine = DebianMachine(leader=leader)
        until("the end of its boot", lambda: _is_up(machine), seconds=_BOOT)
        yield machine
    except AssertionError:
        print(log.read_text(encoding="utf-8", errors="replace"))  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        process.terminate()  # it shuts the system down in order
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first(pid: int) -> int | None:
    """The child that is number 1 to itself; another one before it only prepares its place."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            [numbers] = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
            if len(numbers) > 1 and numbers[-1] == "1":
                return int(child)
    return None


def _is_up(machine: DebianMachine) -> bool:
    # Some units of a full system can't run in a container: "degraded" is up as well.
    return machine.type("systemctl is-system-running").stdout.strip() in {"running", "degraded"}
