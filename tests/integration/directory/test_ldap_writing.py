"""Writing to a directory: what is done, and what a refusal says."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from runner.directory import ad, names
from runner.directory.access import Access, Security, parse_servers
from runner.directory.ldap import LdapDirectory
from runner.directory.opening import open_directory, opened
from runner.directory.port import Declined, Edit, Modification
from runner.errors import AccessDenied, Internal
from runner.model.network import Network
from tests.servers import samba, slapd
from tests.servers.samba import SambaServer
from tests.servers.slapd import PEOPLE, SlapdServer

USERS = f"CN=Users,{samba.BASE}"
PASSWORD = "Str0ng-enough!"


def slapd_access(server: SlapdServer) -> Access:
    """OpenLDAP as its administrator."""
    return Access(
        servers=parse_servers(f"127.0.0.1:{server.port}", Security.CLEAR),
        security=Security.CLEAR,
        bind_dn=slapd.ADMIN,
        password=slapd.ADMIN_PASSWORD,
        network=Network(),
    )


def samba_access(server: SambaServer) -> Access:
    """The domain as its administrator, over LDAPS."""
    return Access(
        servers=parse_servers(server.address, Security.LDAPS),
        security=Security.LDAPS,
        bind_dn=samba.ADMIN,
        password=samba.ADMIN_PASSWORD,
        ca_bundle=str(server.certificates.ca),
        network=Network(),
    )


@pytest.fixture(
    params=[
        pytest.param("slapd", marks=pytest.mark.xdist_group("slapd")),
        pytest.param("samba", marks=pytest.mark.xdist_group("samba")),
    ]
)
def directory(request: pytest.FixtureRequest) -> Iterator[LdapDirectory]:
    """Give each of the two servers, open for writing."""
    if request.param == "slapd":
        server: SlapdServer = request.getfixturevalue("slapd_server")
        server.reset()
        wanted = slapd_access(server)
    else:
        domain: SambaServer = request.getfixturevalue("samba_server")
        domain.reset()
        wanted = samba_access(domain)
    with opened(wanted) as directory:
        yield directory


def place(directory: LdapDirectory) -> str:
    """Where people are."""
    return USERS if ad.is_active_directory(directory) else PEOPLE


def add(directory: LdapDirectory, cn: str) -> str:
    """Add somebody; the DN."""
    dn = f"CN={names.escape_value(cn)},{place(directory)}"
    if ad.is_active_directory(directory):
        directory.add(dn, {"objectClass": ["user"], "sAMAccountName": ["".join(filter(str.isalpha, cn))]})
    else:
        directory.add(dn, {"objectClass": ["inetOrgPerson"], "sn": ["Tester"]})
    return dn


def test_an_entry_lives_its_life(directory: LdapDirectory) -> None:
    """It is added, changed, renamed, moved and deleted, and keeps its identity until the end."""
    dn = add(directory, "Doe, Jane + Co")
    first = directory.read(dn, ["cn", *ad.IDENTITY])
    assert first is not None
    assert first.text("cn") == "Doe, Jane + Co"
    directory.modify(
        dn,
        [
            Modification(Edit.ADD, "description", ["one"]),
            Modification(Edit.REPLACE, "mail", ["jane@example.com"]),
        ],
    )
    directory.modify(
        dn,
        [Modification(Edit.DELETE, "description", ["one"]), Modification(Edit.ADD, "description", ["two"])],
    )
    dn = directory.move(dn, rdn="CN=Jane Roe")
    root = names.parent(place(directory))
    directory.add(f"OU=Elsewhere,{root}", {"objectClass": ["organizationalUnit"]})
    dn = directory.move(dn, rdn="CN=Jane Roe", parent=f"OU=Elsewhere,{root}")
    last = directory.read(dn, ["cn", "description", "mail", *ad.IDENTITY])
    assert last is not None
    assert (last.text("cn"), last.texts("description"), last.text("mail")) == (
        "Jane Roe",
        ["two"],
        "jane@example.com",
    )
    assert ad.identity(last) == ad.identity(first) != ""
    directory.delete(dn)
    assert directory.read(dn, ["cn"]) is None


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("twice", "is there already"),
        ("change nobody", "no such entry"),
        ("delete nobody", "no such entry"),
        ("no parent", "no such entry"),
        ("not empty", "entries hang below"),
        ("no such attribute", "no such attribute"),
    ],
)
def test_refusals_say_what_was_not_done_and_why(directory: LdapDirectory, deed: str, said: str) -> None:
    """Each refused write is one error of its own, with the entry's name and the reason."""
    dn = add(directory, "Jane")
    nobody = dn.replace("CN=Jane", "CN=Nobody")
    description = [Modification(Edit.ADD, "description", ["x"])]

    def do() -> None:
        match deed:
            case "twice":
                add(directory, "Jane")
            case "change nobody":
                directory.modify(nobody, description)
            case "delete nobody":
                directory.delete(nobody)
            case "no parent":
                directory.add(
                    f"CN=Joe,OU=Nowhere,{names.parent(dn)}", {"objectClass": ["person"], "sn": ["J"]}
                )
            case "not empty":
                unit = f"OU=Unit,{names.parent(place(directory))}"
                directory.add(unit, {"objectClass": ["organizationalUnit"]})
                directory.move(dn, rdn="CN=Jane", parent=unit)
                directory.delete(unit)
            case _:
                directory.modify(dn, [Modification(Edit.ADD, "shoeSize", ["44"])])

    with pytest.raises(Declined, match=said) as caught:
        do()
    assert caught.value.message.startswith(("CN=", "OU="))


