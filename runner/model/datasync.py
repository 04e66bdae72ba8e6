"""The document of a datasync job: what both the server and the connector know of it.

It is kept as it came, with all that nobody here understands. Two things are looked at:
passwords that stand in it, and code that isn't executed.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

SET = "SET"
"""Stands where a password is stored, and written back means unchanged."""

PASSWORDS = "static_passwords"
"""Param with the passwords that stood in the document, by ``password_name``."""

IGNORED = "scripts_ignored"
"""Param that says which code somebody accepted to be ignored, who, and when."""

PASSWORD_FIELDS = frozenset({"password", "unicodepwd", "userpassword"})

_STATIC = re.compile(r"\s*Static:value=(.*)", re.IGNORECASE | re.DOTALL)
_SKELETON = re.compile(
    r"""(?: option\s .* | imports\s .* | import\s .* | module\s+\w+ | end\s+(?:module|sub|class|function)
      | (?:public\s+|private\s+)?sub\s+DTM_\w+\s*\(.*\)\s*handles\s+DTM\.\w+
      | def\s+DTM_\w+\s*\(.*\)\s*: | pass
      | \#(?:region|end\s+region).* )""",
    re.VERBOSE | re.IGNORECASE,
)


def fields(document: Document) -> Iterator[dict[str, Any]]:
    """The document's fields that are objects."""
    found = document.get("fieldsMap")
    for field in found if isinstance(found, list) else []:
        if isinstance(field, dict):
            yield field


def is_password(field: Mapping[str, Any]) -> bool:
    """Whether a field is an account's password."""
    return str(field.get("destinationField") or "").strip().lower() in PASSWORD_FIELDS


def password_name(field: Mapping[str, Any]) -> str:
    """What a field's password is called among the document's passwords."""
    return f"{field.get('objectType', 1)}:{str(field.get('destinationField')).strip().lower()}"


def static_password(field: Mapping[str, Any]) -> str | None:
    """The password that stands in a field; None = there is none."""
    found = _STATIC.fullmatch(str(field.get("transform") or ""))
    return found[1] if found is not None and is_password(field) else None


def without_passwords(document: Document) -> tuple[dict[str, Any], dict[str, str]]:
    """The document with ``SET`` in place of its passwords, and the passwords by name."""
    taken: dict[str, str] = {}
    kept = dict(document)
    if isinstance(document.get("fieldsMap"), list):
        kept["fieldsMap"] = [_without(field, taken) for field in document["fieldsMap"]]
    return kept, taken


def _without(field: Any, taken: dict[str, str]) -> Any:
    if not isinstance(field, dict):
        return field
    password = static_password(field)
    if not password or password == SET:
        return field
    taken[password_name(field)] = password
    return {**field, "transform": f"Static:value={SET}"}


def code(document: Document) -> list[str]:
    """All code in a document, in its order: scripts of events, and fields made by a Script."""
    found = [text for text in _exposed(document) if holds_code(text)]
    for field in fields(document):
        transform = str(field.get("transform") or "").strip()
        if transform.lower().startswith("script:"):
            found.append(transform)
    return found


def _exposed(document: Document) -> Iterator[str]:
    settings = document.get("settings")
    for setting in settings if isinstance(settings, list) else []:
        if isinstance(setting, dict) and str(setting.get("key")).lower().endswith(".exposedscriptcode"):
            yield str(setting.get("value") or "")


def holds_code(text: str) -> bool:
    """Whether a script does anything: comments and the empty skeleton don't."""
    python = re.search(r"^\s*def\s", text, re.MULTILINE) is not None
    mark = "#" if python else "'"
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith(mark) or line.lower().startswith("rem "):
            continue
        bare = line.partition(mark)[0].strip()
        if bare and not _SKELETON.fullmatch(bare):
            return True
    return False


def digest(document: Document) -> str:
    """What names the code of a document; "" if it has none."""
    found = code(document)
    return hashlib.sha256("\0".join(found).encode()).hexdigest() if found else ""
