"""A private OpenLDAP server: its own folder and ports, gone with the process that started it."""

import base64
import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.servers.certificates import Certificates, issue
from tests.servers.machine import free_port
from tests.servers.waiting import until

BASE = "dc=example,dc=test"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "read-only-secret"
ADMIN = f"cn=admin,{BASE}"
ADMIN_PASSWORD = "administrators-secret"
SCHEMA = Path("/etc/ldap/schema")

LdapEntry: TypeAlias = tuple[str, Mapping[str, str | Sequence[str]]]
"""A DN and its attributes."""

_CONFIGURATION = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
include {schema}/nis.schema
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
TLSCACertificateFile {certificates.ca}
TLSCertificateFile {certificates.certificate}
TLSCertificateKeyFile {certificates.key}
sizelimit {limits}
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {password}
directory {folder}/db
maxsize 4294967296
dbnosync
index objectClass,uid,mail,cn,member,memberOf,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
overlay memberof
overlay refint
refint_attributes member
"""

LIMITS = "size.soft=500 size.hard=2000 size.pr=1000 size.prtotal=unlimited"
"""Without pages 500 entries; with pages, of 1,000 entries at most, as many as there are."""


def find_programs() -> Path | None:
    """Return the folder of ``slapd`` and ``slapadd``, which isn't in everybody's PATH."""
    found = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/local/libexec")
    return Path(found).parent if found and SCHEMA.is_dir() else None


def person(uid: str, *, groups: Iterable[str] = (), **attributes: str | Sequence[str]) -> LdapEntry:
    """Somebody with mail and names; ``groups`` are DNs."""
    values: dict[str, str | Sequence[str]] = {
        "objectClass": ["inetOrgPerson"],
        "uid": uid,
        "cn": f"{uid.title()} Tester",
        "givenName": uid.title(),
        "sn": "Tester",
        "mail": f"{uid}@example.com",
        **attributes,
    }
    if groups := list(groups):
        values["memberOf"] = groups
    return f"uid={uid},{PEOPLE}", {name: value for name, value in values.items() if value}


def group(cn: str, members: Sequence[str]) -> LdapEntry:
    """A group of these DNs; without any its only member is itself, for there has to be one."""
    dn = f"cn={cn},{GROUPS}"
    return dn, {"objectClass": ["groupOfNames"], "cn": cn, "member": list(members) or [dn]}


def skeleton() -> list[LdapEntry]:
    """The tree that all entries hang in, and the account that reads it."""
    return [
        (BASE, {"objectClass": ["dcObject", "organization"], "dc": "example", "o": "Example"}),
        (PEOPLE, {"objectClass": ["organizationalUnit"], "ou": "people"}),
        (GROUPS, {"objectClass": ["organizationalUnit"], "ou": "groups"}),
        (
            READER,
            {
                "objectClass": ["organizationalRole", "simpleSecurityObject"],
                "cn": "reader",
                "userPassword": READER_PASSWORD,
            },
        ),
    ]


def ldif(entries: Iterable[LdapEntry]) -> Iterator[str]:
    """The entries as LDIF, each value in base64 so that none needs care."""
    for dn, attributes in entries:
        yield f"dn:: {_base64(dn)}\nentryUUID: {uuid.uuid5(uuid.NAMESPACE_URL, dn)}\n"
        for name, values in attributes.items():
            for value in [values] if isinstance(values, str) else values:
                yield f"{name}:: {_base64(value)}\n"
        yield "\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(kw_only=True)
class SlapdServer:
    """One server over one folder; it can be emptied, stopped, frozen and killed under open clients."""

    folder: Path
    programs: Path
    certificates: Certificates
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    holds: str = ""  # what it was told that its content is
    _process: subprocess.Popen[bytes] | None = None

    def reset(self, entries: Iterable[LdapEntry] = (), *, limits: str = LIMITS, holds: str = "") -> None:
        """Begin anew with the skeleton and these entries, which bring their own memberOf.

        Tests that only read give their content a name, by which the next one knows it.
        """
        self.stop()
        self.holds = holds
        database = self.folder / "db"
        shutil.rmtree(database, ignore_errors=True)
        database.mkdir()
        (self.folder / "slapd.conf").write_text(
            _CONFIGURATION.format(
                schema=SCHEMA,
                folder=self.folder,
                certificates=self.certificates,
                limits=limits,
                base=BASE,
                admin=ADMIN,
                password=ADMIN_PASSWORD,
            )
        )
        content = self.folder / "content.ldif"
        with content.open("w", encoding="utf-8") as file:
            file.writelines(ldif([*skeleton(), *entries]))
        done = subprocess.run(
            [self.programs / "slapadd", "-q", "-f", self.folder / "slapd.conf", "-l", content],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        """Start the server and return when it answers."""
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"
        with (self.folder / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The parent's death ends the server too, also when a test run is killed.
                [
                    *("setpriv", "--pdeathsig=KILL", str(self.programs / "slapd"), "-d0"),
                    *("-f", str(self.folder / "slapd.conf"), "-h", urls),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until("an answer of slapd", self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "slapd.log").read_text()
        for port in (self.port, self.tls_port):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
        return True

    def stop(self) -> None:
        """End the server."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server take connections and never answer, for the length of the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def private_slapd(programs: Path) -> Iterator[SlapdServer]:
    """Run a server for the length of the block; its folder is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="runner-slapd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = SlapdServer(
            folder=folder,
            programs=programs,
            certificates=issue(folder / "tls", "localhost", "127.0.0.1"),
        )
        server.reset()
        try:
            yield server
        finally:
            server.stop()
