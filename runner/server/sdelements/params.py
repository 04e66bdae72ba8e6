"""Params on their way out and in: secrets masked, masks written back taken for "unchanged"."""

import re
from collections.abc import Mapping
from typing import Any

from runner.engine.catalogue import System, is_secret
from runner.secrets import MASK
from runner.server.groupid.documents import DATASYNC, document_of, prepared
from runner.server.replies import Invalid
from runner.store.vault import Vault, is_sealed

_ENDPOINT = re.compile(
    r"(^|_)(server|host|hostname|port|method|scheme|url|uri|proxy|validate_cert|verify|tls|start_tls|ca_bundle)($|_)",
    re.IGNORECASE,
)
"""Params that say where a secret goes and how it is protected on the way."""


def masked(params: Mapping[str, Any], system: System | None) -> dict[str, Any]:
    """Params as they may be shown."""
    return {
        name: MASK if (value and is_secret(name, system)) or is_sealed(value) else value
        for name, value in params.items()
    }


def sealed(params: Mapping[str, Any], *, system: System | None, vault: Vault) -> dict[str, Any]:
    """Params as they are stored."""
    return vault.seal(params, lambda name: is_secret(name, system))


def merged(
    stored: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    system: System | None,
    replace: bool,
    vault: Vault,
    inherited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What to store after ``given`` was written over ``stored``.

    The mask means unchanged, ``null`` and ``""`` clear a secret, ``replace`` drops what isn't
    given. What is ``inherited`` from a connector isn't stored again: so it follows it. Raises
    ``Invalid`` for a mask where nothing is stored, and for a change of where secrets go that
    doesn't give them again.
    """
    if system is not None and system.id == DATASYNC:
        return prepared(given if replace else {**document_of(stored), **given}, stored, vault)
    from_above = inherited or {}
    result = {} if replace else dict(stored)
    fresh = set()  # secrets that are given anew
    for name, value in given.items():
        if not is_secret(name, system):
            result[name] = value
            if name in from_above and from_above[name] == value:
                del result[name]
        elif value == MASK:
            if stored.get(name):
                result[name] = stored[name]
            elif not from_above.get(name):
                raise Invalid({"params": [f"{name}: there is nothing stored that the mask could stand for."]})
        elif value in (None, ""):
            result.pop(name, None)
        else:
            result[name] = value
            fresh.add(name)
    before, after = {**from_above, **stored}, {**from_above, **result}
    kept = [name for name, value in after.items() if value and name not in fresh and is_secret(name, system)]
    refuse_moved(before, after, kept)
    return result


def moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The params that differ, of those which say where secrets go."""
    return [
        name
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and _ENDPOINT.search(name)
    ]


def refuse_moved(before: Mapping[str, Any], after: Mapping[str, Any], kept: list[str]) -> None:
    """Refuse to take secrets that are kept to another place."""
    changed = moved(before, after)
    if before and changed and kept:
        text = f"{', '.join(changed)} changes where secrets go; give {', '.join(sorted(kept))} again."
        raise Invalid({"params": [text]})
