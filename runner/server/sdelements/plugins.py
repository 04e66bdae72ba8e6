"""Connectors as forms to be filled in: ``/plugins/``, made from the schemas of their parameters."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.engine.catalogue import System
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import not_found, reply
from runner.server.sdelements.reference import heading, tell
from runner.server.sdelements.shapes import Shown
from runner.server.unit import reading, systems_of
from runner.store.accounts import Scope

_SCOPES = ["system", "project"]
"""Where a parameter may be given: at the organisation's connector, or at a project's connection."""


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of plug-ins below ``root``."""
    get = partial(add, router, "GET")
    of_kind = Op(summary="List the connectors of a kind as forms", answer="Plugin", listing=True, paged=False)
    get(f"{root}/plugins/{{kind:kind}}/", list_plugins, of_kind)
    get(
        f"{root}/plugins/{{kind:kind}}/{{plugin_id}}/",
        show_plugin,
        Op(summary="Show a connector as a form", answer="Plugin"),
    )
    whole = Op(
        summary="List all connectors as forms", answer="Plugin", listing=True, paged=False, extension=True
    )
    get(f"{root}/plugins/", list_plugins, whole)


async def list_plugins(request: Request) -> Response:
    """Tell the connectors of a kind, or all."""
    kind = request.path_params.get("kind")
    found = [system for system in (await systems_of(request)).values() if kind in (None, system.kind.value)]
    return await tell(request, [plugin(system) for system in found])


async def show_plugin(request: Request) -> Response:
    """Tell one connector."""
    await reading(request, lambda _c, _caller: None, Scope.READ)
    found = (await systems_of(request)).get(request.path_params["plugin_id"])
    if found is None or found.kind.value != request.path_params["kind"]:
        raise not_found()
    return reply(plugin(found))


def plugin(system: System) -> Shown:
    """A connector as a form: what it must be told, and what it may be."""
    required = set(system.schema.get("required", ()))
    fields = [
        _field(name, schema, system, required=name in required)
        for name, schema in system.schema.get("properties", {}).items()
    ]
    sections = [
        {"label": label, "optional": optional, "fields": chosen}
        for label, optional in (("Required", False), ("Optional", True))
        if (chosen := [field for field in fields if field["required"] is not optional])
    ]
    return {**heading(system), "sections": sections}


def _field(name: str, schema: Mapping[str, Any], system: System, *, required: bool) -> Shown:
    whole = _resolved(schema, system.schema.get("$defs", {}))
    secret = name in system.secrets
    choices = whole.get("enum", [])
    if secret:
        field_type = "masked_string"
    elif whole.get("type") == "boolean":
        field_type = "boolean"
    else:
        field_type = "select" if choices else "string"
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "description": schema.get("description", ""),
        "field_type": field_type,
        "default": None if secret else schema.get("default"),
        "readonly": False,
        "max_length": whole.get("maxLength"),
        "required": required,
        "deprecated": bool(schema.get("deprecated", False)),
        "placeholder": "",
        "scope": _SCOPES,
        "help_text": "",
        "options": [{"label": str(value), "value": value, "disabled": False} for value in choices],
    }


def _resolved(schema: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a parameter's schema says, through a reference, and beside a null that it may be."""
    if "$ref" in schema:
        return _resolved(named.get(schema["$ref"].rpartition("/")[2], {}), named)
    others = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    return _resolved(others[0], named) if len(others) == 1 else schema
