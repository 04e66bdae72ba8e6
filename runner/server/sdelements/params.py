"""Params on their way out and in: secrets masked, masks written back taken for "unchanged"."""

import re
from collections.abc import Mapping
from typing import Any

from runner.engine.catalogue import System, is_secret
from runner.secrets import MASK
from runner.server.groupid.documents import DATASYNC, document_of, prepared
from runner.server.replies import Invalid

_ENDPOINT = re.compile(
    r"(^|_)(server|host|hostname|port|method|scheme|url|uri|proxy|validate_cert|verify|tls|start_tls|ca_bundle)($|_)",
    re.IGNORECASE,
)
"""Params that say where a secret goes and how it is protected on the way."""


def masked(params: Mapping[str, Any], system: System | None) -> dict[str, Any]:
    """Params as they may be shown."""
    return {name: MASK if value and is_secret(name, system) else value for name, value in params.items()}


def merged(
    stored: Mapping[str, Any], given: Mapping[str, Any], *, system: System | None, replace: bool
) -> dict[str, Any]:
    """What to store after ``given`` was written over ``stored``.

    The mask means unchanged, ``null`` and ``""`` clear a secret, ``replace`` drops what isn't
    given. Raises ``Invalid`` for a mask where nothing is stored, and for a change of where
    secrets go that doesn't give them again.
    """
    if system is not None and system.id == DATASYNC:
        return prepared(given if replace else {**document_of(stored), **given}, stored)
    result = {} if replace else dict(stored)
    kept = []
    for name, value in given.items():
        if not is_secret(name, system):
            result[name] = value
        elif value == MASK:
            if not stored.get(name):
                raise Invalid({"params": [f"{name}: there is nothing stored that the mask could stand for."]})
            result[name] = stored[name]
            kept.append(name)
        elif value in (None, ""):
            result.pop(name, None)
        else:
            result[name] = value
    if not replace:
        kept += [name for name in stored if is_secret(name, system) and name not in given and stored[name]]
    _refuse_moved(stored, result, kept)
    return result


def _refuse_moved(stored: Mapping[str, Any], result: Mapping[str, Any], kept: list[str]) -> None:
    moved = [
        name
        for name in sorted(stored.keys() | result.keys())
        if stored.get(name) != result.get(name) and _ENDPOINT.search(name)
    ]
    if moved and kept:
        text = f"{', '.join(moved)} changes where secrets go; give {', '.join(sorted(kept))} again."
        raise Invalid({"params": [text]})
