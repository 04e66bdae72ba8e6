"""The whole configuration: its sections together, what a reload may change, its secrets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from runner.errors import SettingsInvalid
from runner.secrets import is_reference
from runner.settings.explaining import explain
from runner.settings.sections import (
    DAEMON_ONLY,
    Datasync,
    Declaration,
    Engine,
    Log,
    Metrics,
    Plugins,
    Provider,
    Remote,
    RemoteName,
    Retention,
    Safety,
    Scheduler,
    Server,
    SharedParams,
    Store,
)
from runner.settings.values import SECRET, Section

Names = tuple[str, ...]
"""The names that lead to a setting, the outermost first."""


class Settings(Section):
    """The whole configuration."""

    state_dir: Path = Field(
        Path("/var/lib/integration-runner"), description="where store, uploads and socket are"
    )
    server: Server = Server()
    store: Store = Store()
    engine: Engine = Engine()
    scheduler: Scheduler = Scheduler()
    safety: Safety = Safety()
    retention: Retention = Retention()
    metrics: Metrics = Metrics()
    remote: dict[RemoteName, Remote] = Field({}, description="remote servers by their names")
    datasync: Datasync = Datasync()
    provider: dict[str, Provider] = Field({}, description="sides of datasync jobs by their names")
    plugins: Plugins = Plugins()
    log: Log = Log()
    connector: dict[str, SharedParams] = Field(
        {}, description="what declared connections have in common, by its name"
    )
    connection: list[Declaration] = Field([], description="connections that the files declare")

    @field_validator("connection")
    @classmethod
    def _each_once(cls, declared: list[Declaration]) -> list[Declaration]:
        names = [one.name for one in declared]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            msg = f"{', '.join(map(repr, twice))} is declared more than once; each needs a name of its own"
            raise ValueError(msg)
        return declared

    @model_validator(mode="after")
    def _known_connectors(self) -> "Settings":
        for one in self.connection:
            if one.connector is None:
                continue
            shared = self.connector.get(one.connector)
            if shared is None:
                msg = f"connection {one.name!r}: there is no [connector.{one.connector}]"
                raise ValueError(msg)
            if shared.system != one.system:
                msg = f"connection {one.name!r}: [connector.{one.connector}] is for {shared.system}"
                raise ValueError(msg)
            editable = shared.editable
            fixed = [] if editable is None else sorted(one.params.keys() & shared.params.keys() - {*editable})
            if fixed:
                msg = (
                    f"connection {one.name!r}: {', '.join(fixed)} is set by [connector.{one.connector}] alone"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _own_safety(self) -> "Settings":
        for one in self.connection:
            try:
                overridden(self.safety, one.safety)
            except SettingsInvalid as error:
                msg = f"connection {one.name!r}: {error.message}"
                raise ValueError(msg) from None
        return self

    def params_of(self, one: Declaration) -> dict[str, Any]:
        """The params that a declared connection runs with: its own over its connector's."""
        shared = {} if one.connector is None else self.connector[one.connector].params
        return {**shared, **one.params}

    @property
    def store_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.store.url or f"sqlite:///{self.state_dir.absolute() / 'runner.db'}"


def overridden(safety: Safety, values: Mapping[str, Any]) -> Safety:
    """``safety`` with a connection's own values in place; ``SettingsInvalid`` names what is wrong.

    Values come from JSON, so a number is a number: no text is taken for one.
    """
    if not values:
        return safety
    if fixed := sorted(DAEMON_ONLY & values.keys()):
        raise SettingsInvalid(f"safety.{fixed[0]}: only the daemon's configuration can set this")
    try:
        return Safety.model_validate({**safety.model_dump(), **values}, strict=True)
    except ValidationError as error:
        raise SettingsInvalid(explain(error, Safety)) from None


_FIXED = (
    *("state_dir", "server", "store", "plugins", "remote", "metrics.listen"),
    *("log.format", "engine.concurrency", "engine.lease"),
)
"""What a running daemon can't change."""


def reloaded(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """What of ``new`` a daemon that began with ``old`` can go by, and the names that want a restart."""
    changed = [name for name in _FIXED if _at(old, name) != _at(new, name)]
    values: dict[str, Any] = {name: getattr(old, name) for name in _FIXED if "." not in name}
    for section in ("engine", "log", "metrics"):
        kept = {name.partition(".")[2]: _at(old, name) for name in _FIXED if name.startswith(f"{section}.")}
        values[section] = getattr(new, section).model_copy(update=kept)
    return new.model_copy(update=values), changed


def _at(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def secrets_of(settings: Settings) -> list[str]:
    """The secrets that stand among the settings, for the redactor."""
    found = (credential_in(value) for _, value in secret_settings(settings))
    return [text for text in found if text and not is_reference(text)]


def secret_settings(settings: Settings) -> Iterator[tuple[Names, str]]:
    """Names, from the outermost on, and values of settings that are secrets, or have one in them."""
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        if isinstance(section, Section):
            yield from _secrets_in(section, (name,))
        elif isinstance(section, dict):
            for key, one in section.items():
                yield from _secrets_in(one, (name, key))


def _secrets_in(section: Section, names: Names) -> Iterator[tuple[Names, str]]:
    for key, field in type(section).model_fields.items():
        if SECRET in field.metadata:
            yield from _texts(getattr(section, key), (*names, key))


def _texts(value: str | dict[str, Any], names: Names) -> Iterator[tuple[Names, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(part, (*names, key))
    elif value:
        yield names, value


def credential_in(value: str) -> str:
    """The secret in a setting: of a URL its password only."""
    return value if "://" not in value else urlsplit(value).password or ""
