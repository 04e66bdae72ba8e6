"""Telling what is wrong with settings, in words of whoever wrote them."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def explain(
    error: ValidationError,
    model: type[BaseModel],
    origins: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """What is wrong with values for ``model``, a line for each.

    ``origins`` tells by dotted name where values come from; ``given`` are the values as written.
    """
    lines = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        where = _origin(".".join(path), origins or {})
        text = _unknown(path, model) if problem["type"] == "extra_forbidden" else problem["msg"]
        name = _spoken(path, given or {})
        text = text.removeprefix("Value error, ")
        lines.append((f"{name}: " if name else "") + text + (f" (from {where})" if where else ""))
    return "\n".join(lines)


def _origin(name: str, origins: Mapping[str, str]) -> str:
    """Where a setting comes from, or the table that it is in, or something in it."""
    outer = name
    while outer:
        if outer in origins:
            return origins[outer]
        outer = outer.rpartition(".")[0]
    return next((origin for key, origin in origins.items() if key.startswith(f"{name}.")), "")


def _spoken(path: list[str], given: Mapping[str, Any]) -> str:
    """The name of a setting; a declared connection goes by its own name, where it has one."""
    if len(path) > 1 and path[0] == "connection" and path[1].isdecimal():
        try:
            name = given["connection"][int(path[1])]["name"]
        except (KeyError, IndexError, TypeError):
            name = f"number {int(path[1]) + 1}"
        return ".".join([f"connection {name}", *path[2:]])
    return ".".join(path)


def _unknown(path: list[str], model: type[BaseModel]) -> str:
    inside: Any = model
    for name in path[:-1]:
        if isinstance(inside, type) and issubclass(inside, BaseModel):
            inside = inside.model_fields[name].annotation
        else:
            inside = get_args(inside)[-1]  # of a list or table what it is of
    near = difflib.get_close_matches(path[-1], inside.model_fields, n=1)
    return f"there is no such setting{f'; did you mean {near[0]!r}?' if near else ''}"
