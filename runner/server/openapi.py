"""The description of the API: routes carry theirs, for their handlers take a bare request.

Handlers read and write JSON by hand, which is several times as fast as models; so what a
framework would derive from models is said here. It is spelled out when somebody asks for it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from runner.model.changes import ChangeState, Op
from runner.model.jobs import Kind

Handler = Callable[[Request], Awaitable[Response]]
Schema = dict[str, Any]

_ERRORS = {400: "FieldErrors", 401: "Error", 403: "Error", 404: "Error", 429: "Error", 503: "Error"}

_PATH_SCHEMAS: Mapping[str, Schema] = {
    "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "task_id": {"type": "string", "description": 'as "7-T21"'},
    "name": {"type": "string"},
    "plugin_id": {"type": "string", "description": 'as "rally"'},
    "group_id": {"type": "string", "pattern": "^G[0-9]{1,18}$"},
}

PAGED = ("page_size", "page", "cursor")


class _Kind(Convertor[str]):
    """A kind of jobs, in any case."""

    regex = "(?i:" + "|".join(Kind) + ")"

    def convert(self, value: str) -> str:
        return value.lower()

    def to_string(self, value: str) -> str:
        return value


class _Number(Convertor[int]):
    """An id: digits, and no more of them than a database takes."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


class _Group(Convertor[int]):
    """The id of a group, as "G64"."""

    regex = "[Gg]?[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value.lstrip("Gg"))

    def to_string(self, value: int) -> str:
        return f"G{value}"


def register_convertors() -> None:
    """Make ``{kind:kind}``, ``{job_id:number}`` and ``{group_id:group}`` known to paths."""
    register_url_convertor("kind", _Kind())
    register_url_convertor("group", _Group())
    register_url_convertor("number", _Number())


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a route does, for the description."""

    summary: str
    answer: str | None = None  # name of the schema of a good answer; None = without a body
    status: int = 200
    body: str | None = None  # name of the schema of the request's body
    media: str = "application/json"  # of that body
    query: Sequence[str] = ()  # names in ``QUERY``
    also: Sequence[int] = ()  # further statuses of errors
    listing: bool = False  # the answer is a list of ``answer``
    paged: bool = True  # a listing takes ``page_size``
    files: Sequence[str] = ()  # media types in which the answer may be had as well
    produces: str = "application/json"  # media type of a good answer without a schema
    envelope: str | None = None  # name of the schema of all errors, in a dialect with one of its own
    accepted: bool = False  # may also be 202: it happens a little later
    extension: bool = False  # not in the original


def ref(name: str) -> Schema:
    """A reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


class Described(Route):
    """A route with its description. It takes one method, and no HEAD beside GET."""

    def __init__(self, method: str, path: str, handler: Handler, operation: Operation) -> None:
        super().__init__(path, handler, methods=[method])
        self.methods = {method}
        self.method = method
        self.operation = operation


def add(router: Router, method: str, path: str, handler: Handler, operation: Operation) -> None:
    """Add a route with its description."""
    router.routes.append(Described(method, path, handler, operation))


def _operation(route: Described) -> Schema:
    """What the description says of one route."""
    operation = route.operation
    found: Schema = {
        "summary": operation.summary,
        "description": operation.summary,
        "operationId": _operation_id(route.method, route.path),
        "responses": _responses(operation),
        "parameters": [*_path_parameters(route.path), *_query_parameters(operation)],
    }
    if operation.body is not None:
        schema = ref(operation.body) if operation.media != "text/csv" else {"type": "string"}
        content = {operation.media: {"schema": schema}}
        found["requestBody"] = {"required": True, "content": content}
    if operation.extension:
        found["x-extension"] = True
    return found


def _operation_id(method: str, path: str) -> str:
    words = [part.strip("{}").partition(":")[0] for part in path.split("/") if part not in {"", "api", "v2"}]
    return "_".join([method.lower(), *words]).replace("-", "_")


