"""Reading the configuration: TOML files, overridden by environment, overridden by flags.

``RUNNER__SECTION__KEY`` in the environment sets ``[section] key``; only names with that
double underscore are read. ``[[connection]]`` of several files add up.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.errors import SettingsInvalid
from runner.secrets import is_reference
from runner.settings import Settings, credential_in, explain, secret_settings

ETC = Path("/etc/integration-runner")


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the configuration; ``SettingsInvalid`` names what is wrong and where.

    ``file`` is read with ``conf.d/*.toml`` beside it. Without one the installed file is
    read if it is there. ``flags`` are dotted names with values.
    """
    return read(file=file, environ=environ, flags=flags).settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The configuration, and where its values come from."""

    settings: Settings
    given: Mapping[str, Any]  # as it was written: with references instead of secrets
    origins: Mapping[str, str]  # by dotted name; what isn't there is a default

    def literals(self) -> list[str]:
        """Names of settings that hold a secret as plain text."""
        return [
            ".".join(names)
            for names, value in secret_settings(self.settings)
            if credential_in(value) and not is_reference(str(_given(self.given, names)))
        ]


def _given(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    value: Any = given
    for name in names:
        value = value.get(name, {})
    return value


def read(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """The same as ``load``, with origins."""
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for path in _files(file):
        _merge(merged, _read(path), origins, str(path))
    if "STATE_DIRECTORY" in environ:
        _merge(merged, {"state_dir": environ["STATE_DIRECTORY"]}, origins, "systemd")
    _merge(merged, _from_environment(environ), origins, "the environment")
    for name, value in (flags or {}).items():
        _merge(merged, _nested(name.split("."), value), origins, "the command line")
    try:
        settings = Settings.model_validate(merged, context={"environ": environ})
    except ValidationError as error:
        raise SettingsInvalid(explain(error, Settings, origins, merged)) from None
    return Loaded(settings=settings, given=merged, origins=origins)


def _files(file: Path | None) -> Iterable[Path]:
    if file is not None and not file.is_file():
        msg = f"There is no configuration file {file}."
        raise SettingsInvalid(msg)
    main = file or ETC / "runner.toml"
    if main.is_file():
        yield main
    yield from sorted((main.parent / "conf.d").glob("*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}."
        raise SettingsInvalid(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read: {error}."
        raise SettingsInvalid(msg) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if name.startswith("RUNNER__"):
            _merge(found, _nested(name.removeprefix("RUNNER__").lower().split("__"), _typed(value)), {}, "")
    return found


def _typed(value: str) -> Any:
    """A list in the environment is written as in TOML; all else is text that the model reads."""
    if value.startswith("["):
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            return value
    return value


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    nested: dict[str, Any] = value
    return nested


def _merge(
    into: dict[str, Any], new: Mapping[str, Any], origins: dict[str, str], origin: str, prefix: str = ""
) -> None:
    for name, value in new.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(name, {})
            if isinstance(inner, dict):
                _merge(inner, value, origins, origin, f"{prefix}{name}.")
                continue
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            _add_tables(into, name, value, origins, origin)
            continue
        into[name] = value
        origins[f"{prefix}{name}"] = origin


def _add_tables(
    into: dict[str, Any], name: str, tables: list[Any], origins: dict[str, str], origin: str
) -> None:
    """``[[name]]`` of one file, after those of the files before it."""
    there = into.setdefault(name, [])
    if isinstance(there, list):
        for table in tables:
            origins[f"{name}.{len(there)}"] = origin
            there.append(table)
