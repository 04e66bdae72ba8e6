"""Documents of datasync jobs on their way in and out of a connection's params."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from runner.model import datasync
from runner.model.calendar import parse_cron
from runner.secrets import MASK
from runner.server.replies import Invalid
from runner.store.vault import Vault

DATASYNC = "datasync"
"""The system's id, and the connector's name."""

OURS = frozenset(
    {
        *(datasync.PASSWORDS, datasync.IGNORED, "source", "destination", "destination_password"),
        "password_folder",
    }
)
"""Params beside the document."""


def columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """The connection's columns that a document sets."""
    info = document.get("jobInfo")
    if not isinstance(info, Mapping):
        raise Invalid({"jobInfo": ["This field is required."]})
    name = str(info.get("name") or "").strip()
    if not name:
        raise Invalid({"jobInfo.name": ["This field may not be blank."]})
    may_run = info.get("isEnable")
    return {
        "alias": name[:500],
        "enabled": True if may_run is None else bool(may_run),
        "schedule": schedule(info, "jobInfo.schedule"),
    }


def schedule(info: Mapping[str, Any], field: str) -> str | None:
    """The schedule, if it is on; ``Invalid`` names the ``field``."""
    text = str(info.get("schedule") or "").strip()
    if not info.get("enabled") or text in {"", "0"}:
        return None
    try:
        parse_cron(text)
    except ValueError as error:
        raise Invalid({field: [f"{error}."]}) from None
    return text


def prepared(given: Mapping[str, Any], stored: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """The params to store for a document: its passwords apart, ``SET`` meaning the stored one.

    ``stored`` are params as the store has them. Their passwords are sealed together, and opened where a
    ``SET`` stands for one of them. Raises ``Invalid`` where it stands for nothing, or would send a stored
    password elsewhere.
    """
    apart = given.get(datasync.PASSWORDS)
    document, taken = datasync.without_passwords(document_of(given))
    if isinstance(apart, dict):  # from those who keep passwords apart themselves
        taken = {str(name): str(value) for name, value in apart.items() if value != MASK} | taken
    named = {
        datasync.password_name(field)
        for field in datasync.fields(document)
        if datasync.static_password(field) == datasync.SET
    }
    kept = _passwords(stored, named - taken.keys(), vault)
    if "" in kept.values():
        raise Invalid({"fieldsMap": ["There is no password stored that SET could stand for; give it."]})
    if kept and _destination(document) != _destination(stored):
        text = "Another destination is another place for the password; give it again."
        raise Invalid({"fieldsMap": [text]})
    passwords = taken | kept
    params: dict[str, Any] = dict(document)
    if passwords:
        params[datasync.PASSWORDS] = passwords
    if datasync.IGNORED in stored:
        params[datasync.IGNORED] = stored[datasync.IGNORED]
    return params


def _passwords(stored: Mapping[str, Any], names: AbstractSet[str], vault: Vault) -> dict[str, str]:
    """These passwords of stored params; "" for one that isn't there."""
    if not names or datasync.PASSWORDS not in stored:
        return dict.fromkeys(names, "")
    known = vault.open({datasync.PASSWORDS: stored[datasync.PASSWORDS]})[datasync.PASSWORDS]
    return {name: known.get(name, "") for name in names}


def _destination(document: Mapping[str, Any]) -> Any:
    info = document.get("jobInfo")
    return info.get("destinationProvider") if isinstance(info, Mapping) else None


def document_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The document among a connection's params."""
    return {name: value for name, value in params.items() if name not in OURS}


def shown(params: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it came, but for what the server itself says of the job."""
    document = document_of(params)
    given = document.get("jobInfo")
    document["jobInfo"] = {**(given if isinstance(given, Mapping) else {}), **info}
    return document
