"""A workbook and a directory: making accounts beside a bare loop, and comparing many rows."""

import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import child, processes
from benchmarks.options import Options
from benchmarks.report import Bar, Report
from runner.conformance.daemons import Daemons
from runner.directory.opening import opened
from runner.model.jobs import Kind, Outcome
from runner.store import changes, connections, listing, queue
from runner.store.database import open_database
from tests.integration.datasync.world import CONTAINER, JOIN, document, field, samba_access
from tests.servers import samba, slapd
from tests.servers.samba import SambaServer
from tests.servers.slapd import PEOPLE, SlapdServer, person

ACCOUNTS = 1_000
ROWS = 100_000
_TIMEOUT = 900.0
_MEGABYTE = 1024 * 1024
_LONG_AGO = (1_700_000_000, 1_700_000_000)  # nobody is writing the workbook any more

_HOW = (
    f"{ACCOUNTS:,} accounts without passwords into Samba AD over TLS: the bare loop is ldap3's plain "
    "synchronous connection adding the same entries, ours a whole job from claim to result, in turns, the "
    f"domain taken back between them. Then {ROWS:,} rows and as many people in OpenLDAP, all in step: bare "
    "is python-calamine walking the sheet and ldap3 walking the directory, and looking at nothing; ours "
    "reads, transforms and compares. Wall seconds, medians of the rounds. Peak is the resident memory of who "
    "compares."
)


def run(options: Options) -> Report:
    """Measure the making, then the comparing."""
    programs = slapd.find_programs()
    if programs is None or not samba.find_programs():
        raise SystemExit("The benchmark datasync needs slapd and Samba: tests/servers/install slapd samba")
    with tempfile.TemporaryDirectory(prefix="runner-datasync-") as name:
        folder = Path(name)
        with samba.private_samba() as domain:
            made = [_make(options, folder / str(number), domain) for number in range(options.rounds)]
        with slapd.private_slapd(programs) as server:
            compared = _compare(options, folder, server)
    bare, first, second = (statistics.median(each[at] for each in made) for at in range(3))
    ratio = statistics.median(each[1] / each[0] for each in made)
    bare_read, ours_read = (statistics.median(each[kind]["seconds"] for each in compared) for kind in _KINDS)
    read_ratio = statistics.median(each["ours"]["seconds"] / each["bare"]["seconds"] for each in compared)
    peak = max(each["ours"]["peak"] for each in compared) / _MEGABYTE
    return Report(
        name="datasync",
        title="A workbook and a directory",
        how=_HOW,
        columns=("", "bare", "ours", "ratio", "second run", "peak"),
        rows=[
            [
                f"make {ACCOUNTS:,} accounts",
                f"{bare:.1f} s",
                f"{first:.1f} s",
                f"{ratio:.2f}",
                f"{second:.2f} s",
                "",
            ],
            [
                f"compare {ROWS:,} rows",
                f"{bare_read:.1f} s",
                f"{ours_read:.1f} s",
                f"{read_ratio:.2f}",
                "",
                f"{peak:.0f} MB",
            ],
        ],
        bars=[
            Bar(promise="making accounts: times a bare loop", value=ratio, limit=1.3),
            Bar(promise="second run, nothing to do: share of the first", value=second / first, limit=0.15),
            Bar(promise="comparing: times both bare readers", value=read_ratio, limit=1.5),
            Bar(promise="peak memory", value=peak, limit=200, unit="MB"),
        ],
    )


# --- making accounts -----------------------------------------------------------------------


def _make(options: Options, folder: Path, domain: SambaServer) -> tuple[float, float, float]:
    """Seconds of the bare loop, of a first job and of a second one."""
    folder.mkdir()
    access = samba_access(domain)
    (folder / "ca.pem").write_text(access.ca_bundle)
    options.say("datasync: a bare loop")
    _empty(domain)
    bare = child.call(
        "benchmarks.datasync:bare_make",
        timeout=_TIMEOUT,
        address=domain.address,
        ca=str(folder / "ca.pem"),
    )
    options.say("datasync: two jobs")
    _empty(domain)
    _write_book(folder / "people.xlsx", [("First", "Last"), *_people()])
    (folder / "password").write_text(access.password)
    with _store(folder) as job:
        return bare["seconds"], job(domain, ACCOUNTS), job(domain, 0)


def _people() -> list[tuple[str, str]]:
    return [(f"First{number}", f"L{number}") for number in range(ACCOUNTS)]


def _empty(domain: SambaServer) -> None:
    domain.reset()
    with opened(samba_access(domain)) as directory:
        directory.add(CONTAINER, {"objectClass": ["top", "organizationalUnit"]})


def _fields() -> list[dict[str, Any]]:
    short = "Join:field=First;separator=.;field=Last"
    return [
        field("cn", transform=JOIN),
        field("givenName", "First"),
        field("sn", "Last", forCreateOnly=False),
        field("sAMAccountName", transform=short, isKey=True),
    ]


