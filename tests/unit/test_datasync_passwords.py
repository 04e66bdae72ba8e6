"""Passwords of new accounts: what they are made of, and the file that announces them."""

import csv
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.connectors.datasync.passwords import Announcements, Making, PasswordOptions, Policy
from runner.errors import ConfigRejected

KINDS = (string.ascii_uppercase, string.ascii_lowercase, string.digits, string.punctuation)


@given(
    length=st.integers(1, 99),
    wanted=st.tuples(*[st.booleans()] * 4).filter(any),
    least=st.integers(0, 20),
    once=st.booleans(),
)
def test_made_passwords_keep_the_options_and_the_policy(
    length: int, wanted: tuple[bool, ...], least: int, once: bool
) -> None:
    """All chosen kinds of characters are in it and no other, and it is as long as both sides want."""
    options = PasswordOptions(
        length=min(length, 20) if once else length,
        upper=wanted[0],
        lower=wanted[1],
        digits=wanted[2],
        special=wanted[3],
        # Of symbols that stand once only, there have to be enough.
        symbols=string.punctuation,
        no_symbol_twice=once and wanted[:3] != (False, False, False),
    )
    made = Making(options=options, static=None).make(Policy(length=least))
    assert len(made) >= max(options.length, least, 6)
    for kind, is_wanted in zip(KINDS, wanted, strict=True):
        assert any(letter in kind for letter in made) is is_wanted
    if options.no_symbol_twice:
        symbols = [letter for letter in made if letter in string.punctuation]
        assert len(symbols) == len(set(symbols))


def test_announced_accounts_are_no_formulas(tmp_path: Path) -> None:
    """Names that a spreadsheet would calculate are written as text; passwords as they are."""
    with Announcements(str(tmp_path / "passwords"), 7) as announcements:
        announcements.write("=cmd|' /C calc'!A0", "CN=a,DC=b", "Secret1!")
        announcements.write("@SUM(1)", 'CN="x",DC=b', "-Secret2")
    with (tmp_path / "passwords" / "job-7.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["account", "dn", "password"],
        ["'=cmd|' /C calc'!A0", "CN=a,DC=b", "Secret1!"],
        ["'@SUM(1)", 'CN="x",DC=b', "-Secret2"],
    ]


def test_announcements_follow_no_link(tmp_path: Path) -> None:
    """A link that somebody put in the place of the file leads nowhere."""
    folder = tmp_path / "passwords"
    folder.mkdir()
    (folder / "job-7.csv").symlink_to(tmp_path / "elsewhere.csv")
    with Announcements(str(folder), 7) as announcements, pytest.raises(OSError, match="symbolic link"):
        announcements.write("ada", "CN=ada", "Secret1!")
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_password_that_the_domain_refuses_is_known_before(tmp_path: Path) -> None:
    """Options that leave one kind of character don't make what the domain takes, and that is said."""
    options = PasswordOptions(upper=False, digits=False)
    with pytest.raises(ConfigRejected, match="too few kinds of characters"):
        Making(options=options, static=None).check(Policy(length=7, complexity=True))
    assert "Secret" not in repr(Making(options=options, static="Secret1!"))
