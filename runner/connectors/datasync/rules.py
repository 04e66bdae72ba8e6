"""What directories would refuse, or worse take: said for the row, before anything is written.

Windows is stricter than Samba: account names of 20 characters, names that differ in accents
only, names of 64 characters. So this is checked here, whatever server stands behind.
Sources: the schema's rangeUpper of each attribute, and MS-SAMR on account names.
"""

import re
import unicodedata
from collections.abc import Mapping

from runner.errors import SkipRecord

ACCOUNT_NAME = "sAMAccountName"
_LONGEST_ACCOUNT = 20  # characters of a user's account name
_FORBIDDEN = re.compile(r'["/\\\[\]:;|=,+*?<>]')
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINES = re.compile(r"[\x09\x0a]")
_MAY_HAVE_LINES = {"streetaddress", "info", "description", "postaladdress", "comment"}

LONGEST: Mapping[str, int] = {
    "cn": 64,
    "givenname": 64,
    "sn": 64,
    "initials": 6,
    "displayname": 256,
    "mail": 256,
    "title": 128,
    "department": 64,
    "company": 64,
    "employeeid": 16,
    "employeenumber": 512,
    "telephonenumber": 64,
    "mobile": 64,
    "homephone": 64,
    "facsimiletelephonenumber": 64,
    "physicaldeliveryofficename": 128,
    "streetaddress": 1024,
    "l": 128,
    "st": 128,
    "postalcode": 40,
    "c": 3,
    "co": 128,
    "description": 1024,
    "info": 1024,
    "userprincipalname": 1024,
    "wwwhomepage": 2048,
}
"""Characters that Active Directory takes, by attribute in lower case."""


def check_value(attribute: str, value: str) -> None:
    """Raise ``SkipRecord`` for a value that no attribute of this name takes."""
    name = attribute.lower()
    if not (value.isascii() and value.isprintable()):
        _check_characters(attribute, value)
    longest = LONGEST.get(name)
    if longest is not None and len(value) > longest:
        msg = f"{attribute} has {len(value)} characters, and the directory takes {longest}"
        raise SkipRecord(msg)


def _check_characters(attribute: str, value: str) -> None:
    name = attribute.lower()
    if _CONTROL.search(value) or (_LINES.search(value) and name not in _MAY_HAVE_LINES):
        found = _CONTROL.search(value) or _LINES.search(value)
        assert found is not None  # one of both was seen
        msg = f"{attribute} has a control character (U+{ord(found[0]):04X})"
        raise SkipRecord(msg)
    if any("\ud800" <= character <= "\udfff" for character in value):
        msg = f"{attribute} has half of a character"
        raise SkipRecord(msg)


def check_account_name(value: str, *, user: bool) -> None:
    """Raise ``SkipRecord`` for an account name that Windows doesn't take."""
    if user and len(value) > _LONGEST_ACCOUNT:
        msg = (
            f"{ACCOUNT_NAME} {value!r} has {len(value)} characters, and Windows takes {_LONGEST_ACCOUNT}: "
            "shorten it in the sheet, or with Left"
        )
        raise SkipRecord(msg)
    found = _FORBIDDEN.search(value)
    if found is not None:
        msg = f"{ACCOUNT_NAME} {value!r} has {found[0]!r}, which account names can't have"
        raise SkipRecord(msg)
    if value.endswith("."):
        msg = f"{ACCOUNT_NAME} {value!r} ends with a point, which account names can't"
        raise SkipRecord(msg)


def folded(name: str) -> str:
    """An account name without case and accents: equal means the same account to Windows."""
    if name.isascii():
        return name.lower()
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", name).casefold()
        if not unicodedata.combining(character)
    )
