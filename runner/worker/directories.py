"""Questions to a directory outside of any job: is it there, and who is in it.

What to look for comes from people: it is taken apart and put together again, never pasted
into a filter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.directory.access import Access, Security, Server
from runner.directory.ad import is_active_directory
from runner.directory.names import escape_filter
from runner.directory.opening import connection_test, opened
from runner.directory.port import Directory
from runner.errors import BadInput, ConfigRejected
from runner.model.network import Network

MOST = 5_000
"""People told in one answer."""

_SECURITY = {"ldaps": Security.LDAPS, "tls": Security.START_TLS, "none": Security.CLEAR}
_MATCH = re.compile(
    r"\s*(?P<attribute>[A-Za-z][A-Za-z0-9-]{0,63})\s*=(?P<value>[^\x00-\x1f]{1,500})", re.DOTALL
)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9;-]{0,63}")
_LONGEST = 25  # seconds of silence: the question itself has half a minute


def answer(message: Mapping[str, Any]) -> list[dict[str, str]]:
    """Answer a ``directory`` message: the steps of a test, or people."""
    settings: Mapping[str, str] = message["settings"]
    access = _access(settings, replace(Network.of(message["network"]), reads_only=True))
    if message["match"] is None:
        return [
            {"name": step.name, "ok": "true" if step.ok else "false", "message": step.message}
            for step in connection_test(access)
        ]
    with opened(access) as directory:
        return _people(directory, settings, message["match"])


def _access(settings: Mapping[str, str], network: Network) -> Access:
    try:
        port = int(settings["port"])
    except ValueError:
        raise ConfigRejected(f"The port {settings['port']!r} is no number.") from None
    limit = settings.get("timeLimit", "")
    seconds = int(limit) if limit.isdecimal() and int(limit) > 0 else _LONGEST
    return Access(
        servers=[Server(host=settings["host"].strip("[]"), port=port)],
        security=_SECURITY[settings["encryption"]],
        bind_dn=settings["username"],
        password=settings["password"],
        network=network,
        timeout=min(seconds, _LONGEST),
    )


def _people(directory: Directory, settings: Mapping[str, str], match: str) -> list[dict[str, str]]:
    in_ad = is_active_directory(directory)
    attributes = {
        "name": settings.get("attrName") or ("displayName" if in_ad else "cn"),
        "email": settings.get("attrEmail") or "mail",
        "phone": settings.get("attrPhone") or "telephoneNumber",
        "username": settings.get("attrUsername") or ("sAMAccountName" if in_ad else "uid"),
    }
    for attribute in attributes.values():
        if _ATTRIBUTE.fullmatch(attribute) is None:
            raise ConfigRejected(f"{attribute!r} is no name of an attribute.")
    wanted = _filter(match or f"{attributes['username']}=*", settings.get("searchString", ""))
    lower = settings.get("lowercase") == "true"
    found: list[dict[str, str]] = []
    number = 0
    for entry in directory.search(settings["dn"], wanted, sorted(set(attributes.values()))):
        number += 1
        if number > MOST:
            continue  # read on: how many there are is what helps to narrow it
        person = {name: entry.text(attribute) for name, attribute in attributes.items()}
        if lower:
            person["username"] = person["username"].lower()
        found.append(person)
    if number > MOST:
        raise BadInput(f"{number} entries match, and at most {MOST} are told; narrow the match.")
    return found


def _filter(match: str, also: str) -> str:
    """The filter for "attribute=value", where * stands for anything, and the server's own filter."""
    text = match.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    found = _MATCH.fullmatch(text)
    if found is None:
        raise BadInput(
            f"match is {match[:80]!r}; write an attribute, = and a value, as uid=j*. * stands for anything."
        )
    value = "*".join(escape_filter(part) for part in _stars(found["value"].strip()))
    own = f"({found['attribute']}={value})"
    if not also.strip():
        return own
    extra = also.strip() if also.strip().startswith("(") else f"({also.strip()})"
    if not _is_whole(extra):
        raise ConfigRejected(f"searchString is {also[:80]!r}, which isn't one whole filter.")
    return f"(&{extra}{own})"


def _stars(value: str) -> Iterator[str]:
    """What stands between the stars; what comes escaped already, as \\2a, is read first."""
    for part in value.split("*"):
        yield re.sub(r"\\([0-9A-Fa-f]{2})", lambda hexed: chr(int(hexed[1], 16)), part)


def _is_whole(text: str) -> bool:
    """Whether a filter's brackets close, and nothing stands behind the last."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and place < len(text) - 1:
            return False
    return depth == 0
