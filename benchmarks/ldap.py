"""A directory of many people: reading it beside a bare loop, and bringing a platform in step with it."""

import os
import statistics
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import child, processes
from benchmarks.options import Options
from benchmarks.report import Bar, Report
from runner.conformance.daemons import Daemons
from tests.integration.directory.stage import Stage
from tests.servers import slapd
from tests.servers.slapd import GROUPS, PEOPLE, SlapdServer, group, person

USERS = 100_000
_TIMEOUT = 900.0
_MEGABYTE = 1024 * 1024
_ATTRIBUTES = ["givenName", "sn", "mail", "cn", "uid", "objectGUID", "entryUUID"]

_HOW = (
    f"OpenLDAP with {USERS:,} people, all in one mapped group. The bare loop is ldap3's plain synchronous "
    "connection doing the same searches in pages of 1,000 and looking at nothing. Ours reads all people into "
    "what the comparison needs. A sync is a whole job on the embedded platform, from claim to result. Wall "
    "seconds, the reads as medians of the rounds in turns. Peak is the resident memory of who reads."
)


def run(options: Options) -> Report:
    """Measure the reads in turns, then a first and a second sync."""
    programs = slapd.find_programs()
    if programs is None:
        raise SystemExit("The benchmark ldap needs slapd: tests/servers/install slapd")
    with (
        tempfile.TemporaryDirectory(prefix="runner-ldap-") as folder,
        slapd.private_slapd(programs) as server,
    ):
        options.say(f"ldap: {USERS:,} people")
        names = [f"u{number}" for number in range(USERS)]
        server.reset(
            [*map(person, names), group("everybody", [f"uid={name},{PEOPLE}" for name in names])],
            limits="size.soft=unlimited size.hard=unlimited size.pr=unlimited size.prtotal=unlimited",
        )
        rounds = []
        for number in range(options.rounds):
            options.say(f"ldap: reads, round {number + 1}")
            rounds.append(
                {
                    kind: child.call(f"benchmarks.ldap:{kind}", timeout=_TIMEOUT, port=server.port)
                    for kind in ("bare", "ours")
                }
            )
        options.say("ldap: two syncs")
        first, second = _syncs(Path(folder), server)
    read = {each["ours"]["people"] for each in rounds}
    assert read == {USERS}, f"{read} people were read"
    bare, ours = (statistics.median(each[kind]["seconds"] for each in rounds) for kind in ("bare", "ours"))
    ratio = statistics.median(each["ours"]["seconds"] / each["bare"]["seconds"] for each in rounds)
    peak = max(each["ours"]["peak"] for each in rounds) / _MEGABYTE
    return Report(
        name="ldap",
        title="A directory of many people",
        how=_HOW,
        columns=("bare loop", "read", "ratio", "first sync", "second sync", "peak"),
        rows=[
            [
                f"{bare:.1f} s",
                f"{ours:.1f} s",
                f"{ratio:.2f}",
                f"{first:.1f} s",
                f"{second:.1f} s",
                f"{peak:.0f} MB",
            ]
        ],
        bars=[
            Bar(promise="full read: times a bare loop", value=ratio, limit=1.3),
            Bar(promise="first sync: times the read", value=first / ours, limit=2.5),
            Bar(promise="second sync, nothing to do: times the read", value=second / ours, limit=1.5),
            Bar(promise="peak memory", value=peak, limit=150, unit="MB"),
        ],
    )


def _params(port: int) -> dict[str, Any]:
    return {
        "ldap_server": f"127.0.0.1:{port}",
        "ldap_method": "LDAP",
        "bind_dn": slapd.READER,
        "bind_password": slapd.READER_PASSWORD,
        "group_base_dn": GROUPS,
    }


def _syncs(folder: Path, server: SlapdServer) -> tuple[float, ...]:
    """Seconds of a first and a second job."""
    (folder / "daemons").mkdir()
    daemons = Daemons(folder / "daemons")
    stage = Stage(home=folder, daemons=daemons, params=_params(server.port), mappings={"everybody": 1})
    try:
        first, second = stage.sync(), stage.sync()
        for done in (first, second):
            assert done.outcome == "succeeded", done.message
        assert not second.rows, "the second sync found something to do"
        return tuple(stage.took(done.id) / timedelta(seconds=1) for done in (first, second))
    finally:
        stage.close()
        daemons.close()


def bare(port: int) -> dict[str, Any]:
    """In a child: the searches, and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import ldap3

    began = time.perf_counter()
    connection = ldap3.Connection(
        ldap3.Server("127.0.0.1", port=port), slapd.READER, slapd.READER_PASSWORD, auto_bind=True
    )
    connection.search(GROUPS, "(cn=everybody)", attributes=["member"])
    for query, base, attributes in (
        ("(objectClass=groupOfNames)", GROUPS, ["cn"]),
        ("(objectClass=person)", slapd.BASE, _ATTRIBUTES),
    ):
        wanted = [each for each in attributes if each != "objectGUID"]  # its schema knows none
        for _ in connection.extend.standard.paged_search(
            base, query, attributes=wanted, paged_size=1000, generator=True
        ):
            pass
    return {"seconds": time.perf_counter() - began}


def ours(port: int) -> dict[str, Any]:
    """In a child: what the connector reads."""
    from runner.connectors.ldap_sync.params import LdapParams
    from runner.connectors.ldap_sync.source import Source
    from runner.directory.access import Access, parse_servers
    from runner.directory.opening import opened

    params = LdapParams.model_validate(_params(port))
    began = time.perf_counter()
    access = Access(
        servers=parse_servers(params.ldap_server, params.ldap_method),
        security=params.ldap_method,
        bind_dn=params.bind_dn,
        password=params.bind_password.get_secret_value(),
    )
    with opened(access) as directory:
        source = Source(directory, params)
        people = source.people(source.find_groups(["everybody"]))
    seconds = time.perf_counter() - began
    return {
        "people": len(people),
        "seconds": seconds,
        # Not getrusage's: that one counts what this process was a copy of before it became itself.
        "peak": processes.peak(os.getpid()),
    }
