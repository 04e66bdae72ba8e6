"""Queries of the destination, written anew as LDAP filters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.connectors.datasync.destination import to_filter
from runner.errors import ConfigRejected

PEOPLE = "(&(objectCategory=person)(objectClass=user))"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('objectClass is exactly "user"', PEOPLE),
        ('objectClass is not "user"', f"(!{PEOPLE})"),
        ('objectClass is exactly "contact"', "(objectClass=contact)"),
        ('cn starts with "A" and sn ends with "b"', "(&(cn=A*)(sn=*b))"),
        ('cn contains "x" or sn is "y" and mail is present', "(|(cn=*x*)(&(sn=y)(mail=*)))"),
        ('(cn contains "x" or sn is "y") and mail not present', "(&(|(cn=*x*)(sn=y))(!(mail=*)))"),
        ('cn does not contain "x"', "(!(cn=*x*))"),
        ('not (cn equals "x")', "(!(cn=x))"),
        ('uSNChanged greater or equal "5"', "(uSNChanged>=5)"),
        ("department is Sales", "(department=Sales)"),
        (r'cn is "say \"hi\""', '(cn=say "hi")'),
        ('cn is "*)(objectClass=*"', r"(cn=\2a\29\28objectClass=\2a)"),
        ("", "(objectClass=*)"),
    ],
)
def test_queries_mean_what_they_say(query: str, expected: str) -> None:
    """Operators, and, or and brackets become the filter that means the same."""
    assert to_filter(query, active_directory=True) == expected


def test_user_means_people_elsewhere_too() -> None:
    """Where there are no computers among users, people are of another class."""
    assert to_filter('objectClass is exactly "user"', active_directory=False) == "(objectClass=person)"


@pytest.mark.parametrize(
    "query",
    [
        "cn",
        "cn is",
        'cn resembles "x"',
        '"x" is cn',
        'cn is "x" and',
        '(cn is "x"',
        'cn is "x")',
        'cn is "x',
        'c*n is "x"',
        'a is "b" c',
        "(" * 30 + 'cn is "x"' + ")" * 30,
        "x" * 5000,
    ],
)
def test_what_cannot_be_understood_is_refused(query: str) -> None:
    """A query that can't be read is refused, instead of meaning everything."""
    with pytest.raises(ConfigRejected, match="destination's query"):
        to_filter(query, active_directory=True)


def _unescaped(value: bytes) -> bytes:
    """The value that a filter's text stands for, as RFC 4515 has it."""
    return re.sub(rb"\\([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), value)


@given(st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_a_value_stays_a_value(text: str) -> None:
    """Whatever a value holds, the filter compares with it, and has no other part."""
    import runner.directory.ldap  # noqa: F401 - it imports ldap3 without that one's warnings

    from ldap3.operation.search import parse_filter  # isort: skip

    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    made = to_filter(f'cn is exactly "{quoted}" and sn is "x"', active_directory=True)
    parsed = parse_filter(made, None, True, True, None, False)  # type: ignore[no-untyped-call]  # ldap3 has no types
    first, second = parsed.elements[0].elements
    assert first.assertion["attr"] == "cn"
    assert _unescaped(bytes(first.assertion["value"])).decode() == text
    assert second.assertion["attr"] == "sn"