@contextmanager
def _store(folder: Path) -> Iterator[Any]:
    """Give a function that runs a whole job and tells how long it took."""
    (folder / "daemons").mkdir()
    daemons = Daemons(folder / "daemons")
    state = folder / "state"
    (state / "uploads").mkdir(parents=True)
    shutil.copyfile(daemons.empty_store, state / "runner.db")
    database = open_database(f"sqlite:///{state / 'runner.db'}")
    now = datetime.now(UTC)
    connection = database.write(
        lambda c: connections.create(
            c,
            kind=Kind.DATASYNC,
            system="datasync",
            alias="people",
            command="datasync",
            project_id=None,
            params=document(_fields()),
            now=now,
        )
    )

    def job(domain: SambaServer, expected: int) -> float:
        number = database.write(
            lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.DATASYNC, now=datetime.now(UTC))[0]
        )
        daemons.live(_settings(folder, domain), log=folder / "daemon.log")
        with database.read() as c:
            found = listing.one(c, number)
            done = changes.count_done(c, number)
        assert found is not None
        assert found.outcome == Outcome.SUCCEEDED, found.result_message
        assert done == expected, f"{done} changes were made"
        assert found.started is not None
        assert found.finished is not None
        return timedelta(microseconds=found.finished - found.started) / timedelta(seconds=1)

    try:
        yield job
    finally:
        database.close()
        daemons.close()


def _settings(folder: Path, domain: SambaServer) -> dict[str, Any]:
    return {
        "state_dir": str(folder / "state"),
        "engine": {"concurrency": 1, "retries": 0},
        "datasync": {"folders": [str(folder)]},
        "provider": {
            "ExcelOne": {"workbook": "people.xlsx"},
            "ADEnt": {
                "servers": domain.address,
                "bind_dn": samba.ADMIN,
                "password": f"file:{folder / 'password'}",
                "ca_bundle": str(folder / "ca.pem"),
            },
        },
    }


def bare_make(address: str, ca: str) -> dict[str, float]:
    """In a child: a loop that adds the entries, and nothing else."""
    ldap3 = _ldap3()
    tls = ldap3.Tls(validate=2, ca_certs_file=ca, valid_names=[address, samba.HOST])
    server = ldap3.Server(address, port=samba.TLS_PORT, use_ssl=True, tls=tls)
    connection = ldap3.Connection(server, samba.ADMIN, samba.ADMIN_PASSWORD, auto_bind=True)
    began = time.perf_counter()
    for first, last in _people():
        name = f"{first}_api_{last}"
        added = connection.add(
            f"CN={name},{CONTAINER}",
            ["top", "person", "organizationalPerson", "user"],
            {
                "cn": name,
                "givenName": first,
                "sn": last,
                "sAMAccountName": f"{first}.{last}",
                "userAccountControl": "514",
            },
        )
        assert added, connection.result
    return {"seconds": time.perf_counter() - began}


def _ldap3() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import ldap3
    return ldap3


# --- comparing -----------------------------------------------------------------------------

_KINDS = ("bare", "ours")


def _write_book(path: Path, rows: list[tuple[str, ...]]) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("TTSheet1")
    for row in rows:
        sheet.append(row)
    book.save(path)
    os.utime(path, _LONG_AGO)


def _compare(options: Options, folder: Path, server: SlapdServer) -> list[dict[str, Any]]:
    options.say(f"datasync: {ROWS:,} people and as many rows")
    names = [f"u{number}" for number in range(ROWS)]
    server.reset(
        map(person, names),
        limits="size.soft=unlimited size.hard=unlimited size.pr=unlimited size.prtotal=unlimited",
    )
    book = folder / "many.xlsx"
    rows = [(name, name.title(), "Tester", f"{name}@example.com") for name in names]
    _write_book(book, [("Id", "First", "Last", "Mail"), *rows])
    rounds = []
    for number in range(options.rounds):
        options.say(f"datasync: comparing, round {number + 1}")
        rounds.append(
            {
                kind: child.call(
                    f"benchmarks.datasync:{kind}_compare", timeout=_TIMEOUT, port=server.port, book=str(book)
                )
                for kind in _KINDS
            }
        )
    return rounds


def bare_compare(port: int, book: str) -> dict[str, float]:
    """In a child: both sides are walked, and nothing else."""
    import python_calamine

    ldap3 = _ldap3()
    began = time.perf_counter()
    sheet = python_calamine.CalamineWorkbook.from_path(book).get_sheet_by_name("TTSheet1")
    assert sum(1 for _ in sheet.iter_rows()) == ROWS + 1
    connection = ldap3.Connection(
        ldap3.Server("127.0.0.1", port=port), slapd.READER, slapd.READER_PASSWORD, auto_bind=True
    )
    found = connection.extend.standard.paged_search(
        PEOPLE,
        "(objectClass=person)",
        attributes=["uid", "cn", "givenName", "sn", "mail"],
        paged_size=1000,
        generator=True,
    )
    assert sum(1 for _ in found) == ROWS
    return {"seconds": time.perf_counter() - began}


def ours_compare(port: int, book: str) -> dict[str, float]:
    """In a child: what the connector does until it knows that there is nothing to do."""
    from runner.directory.access import Access, Security, Server
    from runner.model.network import Network
    from tests.integration.datasync.world import World

    fields = [
        field("uid", "Id", isKey=True),
        field("cn", transform="Join:field=First;separator= ;field=Last"),
        field("givenName", "First", forCreateOnly=False),
        field("sn", "Last", forCreateOnly=False),
        field("mail", "Mail", forCreateOnly=False),
    ]
    access = Access(
        servers=[Server(host="127.0.0.1", port=port)],
        security=Security.CLEAR,
        bind_dn=slapd.READER,
        password=slapd.READER_PASSWORD,
        network=Network(),
    )
    world = World(Path(book).parent, access, document(fields, container=PEOPLE))
    world.book = Path(book)
    began = time.perf_counter()
    planned = world.plan()
    seconds = time.perf_counter() - began
    assert planned == [], f"{len(planned)} changes were planned"
    return {"seconds": seconds, "peak": processes.peak(os.getpid())}
