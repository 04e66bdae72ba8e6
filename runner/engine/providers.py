"""What a datasync job's providers stand for: resolved when a run begins, never stored with it.

Trouble is handed on as text, for the connector to tell: a run that can't begin says why.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from runner.model.jobs import Connection, Kind
from runner.secrets import read_reference
from runner.settings import Provider, Settings

_OURS = ("source", "destination", "destination_password", "password_folder")
"""Params that come from here and from nowhere else."""


def resolved(connection: Connection, settings: Settings) -> Connection:
    """The connection with its providers' workbook and directory among its params."""
    if connection.kind is not Kind.DATASYNC or "jobInfo" not in connection.params:
        return connection
    job = connection.params.get("jobInfo")
    named = job if isinstance(job, Mapping) else {}
    params = {name: value for name, value in connection.params.items() if name not in _OURS}
    source = settings.provider.get(str(named.get("sourceProvider")))
    if source is not None and source.workbook:
        params["source"] = {"name": named["sourceProvider"], **_workbook(source, settings)}
    destination = settings.provider.get(str(named.get("destinationProvider")))
    if destination is not None and destination.servers:
        params |= _directory(str(named["destinationProvider"]), destination)
    folder = settings.datasync.password_folder or str(settings.state_dir.absolute() / "passwords")
    params["password_folder"] = folder
    return replace(connection, params=params)


def _workbook(provider: Provider, settings: Settings) -> dict[str, str]:
    folders = [Path(folder).resolve() for folder in settings.datasync.folders]
    for folder in folders:
        path = (folder / provider.workbook).resolve()
        if path.is_relative_to(folder) and path.is_file():
            return {"path": str(path)}
    outside = any((folder / provider.workbook).resolve().is_file() for folder in folders)
    if not folders:
        why = "[datasync] folders names no folder that workbooks may be in."
    elif outside:
        why = f"The workbook {provider.workbook!r} lies outside of [datasync] folders."
    else:
        why = f"There is no workbook {provider.workbook!r} below [datasync] folders."
    return {"path": "", "trouble": why}


def _directory(name: str, provider: Provider) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "servers": provider.servers,
        "security": provider.security,
        "bind_dn": provider.bind_dn,
        "ca_bundle": provider.ca_bundle,
        "verify": provider.verify,
        "container": provider.container,
    }
    try:
        return {"destination": found, "destination_password": read_reference(provider.password)}
    except RunnerError as error:
        return {"destination": {**found, "trouble": error.message}}