def _responses(operation: Operation) -> dict[str, Schema]:
    good: dict[str, Any] = {"description": operation.summary}
    if operation.answer is not None:
        schema = ref(operation.answer)
        if operation.listing:
            schema = {
                "type": "object",
                "required": ["results"],
                "properties": {
                    "results": {"type": "array", "items": schema},
                    "count": {"type": "integer"},
                    "next": {"type": ["string", "null"]},
                    "previous": {"type": ["string", "null"]},
                },
            }
        good["content"] = {"application/json": {"schema": schema}}
        good["content"] |= {media: {"schema": {"type": "string"}} for media in operation.files}
    elif operation.produces != "application/json":
        # Events are told apart by who reads them; each one's data is JSON.
        events = operation.produces == "text/event-stream"
        good["content"] = {operation.produces: {"schema": {} if events else {"type": "string"}}}
    found = {str(operation.status): good}
    if operation.accepted:
        found["202"] = good
    errors = {**_ERRORS, **dict.fromkeys(operation.also, "Error")}
    if operation.envelope is not None:
        errors = dict.fromkeys((*_ERRORS, 413, 415, *operation.also), operation.envelope)
    for status, name in errors.items():
        found[str(status)] = {
            "description": "An error",
            "content": {"application/json": {"schema": ref(name)}},
        }
    return found


def _path_parameters(path: str) -> list[Schema]:
    found = []
    for part in path.split("/"):
        if part.startswith("{"):
            name, _, convertor = part.strip("{}").partition(":")
            schema = {"type": "integer"} if convertor == "number" else _PATH_SCHEMAS[name]
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(operation: Operation) -> list[Schema]:
    names = [*operation.query, *(PAGED if operation.listing and operation.paged else ())]
    return [
        {"name": name.rpartition(".")[2], "in": "query", "required": False, "schema": QUERY[name]}
        for name in names
    ]


_BOOLEAN = {"type": "boolean"}
_INTEGER = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_INSTANT = {"type": "string", "format": "date-time"}

# What has a dot stands for the word behind it: in another listing that means something else.
QUERY: Mapping[str, Schema] = {
    "page_size": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "page": {"type": "integer", "minimum": 1},
    "cursor": {"type": "integer"},
    "after": _INTEGER,
    "automatic": _BOOLEAN,
    "ready": _BOOLEAN,
    "succeeded": _BOOLEAN,
    "connection": _INTEGER,
    "user": _TEXT,
    "include": _TEXT,
    "fields": {**_TEXT, "description": "names of fields, with commas"},
    "expand": _TEXT,
    "search": _TEXT,
    "name": _TEXT,
    "email": _TEXT,
    "is_active": _BOOLEAN,
    "role": _TEXT,
    "group": {"type": "string", "pattern": "^G[0-9]{1,18}$"},
    "slug": _TEXT,
    "alias": _TEXT,
    "system": _TEXT,
    "frequency": _TEXT,
    "project": _INTEGER,
    "application": _TEXT,
    "business_unit": _TEXT,
    "status": _TEXT,
    "phase": _TEXT,
    "priority": _INTEGER,
    "verification": _TEXT,
    "meaning": _TEXT,
    "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "change.kind": {**_TEXT, "description": 'of what is changed, as "task"'},
    "subject": _TEXT,
    "subject__contains": _TEXT,
    "job": _INTEGER,
    "state": {"type": "string", "enum": [state.value for state in ChangeState]},
    "op": {"type": "string", "enum": [op.value for op in Op]},
    "mapped": _BOOLEAN,
    "jobids": {"type": "array", "items": {"type": "integer"}},
    "since": _INSTANT,
    "until": _INSTANT,
    "format": {"type": "string", "enum": ["json", "csv", "jsonl"]},
    "with_key": _BOOLEAN,
    "commit": _BOOLEAN,
}


def describe(
    routes: Iterable[BaseRoute], schemas: Mapping[str, Schema], *, title: str, version: str
) -> Schema:
    """The whole description, with the named schemas that the routes refer to."""
    paths: dict[str, Schema] = {}
    for route in routes:
        if isinstance(route, Described):
            paths.setdefault(route.path_format, {})[route.method.lower()] = _operation(route)
    token = {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token <token>"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "summary": "The SD Elements API's jobs and what belongs to them. Extensions carry x-extension.",
        },
        "paths": paths,
        "components": {"schemas": dict(schemas), "securitySchemes": {"token": token}},
        "security": [{"token": []}],
    }
