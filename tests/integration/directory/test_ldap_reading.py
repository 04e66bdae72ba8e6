"""Reading a directory: whole, or with an error; never a part as if it were whole."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from runner.directory import ad, opening
from runner.directory.access import Access, Security, parse_servers
from runner.directory.opening import opened
from runner.directory.port import Scope
from runner.errors import (
    AccessDenied,
    ConfigRejected,
    ConnectorFailure,
    IncompleteRead,
    Internal,
    TlsFailed,
    TryLater,
    Unreachable,
)
from runner.model.network import Network, Where
from tests.servers import fault_proxy, samba, slapd
from tests.servers.fault_proxy import Fault, FaultProxy, Message
from tests.servers.samba import SambaServer
from tests.servers.slapd import PEOPLE, SlapdServer, group, person

pytestmark = pytest.mark.xdist_group("slapd")

NUMBER = 2500
PAGE = 400


@pytest.fixture
def people(slapd_server: SlapdServer) -> SlapdServer:
    """Give a directory of 2,500 people, which these tests only read."""
    if slapd_server.holds == "2,500 people":
        return slapd_server
    members = [f"uid=u{number},{PEOPLE}" for number in range(NUMBER)]
    slapd_server.reset(
        [
            *(person(f"u{number}") for number in range(NUMBER)),
            group("everybody", members),
            (
                f"ou=elsewhere,ou=groups,{slapd.BASE}",
                {
                    "objectClass": ["referral", "extensibleObject"],
                    "ou": "elsewhere",
                    "ref": "ldap://foreign.example:3890/ou=elsewhere",
                },
            ),
        ],
        holds="2,500 people",
    )
    return slapd_server


def access(server: SlapdServer, **changed: Any) -> Access:
    """How the tests get in: in clear text, which loopback allows."""
    port = changed.pop("port", server.port)
    values: dict[str, Any] = {
        "servers": parse_servers(f"127.0.0.1:{port}", Security.CLEAR),
        "security": Security.CLEAR,
        "bind_dn": slapd.READER,
        "password": slapd.READER_PASSWORD,
        "page_size": PAGE,
        "timeout": 2,
        "connect_timeout": 5,
        **changed,
    }
    return Access(**values)


def over_tls(server: SlapdServer, security: Security, **changed: Any) -> Access:
    """The same over TLS, trusting who vouches for the server."""
    port = server.tls_port if security is Security.LDAPS else server.port
    return access(
        server,
        port=port,
        security=security,
        ca_bundle=changed.pop("ca_bundle", server.certificates.ca.read_text()),
        **changed,
    )


def read_all(wanted: Access, base: str = PEOPLE) -> list[str]:
    """The log-in names of all people."""
    with opened(wanted) as directory:
        return [entry.text("uid") for entry in directory.search(base, "(uid=*)", ["uid", "mail"])]


@contextmanager
def harmed(server: SlapdServer, fault: Fault) -> Iterator[FaultProxy]:
    """The server behind a fault."""
    with fault_proxy.fault_proxy("127.0.0.1", server.port, fault) as proxy:
        yield proxy


# --- the whole ---------------------------------------------------------------------------


def test_a_search_is_read_to_its_end_in_the_servers_order(people: SlapdServer) -> None:
    """Every entry comes once, page after page, however many there are."""
    assert read_all(access(people)) == [f"u{number}" for number in range(NUMBER)]


@pytest.mark.parametrize("security", [Security.LDAPS, Security.START_TLS])
def test_tls_reads_the_same(people: SlapdServer, security: Security) -> None:
    """LDAPS and StartTLS both verify, by address too, and read all there is."""
    assert len(read_all(over_tls(people, security))) == NUMBER


def test_attributes_come_as_bytes_under_names_in_lower_case(people: SlapdServer) -> None:
    """However the server spells an attribute, it is found; one that isn't there is empty."""
    with opened(access(people)) as directory:
        entry = directory.read(f"uid=u7,{PEOPLE}", ["MAIL", "entryUUID", "telephoneNumber"])
    assert entry is not None
    assert (entry.text("Mail"), entry.texts("mail")) == ("u7@example.com", ["u7@example.com"])
    assert (entry.text("telephonenumber"), entry.texts("telephonenumber")) == ("", [])
    assert len(ad.identity(entry)) == 36