def test_a_reading_connection_writes_nothing(directory: LdapDirectory) -> None:
    """While a run plans, a write is refused before it is sent."""
    reading = replace(directory._access, network=Network(reads_only=True))
    dn = add(directory, "Jane")
    with opened(reading) as only, pytest.raises(Internal, match="only reads"):
        only.delete(dn)
    assert directory.read(dn, ["cn"]) is not None


@pytest.mark.xdist_group("samba")
def test_a_password_lets_somebody_in_unless_disabled(samba_server: SambaServer) -> None:
    """Active Directory's reasons are told: bad password, disabled, must change, policy."""
    samba_server.reset()
    wanted = samba_access(samba_server)
    dn = f"CN=Jane,{USERS}"
    with opened(wanted) as directory:
        directory.add(
            dn,
            {
                "objectClass": ["user"],
                "sAMAccountName": ["jane"],
                "unicodePwd": [ad.password_value(PASSWORD)],
                "userAccountControl": [str(ad.NORMAL)],
            },
        )
        with pytest.raises(Declined, match="policy") as caught:
            ad.set_password(directory, dn, "short")
        assert caught.value.ad == "0000052D"
        ad.set_password(directory, dn, PASSWORD + "2")
        jane = replace(wanted, bind_dn="jane@example.test", password=PASSWORD + "2")
        open_directory(jane).close()
        flags = [Modification(Edit.REPLACE, "userAccountControl", [str(ad.NORMAL | ad.DISABLED)])]
        directory.modify(dn, flags)
        entry = directory.read(dn, ["userAccountControl"])
        assert entry is not None
        assert ad.is_disabled(entry)
        with pytest.raises(AccessDenied, match="the account is disabled"):
            open_directory(jane)
        directory.modify(dn, [Modification(Edit.REPLACE, "userAccountControl", [str(ad.NORMAL)])])
        directory.modify(dn, [Modification(Edit.REPLACE, "pwdLastSet", ["0"])])
        with pytest.raises(AccessDenied, match="changed first"):
            open_directory(jane)
        with pytest.raises(AccessDenied, match="name or the password is wrong"):
            open_directory(replace(jane, password="wrong-secret"))
