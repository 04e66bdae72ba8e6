"""What a connection only names: filled in when a run or a test begins, never stored with it.

An LDAP connection may name a server of the SecurityCenter dialect; a datasync job names its
providers. A provider's trouble is handed on as text, for the connector to tell: a run that
can't begin says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from runner.model.jobs import Connection, Kind
from runner.secrets import read_reference
from runner.settings import Provider, Settings
from runner.store import ldap_servers
from runner.store.backup import WORKBOOKS
from runner.store.database import Database
from runner.store.ldap_servers import LdapServer
from runner.store.vault import Vault

_SECURITY = {"ldaps": "ldaps", "tls": "starttls", "none": "clear"}

_OURS = ("source", "destination", "destination_password", "password_folder")
"""Params that come from here and from nowhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Where names lead to."""

    settings: Settings
    database: Database
    vault: Vault

    def completed(self, connection: Connection) -> Connection:
        """The connection with its secrets open and its names filled in; ``RunnerError`` if that fails."""
        params = connection.params
        named = ldap_servers.named_by(connection)
        if named is not None:
            with self.database.read() as c:
                server = ldap_servers.params_of(c, named)
            # Who may change the connection can't lead the server's password elsewhere by that.
            params = {**params, **server, "base_dn": params.get("base_dn") or server["base_dn"]}
        opened = self.vault.open(params)
        if connection.kind is Kind.DATASYNC and "jobInfo" in opened:
            opened = self._with_providers(opened)
        return connection if opened == connection.params else replace(connection, params=opened)

    def _with_providers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        job = given.get("jobInfo")
        named = job if isinstance(job, Mapping) else {}
        params = {name: value for name, value in given.items() if name not in _OURS}
        settings = self.settings
        source = settings.provider.get(str(named.get("sourceProvider")))
        if source is not None and source.workbook:
            params["source"] = {"name": named["sourceProvider"], **workbook(source, settings)}
        elif source is None and (path := uploaded(settings).get(str(named.get("sourceProvider")))):
            params["source"] = {"name": path.stem, "path": str(path)}
        name = str(named.get("destinationProvider") or "")
        destination = settings.provider.get(name)
        if destination is not None and destination.servers:
            params |= _directory(name, destination)
        elif destination is None or destination.directory:
            params |= self._server(name, destination or Provider(directory=name)) if name else {}
        folder = settings.datasync.password_folder or str(settings.state_dir.absolute() / "passwords")
        params["password_folder"] = folder
        return params

    def _server(self, name: str, provider: Provider) -> dict[str, Any]:
        """The destination where a server of the SecurityCenter dialect is named, by name or id."""
        with self.database.read() as c:
            server = ldap_servers.find(c, provider.directory)
        if server is None:
            if name == provider.directory:
                return {}  # it is no provider's name either, which the connector says
            trouble = f"[provider.{name}] names the directory {provider.directory!r}, and there is none."
            return {"destination": {"name": name, "servers": "", "trouble": trouble}}
        return {
            "destination": {**_of_server(server), **_everywhere(name, provider)},
            "destination_password": self.vault.open(server.settings)["password"],
        }


def _of_server(server: LdapServer) -> dict[str, Any]:
    settings = server.settings
    return {
        "servers": f"{settings['host']}:{settings['port']}",
        "security": _SECURITY[settings["encryption"]],
        "bind_dn": settings["username"],
    }


def _everywhere(name: str, provider: Provider) -> dict[str, Any]:
    return {
        "name": name,
        "ca_bundle": provider.ca_bundle,
        "verify": provider.verify,
        "container": provider.container,
    }


def workbook(provider: Provider, settings: Settings) -> dict[str, str]:
    """Its ``path``; with it ``trouble``, in a sentence, if it isn't where workbooks may be."""
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
        "servers": provider.servers,
        "security": provider.security,
        "bind_dn": provider.bind_dn,
        **_everywhere(name, provider),
    }
    try:
        return {"destination": found, "destination_password": read_reference(provider.password)}
    except RunnerError as error:
        return {"destination": {**found, "trouble": error.message}}


# --- workbooks that were uploaded ----------------------------------------------------------

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".csv")
"""What an uploaded workbook's name may end with."""


def workbooks_folder(settings: Settings) -> Path:
    """Where uploaded workbooks stand, each called as its provider."""
    return settings.state_dir.absolute() / WORKBOOKS


def uploaded(settings: Settings) -> dict[str, Path]:
    """The uploaded workbooks by their providers' names."""
    folder = workbooks_folder(settings)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in found if path.suffix in SUFFIXES}
