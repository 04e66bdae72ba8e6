"""The tree of commands."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from runner import __version__
from runner.cli import (
    check,
    config,
    connections,
    db,
    jobs,
    journal,
    mapping,
    pause,
    plugins,
    reconcile,
    status,
    tokens,
    upload,
)
from runner.cli import run as running
from runner.cli.command import EXIT_CODES

_EPILOGUE = "\n\n".join(["Exit codes:", *(f"{code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())])

app = typer.Typer(
    name="runner",
    help="Keep connections to outside systems in step with an SD Elements-style server.",
    epilog=_EPILOGUE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


_COMPLETION = "_RUNNER_COMPLETE"
"""What a shell asks by for completions, and a person for the shell's script."""


def _version(*, asked: bool) -> None:
    if asked:
        sys.stdout.write(f"runner {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _version(asked=asked),
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Only here to carry ``--version``."""


app.command("run")(running.run)
app.command("check")(check.check)
app.command("status")(status.status)
app.command("pause")(pause.pause)
app.command("resume")(pause.resume)
app.command("reconcile")(reconcile.reconcile)
app.command("upload")(upload.upload)
app.add_typer(jobs.app)
app.add_typer(connections.app)
app.add_typer(plugins.app)
app.add_typer(journal.app)
app.add_typer(mapping.app)
app.add_typer(tokens.app)
app.add_typer(db.app)
app.add_typer(config.app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; ``arguments`` are those after the command's name, None = the process's."""
    if _COMPLETION in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # typer doesn't list it

        completion_init()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="runner")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0
