"""A private Active Directory domain: Samba on a loopback address of its own, gone with who started it."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Certificates, issue
from tests.servers.waiting import until

BASE = "DC=example,DC=test"
HOST = "dc1.example.test"
ADMIN = f"CN=Administrator,CN=Users,{BASE}"
ADMIN_PASSWORD = "Adm1n-Passw0rd!"
TLS_PORT = 636  # Samba's ports can't be chosen, so each domain has an address of its own
PORT = 389

_CONFIGURATION = """
[global]
netbios name = DC1
realm = EXAMPLE.TEST
workgroup = EXAMPLE
server role = active directory domain controller
server services = ldap
dcerpc endpoint servers =
interfaces = {address}/8
bind interfaces only = yes
private dir = {folder}/private
lock directory = {folder}
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/run
ncalrpc dir = {folder}/ncalrpc
binddns dir = {folder}/bind-dns
winbindd socket directory = {folder}/winbindd
ntp signd socket directory = {folder}/ntp
log file = {folder}/log.%m
ldb:nosync = true
ldap server require strong auth = yes
tls enabled = yes
tls cafile = {certificates.ca}
tls certfile = {certificates.certificate}
tls keyfile = {certificates.key}
"""


def find_programs() -> bool:
    """Whether a domain can be made here: the programs, and ports below 1024."""
    found = all(shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("samba", "samba-tool"))
    return found and os.geteuid() == 0 and Path("/usr/share/samba/setup").is_dir()


def _free_address() -> str:
    """An address of this machine on which nobody has a directory."""
    while True:
        address = f"127.{random.randint(32, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311 - no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((address, TLS_PORT))
                return address


@dataclass(kw_only=True)
class SambaServer:
    """One domain; ``reset`` takes it back to what it was when it was made."""

    folder: Path
    address: str
    certificates: Certificates
    _process: subprocess.Popen[bytes] | None = None

    @property
    def _tree(self) -> Path:
        return self.folder / "domain"

    def provision(self) -> None:
        """Make the domain: some seconds of work, done once."""
        done = subprocess.run(
            [
                *("samba-tool", "domain", "provision", f"--targetdir={self._tree}"),
                *("--realm=EXAMPLE.TEST", "--domain=EXAMPLE", "--server-role=dc", "--host-name=dc1"),
                *(f"--host-ip={self.address}", f"--adminpass={ADMIN_PASSWORD}", "--dns-backend=NONE"),
                *("--option=ldb:nosync=true", "-d0"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for name in ("run", "cache"):
            (self._tree / name).mkdir(exist_ok=True)
        (self._tree / "etc" / "smb.conf").write_text(
            _CONFIGURATION.format(address=self.address, folder=self._tree, certificates=self.certificates)
        )
        self.keep()

    def keep(self) -> None:
        """Let ``reset`` lead back to what is in the domain now. The server must not run."""
        subprocess.run(["tar", "-C", self.folder, "-cf", self.folder / "domain.tar", "domain"], check=True)

    def reset(self) -> None:
        """Take everything back and start."""
        self.stop()
        shutil.rmtree(self._tree)
        subprocess.run(["tar", "-C", self.folder, "-xf", self.folder / "domain.tar"], check=True)
        self.start()

    def start(self) -> None:
        """Start the server and return when it answers."""
        with (self.folder / "samba.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The parent's death ends the server too, also when a test run is killed.
                [
                    *("setpriv", "--pdeathsig=KILL", "samba", "-s", str(self._tree / "etc" / "smb.conf")),
                    *("-i", "-M", "single", "--debug-stdout"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until("an answer of Samba", self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "samba.log").read_text()
        for port in (PORT, TLS_PORT):
            try:
                socket.create_connection((self.address, port), timeout=1).close()
            except OSError:
                return False
        return True

    def stop(self) -> None:
        """End the server."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power loss would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=30)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def private_samba() -> Iterator[SambaServer]:
    """Run a domain for the length of the block; its folder is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="runner-samba-", ignore_cleanup_errors=True) as name:
        folder, address = Path(name), _free_address()
        server = SambaServer(
            folder=folder,
            address=address,
            certificates=issue(folder / "tls", HOST, "localhost", address),
        )
        server.provision()
        server.start()
        try:
            yield server
        finally:
            server.stop()
