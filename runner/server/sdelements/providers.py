"""What datasync jobs may name: workbooks and directories. A workbook may be uploaded."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.engine import providers
from runner.errors import Refused
from runner.model.jobs import Kind
from runner.server.auth import Caller
from runner.server.fields import REQUIRED
from runner.server.form import Form
from runner.server.multipart import boundary_of, receive
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import Invalid, conflict, forbidden, not_found, reply
from runner.server.sdelements.shapes import instant
from runner.server.services import services_of
from runner.server.unit import in_thread, reading
from runner.settings import Settings
from runner.store import ldap_servers

FILE = "workbook"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_NO_NAME = (
    "Letters, digits, blanks, points, hyphens and underscores, 64 at the most, a letter or digit first."
)

Shown = dict[str, Any]


def add_routes(router: Router, root: str) -> None:
    """Add the addresses of providers below ``root``."""
    path = f"{root}/providers/"
    listed = Op(summary="List what datasync jobs may name", answer="Provider", listing=True, extension=True)
    add(router, "GET", path, list_providers, listed)
    made = Op(
        summary="Upload a workbook, or another in its place",
        body="NewProvider",
        media="multipart/form-data",
        answer="Provider",
        status=201,
        also=(409, 413, 415),
        extension=True,
    )
    add(router, "POST", path, upload_workbook, made)
    gone = Op(summary="Remove an uploaded workbook", status=204, also=(409,), extension=True)
    add(router, "DELETE", f"{path}{{name}}/", remove_workbook, gone)


def _look(c: sa.Connection, caller: Caller) -> list[Shown]:
    if not caller.sees(Kind.DATASYNC):
        raise forbidden()
    return [
        _shown(
            server.name, "directory", "ldap-server", f"{server.settings['host']}:{server.settings['port']}"
        )
        for server in ldap_servers.every(c)
    ]


def _shown(name: str, kind: str, origin: str, where: str, **more: Any) -> Shown:
    return {
        "name": name,
        "kind": kind,
        "origin": origin,
        "where": where,
        "size": None,
        "modified": None,
        **more,
    }


def _configured(settings: Settings) -> list[Shown]:
    return [
        _shown(
            name,
            "workbook" if one.workbook else "directory",
            "configuration",
            one.workbook or one.servers or one.directory,
        )
        for name, one in sorted(settings.provider.items())
    ]


def _uploaded(settings: Settings) -> list[Shown]:
    return [_of_file(name, path) for name, path in sorted(providers.uploaded(settings).items())]


def _of_file(name: str, path: Path) -> Shown:
    found = path.stat()
    modified = instant(datetime.fromtimestamp(found.st_mtime, UTC))
    where = path.name
    return _shown(name, "workbook", "upload", where, size=found.st_size, modified=modified)


async def list_providers(request: Request) -> Response:
    """Tell those of the configuration, uploaded workbooks, and the LDAP servers kept here."""
    settings = services_of(request).settings
    servers = await reading(request, _look)
    files = await in_thread(lambda: _uploaded(settings))
    found = [*_configured(settings), *files, *servers]
    return reply({"results": found})


def _may_edit(_c: sa.Connection, caller: Caller) -> None:
    if not caller.edits(Kind.DATASYNC):
        raise forbidden()


async def upload_workbook(request: Request) -> Response:
    """Keep a workbook under a name; one of that name that was uploaded before gives way."""
    settings = services_of(request).settings
    await reading(request, _may_edit)
    folder = providers.workbooks_folder(settings)
    await in_thread(lambda: folder.mkdir(mode=0o700, exist_ok=True))
    largest = settings.server.max_upload
    form = Form(boundary_of(request), folder, file_field=FILE, largest=largest)
    await receive(request, form, largest=largest)
    try:
        shown = await in_thread(lambda: _take(form, settings))
    except Refused:
        await in_thread(form.drop)
        raise
    return reply(shown, 201)


def _take(form: Form, settings: Settings) -> Shown:
    name, received = form.fields.get("name", "").strip(), form.received
    wrong: dict[str, list[str]] = {}
    if not _NAME.fullmatch(name):
        wrong["name"] = [_NO_NAME if name else REQUIRED]
    suffix = "" if received is None else Path(received.name).suffix.lower()
    if received is None or received.size == 0:
        wrong[FILE] = ["No file was submitted." if received is None else "The submitted file is empty."]
    elif suffix not in providers.SUFFIXES:
        wrong[FILE] = [f"Its name has to end with one of {', '.join(providers.SUFFIXES)}."]
    if wrong or received is None:
        raise Invalid(wrong)
    if name in settings.provider:
        raise conflict(f"[provider.{name}] is in the configuration; choose another name, or change it there.")
    folder = providers.workbooks_folder(settings)
    before = providers.uploaded(settings).get(name)
    path = folder / f"{name}{suffix}"
    (folder / received.file).replace(path)
    if before is not None and before != path:
        before.unlink(missing_ok=True)
    return _of_file(name, path)


async def remove_workbook(request: Request) -> Response:
    """Remove an uploaded workbook; those of the configuration are changed there."""
    settings, name = services_of(request).settings, request.path_params["name"]
    await reading(request, _may_edit)

    def remove() -> None:
        path = providers.uploaded(settings).get(name)
        if path is None:
            if name in settings.provider:
                raise conflict(f"[provider.{name}] is in the configuration, and goes from there.")
            raise not_found()
        path.unlink(missing_ok=True)

    await in_thread(remove)
    return Response(status_code=204)
