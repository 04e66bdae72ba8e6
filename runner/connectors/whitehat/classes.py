"""CWEs of WhiteHat's classes, for findings that name none themselves.

Sources: WhiteHat's classes follow the WASC threat classification, whose site publishes a
cross reference to CWE; what isn't in there is the CWE of the same name.
"""

from collections.abc import Mapping

from runner.findings.finding import plain

_CWES: Mapping[str, int] = {
    "Autocomplete Attribute": 525,
    "Brute Force": 307,
    "Content Spoofing": 290,
    "Cross Site Request Forgery": 352,
    "Cross Site Scripting": 79,
    "Directory Indexing": 548,
    "Directory Traversal": 22,
    "Fingerprinting": 205,
    "HTTP Response Splitting": 113,
    "Improper Input Handling": 20,
    "Information Leakage": 200,
    "Insufficient Anti-automation": 799,
    "Insufficient Authentication": 287,
    "Insufficient Authorization": 285,
    "Insufficient Password Policy Implementation": 263,
    "Insufficient Password Recovery": 640,
    "Insufficient Session Expiration": 613,
    "Insufficient Transport Layer Protection": 311,
    "Non-HttpOnly Session Cookie": 565,
    "OS Command Injection": 78,
    "OS Commanding": 78,
    "Path Traversal": 22,
    "Predictable Resource Location": 425,
    "Remote File Inclusion": 98,
    "Server Misconfiguration": 16,
    "Session Fixation": 384,
    "SQL Injection": 89,
    "Unsecured Session Cookie": 565,
    "URL Redirector Abuse": 601,
    "XML External Entities": 611,
}

_BY_NAME = {plain(name): cwe for name, cwe in _CWES.items()}


def cwe_of(name: str) -> tuple[int, ...]:
    """The CWE of a class; nothing if none is known."""
    found = _BY_NAME.get(plain(name))
    return () if found is None else (found,)