def test_what_is_not_there_is_none(people: SlapdServer) -> None:
    """Reading one entry tells apart that it is absent from that it can't be read."""
    with opened(access(people)) as directory:
        assert directory.read(f"uid=nobody,{PEOPLE}", ["uid"]) is None


def test_scopes_look_as_far_as_they_say(people: SlapdServer) -> None:
    """The entry itself, what hangs right below it, or all below."""
    with opened(access(people)) as directory:
        numbers = [
            len(list(directory.search(slapd.BASE, "(objectClass=*)", ["ou"], scope=scope)))
            for scope in (Scope.BASE, Scope.ONE)
        ]
    assert numbers == [1, 3]


# --- a part is never taken for the whole -------------------------------------------------

LIMITS = {
    "a time limit": (3, "ran out of time"),
    "a size limit": (4, "size limit"),
    "an administrative limit": (11, "administrative limit"),
    "an error of the server": (1, "an error of its own"),
    "an unwilling server": (53, "not willing"),
    "a code that nobody knows": (90, "the code 90"),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("after", [100, PAGE, 1000])
def test_a_search_that_the_server_ends_early_is_incomplete(
    people: SlapdServer, name: str, after: int
) -> None:
    """Whatever result code ends a list in mid-page or between pages, the reading fails."""
    code, said = LIMITS[name]
    with harmed(people, fault_proxy.ends_with(code, after=after)) as proxy:
        with pytest.raises((IncompleteRead, TryLater)) as caught:
            read_all(access(people, port=proxy.port))
        assert said in caught.value.message or "can't be understood" in caught.value.message


@pytest.mark.parametrize(
    ("limits", "page", "said"),
    [
        ("size.soft=500 size.hard=500 size.prtotal=hard", PAGE, "size limit"),
        ("size.soft=500 size.hard=2000 size.pr=1000 size.prtotal=2000", PAGE, "size limit"),
        ("size.soft=500 size.hard=2000 size.pr=100", PAGE, "administrative limit"),
    ],
)
def test_limits_of_a_real_server_are_noticed(
    slapd_server: SlapdServer, limits: str, page: int, said: str
) -> None:
    """Each way in which OpenLDAP cuts a list short fails the reading with what cut it."""
    slapd_server.reset((person(f"u{number}") for number in range(NUMBER)), limits=limits)
    with pytest.raises(ConnectorFailure, match=said) as caught:
        read_all(access(slapd_server, page_size=page))
    assert isinstance(caught.value, IncompleteRead)


def test_a_connection_cut_in_the_middle_of_a_list_is_an_error(people: SlapdServer) -> None:
    """Nothing reconnects and goes on with the rest: the list is broken, and that is said."""
    for fault in (fault_proxy.cut(after=1000), fault_proxy.reset(after=1000)):
        with (
            harmed(people, fault) as proxy,
            pytest.raises(Unreachable, match=r"broke, \d+ entries into the list"),
        ):
            read_all(access(people, port=proxy.port))
        assert proxy.connections == 1


@pytest.mark.parametrize("after", [0, 1000])
def test_a_server_that_falls_silent_is_given_up(people: SlapdServer, after: int) -> None:
    """After the time-out the reading fails, at the first page and in the middle."""
    with harmed(people, fault_proxy.hang(after=after)) as proxy, pytest.raises(Unreachable, match="2 s"):
        read_all(access(people, port=proxy.port))


@pytest.mark.parametrize("security", list(Security))
def test_a_frozen_server_is_given_up(people: SlapdServer, security: Security) -> None:
    """A server that takes connections and never answers costs the time-out, not the job."""
    wanted = access(people) if security is Security.CLEAR else over_tls(people, security)
    with people.frozen(), pytest.raises(Unreachable, match="said nothing"):
        read_all(wanted)


def test_pages_that_repeat_themselves_end(people: SlapdServer) -> None:
    """A server that gives its first page again and again is not read for ever."""
    first: list[bytes] = []

    def begin_anew(message: Message) -> list[Message]:
        if message.tag != fault_proxy.SEARCH:
            return [message]
        first.append(message.controls)
        return [Message(message.number, message.tag, message.content, first[0])]

    with harmed(people, fault_proxy.nothing) as proxy:
        proxy.request_fault = begin_anew
        with pytest.raises(IncompleteRead, match="twice"):
            read_all(access(people, port=proxy.port))


def test_a_base_that_is_missing_is_named(people: SlapdServer) -> None:
    """No such base is a mistake of the settings, and no empty list."""
    with pytest.raises(ConfigRejected, match="ou=peeple"):
        read_all(access(people), base=f"ou=peeple,{slapd.BASE}")


def test_an_answer_that_is_no_ldap_is_an_error(people: SlapdServer) -> None:
    """Rubbish ends the conversation; it is not read as an empty list."""

    def rubbish(message: Message) -> list[Message]:
        return (
            [Message(message.number, 0x7E, b"\xff" * 40)] if message.tag == fault_proxy.ENTRY else [message]
        )

    with harmed(people, rubbish) as proxy, pytest.raises(TryLater, match=r"can't be understood|broke"):
        read_all(access(people, port=proxy.port))


def test_a_search_inside_another_is_refused(people: SlapdServer) -> None:
    """Two lists at a time would spoil each other's pages on most servers."""
    with opened(access(people)) as directory:
        outer = directory.search(PEOPLE, "(uid=*)", ["uid"])
        next(outer)
        with pytest.raises(Internal, match="before it"):
            list(directory.search(PEOPLE, "(uid=u1)", ["uid"]))


def test_a_filter_that_is_none_is_named(people: SlapdServer) -> None:
    """A bracket too few is said before anything is sent."""
    with opened(access(people)) as directory, pytest.raises(ConfigRejected, match=r"\(uid=x"):
        list(directory.search(PEOPLE, "(uid=x", ["uid"]))


# --- referrals ---------------------------------------------------------------------------


def test_referrals_are_not_followed_and_not_overlooked(people: SlapdServer) -> None:
    """A part of the tree on another server makes the list incomplete; nobody goes there."""
    with pytest.raises(IncompleteRead, match=r"foreign\.example:3890"):
        read_all(access(people), base=slapd.BASE)


def test_no_password_goes_to_a_foreign_server(slapd_server: SlapdServer) -> None:
    """A referral to a listener of somebody else's: no connection is made there at all."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        foreign.settimeout(0.5)
        came: list[Any] = []

        def listen() -> None:
            try:
                came.append(foreign.accept())
            except TimeoutError:
                return

        thread = threading.Thread(target=listen)
        where = f"ldap://127.0.0.1:{foreign.getsockname()[1]}/ou=x"
        entry = {"objectClass": ["referral", "extensibleObject"], "ou": "x", "ref": where}
        slapd_server.reset([person("a"), (f"ou=x,{PEOPLE}", entry)])
        thread.start()
        with pytest.raises(IncompleteRead):
            read_all(access(slapd_server))
        with opened(access(slapd_server)) as directory, pytest.raises(ConfigRejected, match="another server"):
            directory.read(f"uid=b,ou=x,{PEOPLE}", ["uid"])
        thread.join()
    assert came == []


# --- who may see the password ------------------------------------------------------------


@pytest.mark.parametrize("security", [Security.LDAPS, Security.START_TLS])
def test_a_certificate_nobody_vouches_for_is_refused(people: SlapdServer, security: Security) -> None:
    """Without its authority a certificate proves nothing, whatever it says."""
    with pytest.raises(TlsFailed, match="can't be trusted"):
        read_all(over_tls(people, security, ca_bundle=""))


def test_a_certificate_for_another_name_is_refused(
    people: SlapdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to the server and that its certificate doesn't have is not believed."""
    wanted = over_tls(people, Security.LDAPS)
    there = opening._addresses(wanted.servers[0])
    monkeypatch.setattr(opening, "_addresses", lambda server: there)
    other = replace(wanted, servers=parse_servers(f"dc9.example.com:{people.tls_port}", Security.LDAPS))
    with pytest.raises(TlsFailed, match="can't be trusted"):
        read_all(other)


def test_verification_can_be_given_up_by_name_only(people: SlapdServer) -> None:
    """``verify=False`` lets any certificate pass; nothing else does."""
    assert len(read_all(over_tls(people, Security.LDAPS, ca_bundle="", verify=False))) == NUMBER


def test_start_tls_comes_before_the_password(people: SlapdServer) -> None:
    """Nothing but the request for TLS crosses the wire in clear text; the proxy can't read the rest."""
    with fault_proxy.fault_proxy("127.0.0.1", people.port) as proxy:
        wanted = replace(
            over_tls(people, Security.START_TLS, timeout=1),
            servers=parse_servers(f"127.0.0.1:{proxy.port}", Security.START_TLS),
        )
        with pytest.raises((TlsFailed, Unreachable)):
            read_all(wanted)
        assert proxy.requests[:1] == [fault_proxy.EXTENDED]
        assert fault_proxy.BIND not in proxy.requests
        assert slapd.READER_PASSWORD.encode() not in proxy.sent


def test_a_server_without_start_tls_gets_no_password(people: SlapdServer) -> None:
    """StartTLS that is refused is the end; nothing falls back to clear text."""

    def refuse(message: Message) -> list[Message]:
        if message.tag != fault_proxy.EXTENDED_DONE:
            return [message]
        return [Message(message.number, message.tag, fault_proxy.result(message, 2).content)]

    with fault_proxy.fault_proxy("127.0.0.1", people.port, refuse) as proxy:
        wanted = replace(
            over_tls(people, Security.START_TLS),
            servers=parse_servers(f"127.0.0.1:{proxy.port}", Security.START_TLS),
        )
        with pytest.raises(TlsFailed, match="does not start TLS"):
            read_all(wanted)
        assert slapd.READER_PASSWORD.encode() not in proxy.sent
        assert fault_proxy.BIND not in proxy.requests


def test_clear_text_is_for_this_machine_only(people: SlapdServer) -> None:
    """By default a password crosses no network in clear text, and ``refuse`` forbids it here too."""
    far = access(people, servers=parse_servers("192.0.2.1", Security.CLEAR))
    here = access(people, network=Network(clear_text_ldap=Where.REFUSE))
    for wanted in (far, here):
        with pytest.raises(ConfigRejected, match="clear_text_ldap"):
            read_all(wanted)


def test_a_certificate_is_looked_at_unless_that_is_allowed(people: SlapdServer) -> None:
    """Beyond this machine nobody goes without, and ``refuse`` forbids it here too."""
    wanted = over_tls(people, Security.LDAPS, verify=False)
    far = replace(wanted, servers=parse_servers("192.0.2.1", Security.LDAPS))
    here = replace(wanted, network=Network(unverified_tls=Where.REFUSE))
    for each in (far, here):
        with pytest.raises(ConfigRejected, match="unverified_tls"):
            read_all(each)


def test_an_empty_password_is_refused_here(people: SlapdServer) -> None:
    """Servers take it for nobody's log-in, and then show less than there is."""
    with pytest.raises(ConfigRejected, match="password is missing"):
        read_all(access(people, password=""))


def test_a_wrong_password_is_said(people: SlapdServer) -> None:
    """The message names the server and the account, and never the password."""
    with pytest.raises(AccessDenied, match="name or the password is wrong") as caught:
        read_all(access(people, password="quite-wrong-secret"))
    assert "quite-wrong-secret" not in f"{caught.value.message}{caught.value.detail}{access(people)!r}"


# --- several servers ---------------------------------------------------------------------


def test_the_next_server_is_tried_before_the_first_page(people: SlapdServer) -> None:
    """One that isn't there costs nothing; what can't be reached at all is told of the first."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = closed.getsockname()[1]
        both = parse_servers(f"127.0.0.1:{gone}, 127.0.0.1:{people.port}", Security.CLEAR)
        assert len(read_all(access(people, servers=both))) == NUMBER
        with pytest.raises(Unreachable, match=str(gone)):
            read_all(access(people, servers=both[:1] * 2))


def test_a_refused_log_in_is_not_tried_elsewhere(people: SlapdServer) -> None:
    """A wrong password on each server of a domain would lock the account."""
    with (
        fault_proxy.fault_proxy("127.0.0.1", people.port) as first,
        fault_proxy.fault_proxy("127.0.0.1", people.port) as second,
    ):
        both = parse_servers(f"127.0.0.1:{first.port} 127.0.0.1:{second.port}", Security.CLEAR)
        with pytest.raises(AccessDenied):
            read_all(access(people, servers=both, password="wrong-secret"))
        assert (first.connections, second.connections) == (1, 0)


def test_no_other_server_goes_on_with_a_list(people: SlapdServer) -> None:
    """A list that broke in its middle is broken: the rest from elsewhere might not fit."""
    with (
        harmed(people, fault_proxy.cut(after=1000)) as first,
        fault_proxy.fault_proxy("127.0.0.1", people.port) as second,
    ):
        both = parse_servers(f"127.0.0.1:{first.port} 127.0.0.1:{second.port}", Security.CLEAR)
        with pytest.raises(Unreachable):
            read_all(access(people, servers=both))
        assert second.connections == 0


def test_an_address_that_is_forbidden_is_not_connected_to(people: SlapdServer) -> None:
    """What a name stands for is judged before anything is sent there."""

    for network in (Network(deny=("127.0.0.0/8",)), Network(allow=("10.0.0.0/8",))):
        with (
            fault_proxy.fault_proxy("127.0.0.1", people.port) as proxy,
            pytest.raises(ConfigRejected, match="egress_deny"),
            opened(access(people, port=proxy.port, network=network)),
        ):
            pass
        assert proxy.connections == 0


# --- the connection test -----------------------------------------------------------------


def _steps(wanted: Access) -> list[tuple[str, bool]]:
    return [(step.name, step.ok) for step in opening.connection_test(wanted)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a: a, ["address", "connection", "TLS", "log-in"]),
        (lambda a: replace(a, servers=parse_servers("no.such.host.invalid", a.security)), ["!address"]),
        (lambda a: replace(a, servers=parse_servers("127.0.0.1:1", a.security)), ["address", "!connection"]),
        (lambda a: replace(a, ca_bundle=""), ["address", "connection", "!TLS"]),
        (lambda a: replace(a, password="wrong"), ["address", "connection", "TLS", "!log-in"]),
        (lambda a: replace(a, ca_bundle="no PEM"), ["address", "!connection"]),
    ],
)
def test_a_connection_test_says_which_step_failed(
    people: SlapdServer, change: Callable[[Access], Access], expected: list[str]
) -> None:
    """Each step that went well, then the one that didn't."""
    told = _steps(change(over_tls(people, Security.START_TLS)))
    assert told == [(name.lstrip("!"), not name.startswith("!")) for name in expected]


# --- Active Directory --------------------------------------------------------------------


@pytest.mark.xdist_group("samba")
def test_many_pages_of_active_directory_are_read(samba_server: SambaServer) -> None:
    """Samba's cookie stays the same from page to page, which is no circle."""
    wanted = Access(
        servers=parse_servers(samba_server.address, Security.LDAPS),
        security=Security.LDAPS,
        bind_dn="administrator@example.test",
        password=samba.ADMIN_PASSWORD,
        ca_bundle=samba_server.certificates.ca.read_text(),
        page_size=10,
    )
    with opened(wanted) as directory:
        found = [entry.dn for entry in directory.search(samba.BASE, "(objectClass=*)", ["cn"])]
    assert len(found) == len(set(found)) > 5 * wanted.page_size


@pytest.mark.xdist_group("samba")
def test_active_directory_is_recognised_and_read(samba_server: SambaServer, people: SlapdServer) -> None:
    """Its own partitions don't make a search from the root incomplete; identities are GUIDs."""
    wanted = Access(
        servers=parse_servers(samba_server.address, Security.LDAPS),
        security=Security.LDAPS,
        bind_dn="administrator@example.test",
        password=samba.ADMIN_PASSWORD,
        ca_bundle=samba_server.certificates.ca.read_text(),
    )
    with opened(wanted) as directory:
        assert ad.is_active_directory(directory)
        found = {
            entry.text("sAMAccountName"): ad.identity(entry)
            for entry in directory.search(samba.BASE, "(objectClass=user)", ["sAMAccountName", "objectGUID"])
        }
        again = [
            entry.text("sAMAccountName")
            for entry in directory.search(samba.BASE, ad.identity_filter(found["Guest"]), ["sAMAccountName"])
        ]
    assert again == ["Guest"]
    with opened(access(people)) as directory:
        assert not ad.is_active_directory(directory)
