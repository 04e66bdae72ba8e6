"""A package with a new connector to begin with: the one in ``runner/starter``, under another name."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from runner.cli.refusals import BadUsage

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OLD = "punchlist"


def begin(name: str, folder: Path) -> Path:
    """Write the package of a connector called ``name`` into ``folder``, and return where it is."""
    from runner.worker import plugins

    if not _NAME.fullmatch(name):
        msg = f"{name!r} can't be a connector's name: it has small letters, digits and _, a letter first."
        raise BadUsage(msg)
    if name in plugins.find([]):
        msg = f"{name} is a connector of the runner itself, and that would win; take another name."
        raise BadUsage(msg)
    package = folder / f"{name.replace('_', '-')}-connector"
    try:
        package.mkdir(parents=True)
    except FileExistsError:
        msg = f"{package} is there already; it is left as it is."
        raise BadUsage(msg) from None
    _copy(files("runner") / "starter", package, name)
    return package


def _copy(source: Traversable, into: Path, name: str) -> None:
    for entry in source.iterdir():
        if entry.name == "__pycache__":
            continue
        copied = into / _renamed(entry.name, name)
        if entry.is_dir():
            copied.mkdir()
            _copy(entry, copied, name)
        else:
            copied.write_text(_renamed(entry.read_text(encoding="utf-8"), name), encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    camel = "".join(part.capitalize() for part in name.split("_"))
    return text.replace(_OLD, name).replace(_OLD.capitalize(), camel)
