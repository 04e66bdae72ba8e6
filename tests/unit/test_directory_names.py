"""Names and filters of directories: what is equal is found equal, and nothing breaks out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.directory import names
from runner.directory.access import Security, parse_servers
from runner.errors import BadInput, ConfigRejected

VALUES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(VALUES, VALUES)
def test_escaped_values_come_back(one: str, other: str) -> None:
    """Whatever a value holds, it is one part of a name, and read back it is itself."""
    dn = f"CN={names.escape_value(one)},OU={names.escape_value(other)},DC=test"
    parts = names.split(dn)
    assert len(parts) == 3
    assert [names.value(part) for part in parts[:2]] == [one, other]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=Doe\\, Jane,DC=test", "cn=doe\\2C jane,dc=TEST"),
        ("CN=a=b,DC=test", "CN=a\\3Db,DC=test"),
        ("CN=a;b,DC=test".replace(";", "\\;"), "CN=a\\3Bb,DC=test"),
        ("cn = Jane  Doe , dc=test", "CN=Jane Doe,DC=test"),
        ('CN="Doe, Jane",DC=test', "CN=Doe\\, Jane,DC=test"),
        ("CN=Jos\\C3\\A9,DC=test", "CN=José,DC=test"),
        ("CN=a+SN=b,DC=test", "SN=B+CN=A,DC=test"),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    """Servers escape, space and capitalise as they like."""
    assert names.same(one, other)
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=Doe\\, Jane,DC=test", "CN=Doe,CN=Jane,DC=test"),
        ("CN=Jane,DC=test", "CN=Jane,DC=tests"),
        ("CN=a\\\\,DC=test", "CN=a,DC=test"),
    ],
)
def test_other_names_are_not(one: str, other: str) -> None:
    """An escaped comma is no border between parts."""
    assert not names.same(one, other)
    assert names.key(one) != names.key(other)


@given(VALUES)
def test_the_quick_key_is_the_slow_one(value: str) -> None:
    """The short cut for plain names leads to the same place."""
    dn = f"CN={names.escape_value(value)},DC=Test"
    assert names.key(dn) == names.normal(dn)


def test_control_characters_are_no_names() -> None:
    """They would be stored as something else, or end the name."""
    for bad in ("a\0b", "a\nb"):
        with pytest.raises(BadInput, match="control character"):
            names.escape_value(bad)


def test_what_stands_in_a_filter_stays_there() -> None:
    """Brackets, stars and backslashes are data; bytes are escaped one by one."""
    assert names.escape_filter("x)(objectClass=*\\") == "x\\29\\28objectClass=\\2a\\5c"
    assert names.escape_filter(b"\x00\xff") == "\\00\\ff"


@pytest.mark.parametrize(
    ("account", "base"),
    [
        ("CN=Bind User2,CN=Users,DC=labs,DC=example,DC=com", "DC=labs,DC=example,DC=com"),
        ("uid=reader,o=acme", "o=acme"),
        ("jane@labs.example.com", "DC=labs,DC=example,DC=com"),
        ("jane", ""),
    ],
)
def test_the_base_follows_from_the_account(account: str, base: str) -> None:
    """Where people are is the domain that the account is of, unless somebody says otherwise."""
    assert names.base_of(account) == base


def test_below_is_below_in_any_spelling() -> None:
    """An entry is below its base and below nothing that only sounds alike."""
    assert names.is_below("CN=a,OU=People,DC=test", "ou=people, dc=TEST")
    assert names.is_below("DC=test", "DC=test")
    assert not names.is_below("CN=a,OU=MyPeople,DC=test", "OU=People,DC=test")


@pytest.mark.parametrize(
    ("text", "security", "found"),
    [
        ("dc1.example.com", Security.LDAPS, ["dc1.example.com:636"]),
        ("dc1, dc2:3269", Security.START_TLS, ["dc1:389", "dc2:3269"]),
        ("ldaps://dc1/", Security.LDAPS, ["dc1:636"]),
        ("[2001:db8::1]:1389", Security.CLEAR, ["[2001:db8::1]:1389"]),
    ],
)
def test_servers_are_read_with_their_usual_ports(text: str, security: Security, found: list[str]) -> None:
    """Host names and addresses, with or without a port, one or several."""
    assert [str(server) for server in parse_servers(text, security)] == found


@pytest.mark.parametrize("text", ["", "dc1:99999", "dc1/evil", "http://dc1", "ldap://dc1"])
def test_what_is_no_server_is_named(text: str) -> None:
    """A scheme that contradicts the method is a mistake too, and which of the two is for a person to say."""
    with pytest.raises(ConfigRejected):
        parse_servers(text, Security.LDAPS)


@given(st.text(alphabet='aB =,;+\\"#<', max_size=30))
def test_parent_is_what_follows_the_first_part(dn: str) -> None:
    """However a DN is spelled, its parent is its parts without the first."""
    assert names.parent(dn) == ",".join(names.split(dn)[1:])
