"""One daemon under one setting after another: what each does where it acts."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.daemon import Daemon
from runner.metrics import Metrics
from runner.model.jobs import Connection, Frequency, Kind
from runner.model.network import Network
from runner.poller import Poller
from runner.sdelements.server import Presence
from runner.settings import Remote, Scheduler, Settings
from tests.servers.certificates import issue
from tests.servers.sites import Says, Site, serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon that opens no port."""
    with Daemon(Settings(state_dir=tmp_path_factory.mktemp("force")), listen=False) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a server with TLS of nobody's authority, which lets nobody in."""
    files = issue(tmp_path_factory.mktemp("tls"), "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    with serving(lambda _asked: Says(status=401), tls) as site:
        yield site


WHITEHAT = {
    "analysis_method": "https",
    "analysis_api_token": "0123456789abcdef",
    "asset_name": "Shop",
}
LDAP = {
    "ldap_server": "127.0.0.1:1",
    "ldap_method": "ldap",
    "bind_dn": "cn=reader,dc=acme,dc=example",
    "bind_password": "opensesame",
    "base_dn": "dc=acme,dc=example",
}


def told(daemon: Daemon, params: dict[str, Any], port: int, **safety: Any) -> str:
    """What the test of a connection says under these rules of [safety]."""
    daemon.engine.swap(Settings.model_validate({"state_dir": daemon.settings.state_dir, "safety": safety}))
    kind, system = (Kind.LDAP, "sync_ldap") if params is LDAP else (Kind.ANALYSIS, "whitehat")
    connection = Connection(
        id=0,
        kind=kind,
        system=system,
        alias="One",
        command="",
        frequency=Frequency.MANUALLY,
        project_id=None,
        params={**params, "analysis_server": f"localhost:{port}", "validate_cert": False}
        if system == "whitehat"
        else params,
    )
    return " ".join(step.message for step in daemon.engine.check(connection))


@pytest.mark.parametrize(
    ("params", "rules", "says"),
    [
        (WHITEHAT, ({"egress_deny": ["127.0.0.0/8", "::1"]}, {"egress_deny": []}), "egress_deny"),
        (WHITEHAT, ({"egress_allow": ["192.0.2.0/24"]}, {"egress_allow": ["localhost"]}), "egress_allow"),
        (WHITEHAT, ({"unverified_tls": "refuse"}, {"unverified_tls": "loopback"}), "unverified_tls"),
        (LDAP, ({"clear_text_ldap": "refuse"}, {"clear_text_ldap": "loopback"}), "clear_text_ldap"),
    ],
    ids=["egress_deny", "egress_allow", "unverified_tls", "clear_text_ldap"],
)
def test_rules_for_the_network_hold_for_connections(
    daemon: Daemon,
    refusing: Site,
    params: dict[str, Any],
    rules: tuple[dict[str, Any], dict[str, Any]],
    says: str,
) -> None:
    """A place that the rule forbids is named with it; without the rule something else is told."""
    rule, loose = rules
    assert says in told(daemon, params, refusing.port, **rule)
    met = told(daemon, params, refusing.port, **loose)
    assert met
    assert says not in met


def test_times_are_those_that_are_set() -> None:
    """Each frequency's slot comes at its time in its zone, and connections spread over what is allowed."""
    found = Scheduler(
        timezone="Asia/Tokyo",
        hourly_at=7,
        daily_at="02:10",
        weekly_on="monday 03:20",
        monthly_on="15 04:30",
        freeze=["22:00 - 06:00"],
    ).timetable()
    begin = datetime(2026, 1, 1, tzinfo=UTC)  # 09:00 in Tokyo, a Thursday

    def slot(frequency: Frequency) -> datetime:
        slots = found.slots(frequency, None, None)
        assert slots is not None
        return slots.after(begin, 1)

    assert slot(Frequency.HOURLY) == datetime(2026, 1, 1, 0, 7, tzinfo=UTC)
    assert slot(Frequency.DAILY) == datetime(2026, 1, 1, 17, 10, tzinfo=UTC)
    assert slot(Frequency.WEEKLY) == datetime(2026, 1, 4, 18, 20, tzinfo=UTC)
    assert slot(Frequency.MONTHLY) == datetime(2026, 1, 14, 19, 30, tzinfo=UTC)
    assert found.frozen_until(begin) is None
    assert found.frozen_until(begin + timedelta(hours=14)) == datetime(2026, 1, 1, 21, tzinfo=UTC)


def test_connections_spread_as_far_as_is_set() -> None:
    """Without it all of a frequency are due at once, with it at different moments of that time."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    at_once, spread = (
        {timetable.slots(Frequency.DAILY, None, None).after(begin, number) for number in range(1, 20)}  # type: ignore[union-attr]  # daily has slots
        for timetable in (Scheduler().timetable(), Scheduler(spread=timedelta(hours=1)).timetable())
    )
    assert len(at_once) == 1
    assert len(spread) > 10
    assert max(spread) - min(at_once) < timedelta(hours=1)


def test_polls_come_as_often_as_is_set(daemon: Daemon) -> None:
    """After a poll the next one is due when the interval has passed, whether anybody was met or not."""
    remote = Remote(url="http://127.0.0.1:1", token="literal", poll_interval=timedelta(minutes=7))
    poller = Poller(
        "far",
        remote,
        daemon.database,
        presence=Presence("far"),
        network=Network(),
        systems=daemon.engine.systems,
        clock=lambda: datetime.now(UTC),
        wake=lambda: None,
        vault=daemon.engine.vault,
        secret=lambda _system, _name: False,
        metrics=Metrics(),
    )
    assert poller.round() == 420
