"""Why a command can't be carried out, with the exit code that says so to programs."""

from typing import Any, TypeAlias

from runner.errors import RunnerError

Json: TypeAlias = dict[str, Any]
"""An object of the API."""


class ServerAway(RunnerError):
    """The server can't be reached, or can't answer now."""

    exit_code = 69


class TokenRefused(RunnerError):
    """The server doesn't take the token, or the token may not do this."""

    exit_code = 77


class RequestRefused(RunnerError):
    """The server understood and declined; its own words say why."""


class NotThere(RequestRefused):
    """There is nothing of that number or name."""


class BadUsage(RunnerError):
    """What was typed can't be meant."""

    exit_code = 2
