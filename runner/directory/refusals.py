"""What servers say when they refuse, as sentences that tell what to do.

Active Directory hides the reason in the text: "… AcceptSecurityContext error, data 52e, …"
after a log-in, "00002071: …" after a write. The same reason comes with different result
codes, so the text's code counts.
"""

import re

from runner.directory.port import Declined
from runner.errors import AccessDenied, ConfigRejected, ConnectorFailure, IncompleteRead, TryLater

_LOG_IN = re.compile(r"\bdata ([0-9a-f]{2,8})\b", re.IGNORECASE)
_WRITE = re.compile(r"\b([0-9A-F]{8}):")

LOG_IN = {
    "525": "there is no such account",
    "52e": "the name or the password is wrong",
    "52f": "the account may not log in this way",
    "530": "the account may not log in at this hour",
    "531": "the account may not log in from this machine",
    "532": "the password has expired",
    "533": "the account is disabled",
    "568": "the account is in too many groups",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}
"""Why Active Directory lets somebody not in, by its sub-code."""

WRITE = {
    "0000001F": "the server takes this over TLS only",
    "00000005": "the account may not do this",
    "00000524": "an account of this name is there already",
    "00000525": "an object that it refers to is not there",
    "0000052D": "the password does not meet the domain's policy (length, complexity, history or age)",
    "00000561": "the account is already a member",
    "00000562": "the account is not a member",
    "00002014": "the parent may not hold this sort of entry",
    "00002015": "entries hang below it: delete them first",
    "0000200A": "the directory knows no such attribute",
    "0000200B": "a value is not what the attribute takes",
    "0000200D": "the attribute takes one value only",
    "00002020": "the connection is not logged in",
    "0000202F": "a value breaks one of the directory's rules, or another entry has it",
    "00002030": "there is no such entry, or no parent for it",
    "00002071": "the name is in use",
    "00002073": "the attribute is the directory's own",
    "00002081": "the name is not allowed",
    "00002098": "the account may not do this",
    "000020B5": "an object that it refers to is not there",
    "000020E7": "a value is not allowed",
    "000021C8": "the log-in name (userPrincipalName) is in use",
}
"""Why Active Directory refuses a write, by its hexadecimal code."""

CODES = {
    1: "the server met an error of its own",
    2: "the server took the request for a mistake",
    3: "the server ran out of time",
    4: "the server stopped at its size limit",
    5: "the comparison is false",
    7: "the server knows no such way to log in",
    8: "the server wants the connection protected by TLS",
    10: "the entry is on another server",
    11: "the server stopped at an administrative limit",
    12: "the server can't do a part of this that is needed",
    13: "the server wants the connection protected by TLS",
    16: "the entry has no such attribute",
    17: "the directory knows no such attribute",
    18: "the attribute can't be compared this way",
    19: "a value breaks one of the directory's rules",
    20: "the value is there already",
    21: "a value is not what the attribute takes",
    32: "there is no such entry",
    34: "it is not a distinguished name",
    48: "the account may not log in this way",
    49: "the name or the password is wrong",
    50: "the account may not do this",
    51: "the server is busy",
    52: "the server is not available",
    53: "the server is not willing to do this",
    64: "the name is not allowed",
    65: "the entry would lack what its object class wants",
    66: "entries hang below it: delete them first",
    67: "it is a part of the name",
    68: "an entry of this name is there already",
    69: "object classes can't be changed",
    71: "the entry would move to another server",
    80: "the server refused without a reason",
}
"""LDAP's result codes, as far as servers send them."""

_LIMITS = {3, 4, 11}
_LATER = {51, 52}
_WANTS_TLS = {8, 13}
_NO_RIGHTS = 50
_REFERRAL = 10
_NO_SUCH_OBJECT = 32


def ad_code(message: str) -> str:
    """The hexadecimal code in a server's text, or ""."""
    found = _WRITE.search(message)
    return found[1].upper() if found else ""


def _why(code: int, message: str) -> str:
    return WRITE.get(ad_code(message)) or CODES.get(code) or f"the server answered with the code {code}"


def of_log_in(server: str, who: str, *, code: int, message: str) -> ConnectorFailure:
    """Why a log-in failed."""
    detail = f"{server} answered {code}: {message}"
    if code in _WANTS_TLS:
        msg = f"{server} takes no password in clear text. Set ldap_method to LDAPS or StartTLS."
        return ConfigRejected(msg, detail=detail)
    if code in _LATER:
        return TryLater(f"{server} can't take a log-in now: {CODES[code]}.", detail=detail)
    found = _LOG_IN.search(message)
    why = (LOG_IN.get(found[1].lower().lstrip("0")) if found else None) or _why(code, message)
    return AccessDenied(f"{server} refused to log in {who}: {why}.", detail=detail)


def of_search(server: str, base: str, *, code: int, message: str, after: int) -> ConnectorFailure:
    """Why a search did not reach its end; ``after`` entries had come."""
    detail = f"{server} answered {code}: {message}"
    why = _why(code, message)
    if code == _NO_SUCH_OBJECT:
        return ConfigRejected(f"{server} has nothing at {base!r}: {why}. Correct the base.", detail=detail)
    if code == _NO_RIGHTS:
        return AccessDenied(f"The account may not read {base!r} on {server}.", detail=detail)
    if code == _REFERRAL:
        msg = (
            f"{base!r} is on another server than {server}, and referrals are not followed. Name that server."
        )
        return ConfigRejected(msg, detail=detail)
    if code in _LATER:
        return TryLater(f"{server} can't search now: {why}.", detail=detail)
    if code in _LIMITS or after:
        msg = f"{server} ended the search below {base!r} after {after} entries: {why}."
        return IncompleteRead(msg, detail=detail)
    return ConfigRejected(f"{server} refused to search below {base!r}: {why}.", detail=detail)


def of_write(server: str, what: str, *, code: int, message: str) -> Declined | TryLater:
    """Why a write was refused."""
    detail = f"{server} answered {code}: {message}"
    if code in _LATER:
        return TryLater(f"{server} can't take writes now: {CODES[code]}.", detail=detail)
    return Declined(f"{what}: {_why(code, message)}.", code=code, ad=ad_code(message), detail=detail)
