"""Make commands of functions: shared flags in front, exit codes behind.

A command is a function that returns its exit code. What it raises becomes a sentence on
standard error here, so that no operator ever sees a traceback for a foreseen trouble.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from runner.cli.output import complain
from runner.cli.reach import Where
from runner.errors import RunnerError

P = ParamSpec("P")

DONE = 0
FAILED = 1
STOPPED_BY_CEILING = 3
NO_DAEMON = 69
STOPPED_EARLY = 75
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
READER_GONE = 141  # 128 + SIGPIPE

EXIT_CODES = {
    0: "done, or drained after a stop was asked for",
    1: "unexpected, or a job failed under --once or --wait",
    2: "wrong usage",
    3: "stopped by a ceiling: a person has to approve what would be destroyed",
    69: "the daemon, the server or the database can't be reached",
    73: "another instance holds the state directory",
    75: "stopped before the drain finished",
    77: "the server refused the token",
    78: "the configuration is invalid, or the store is newer than this version",
}

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration file; else the installed one.", show_default=False
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="A server elsewhere, instead of this machine's daemon."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help="File with the token for --url; else RUNNER_TOKEN is read."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON; docs/commands.md lists the fields.", show_default=False)
]

_WHERE = {"config": Config, "url": Url, "token_file": TokenFile}


def settled(function: Callable[P, int]) -> Callable[P, None]:
    """Make a command of a function, for typer to register."""

    @functools.wraps(function)
    def started(*args: P.args, **kwargs: P.kwargs) -> None:
        settle(lambda: function(*args, **kwargs))

    return started


def on_server(function: Callable[Concatenate[Where, P], int]) -> Callable[..., None]:
    """Make a command of a function whose first argument says which server is meant.

    The flags for that are added to the function's own.
    """

    def started(**values: Any) -> None:
        where = Where(**{flag: values.pop(flag) for flag in _WHERE})
        settle(lambda: function(where, **values))  # type: ignore[call-arg]  # typer keeps to the signature

    everything = list(inspect.signature(function).parameters.values())[1:] + [
        inspect.Parameter(flag, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for flag, annotation in _WHERE.items()
    ]
    started.__doc__ = function.__doc__
    # Typer reads both of these to learn a command's flags.
    started.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]  # inspect's protocol
    started.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    return started


def settle(run: Callable[[], int]) -> None:
    """Run a command and end with its exit code."""
    try:
        code = run()
        sys.stdout.flush()
    except RunnerError as error:
        complain(error.message)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        code = READER_GONE
    except OSError as error:
        _drop_output()
        complain(f"{error.filename or 'The system'}: {error.strerror or error}.")
        code = FAILED
    if code != DONE:
        raise typer.Exit(code)


def _drop_output() -> None:
    """Lose what nobody can take any more, so that the interpreter's last flush doesn't complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
