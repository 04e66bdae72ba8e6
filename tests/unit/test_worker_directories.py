"""What people are looked for by: taken apart and put together, never pasted."""

import pytest

from runner.errors import BadInput, ConfigRejected
from runner.worker.directories import _filter


@pytest.mark.parametrize(
    ("match", "also", "expected"),
    [
        ("uid=jane", "", "(uid=jane)"),
        ("(uid=j*)", "", "(uid=j*)"),
        (" cn = *doe ", "", "(cn=*doe)"),
        ("cn=a(b)c", "", r"(cn=a\28b\29c)"),
        ("cn=x)(uid=*", "", r"(cn=x\29\28uid=*)"),
        (r"cn=a\2ab", "", r"(cn=a\2ab)"),
        ("cn=a\\b", "", r"(cn=a\5cb)"),
        ("uid=*", "objectClass=person", "(&(objectClass=person)(uid=*))"),
        ("uid=*", "(|(a=1)(b=2))", "(&(|(a=1)(b=2))(uid=*))"),
    ],
)
def test_a_match_becomes_a_filter(match: str, also: str, expected: str) -> None:
    """An attribute, = and a value, where * alone has a meaning; the server's own filter narrows it."""
    assert _filter(match, also) == expected


@pytest.mark.parametrize("match", ["", "jane", "=x", "uid=", "a b=c", "(&(a=1)(b=2))", "uid=\x00"])
def test_what_is_no_match_is_refused(match: str) -> None:
    """Anything else isn't sent to the directory."""
    with pytest.raises(BadInput, match="match is"):
        _filter(match, "")


@pytest.mark.parametrize("also", ["(a=1)(b=2)", "(a=1", "a=1)(|(b=2)"])
def test_a_server_filter_is_one_whole_filter(also: str) -> None:
    """A filter that would reach out of its brackets is refused."""
    with pytest.raises(ConfigRejected, match="searchString"):
        _filter("uid=*", also)
