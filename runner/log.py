"""Logging: structlog to standard error, JSON or console, every line redacted.

What libraries log, and errors that nobody caught in any thread, come the same way. Under
systemd each line begins with its priority (sd-daemon(3)), so that ``journalctl -p`` works.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from runner.secrets import Redactor

redactor = Redactor()
"""The process's one list of secrets; whatever leaves the process passes through it."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4}  # syslog's; all else is an error, 3


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redactor.clean(value)
    if isinstance(value, Mapping):
        return {_clean(name): _clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redactor.clean(str(value))  # the renderer would write it so, past the redactor


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _clean(value)
    return event


class _Sink:
    """Standard error, surviving that whoever reads it is gone."""

    def write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
        except (OSError, ValueError):
            # A restarted journal closes the pipe, a disk is full: losing the line beats losing the daemon.
            return

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            return


_least = _LEVELS["debug"]


def set_level(level: str) -> None:
    """Write from this level on; loggers that are in use go by it too."""
    global _least  # noqa: PLW0603 - the process's one threshold; loggers cache all else
    _least = _LEVELS[level]


_Logger: type = structlog.make_filtering_bound_logger(logging.DEBUG)


def _from_level_on(name: str, level: int) -> Callable[..., Any]:
    """A logger's method that gives up before the line is built, if nobody is to see it."""
    build = getattr(_Logger, name)

    def write(self: Any, event: str | None = None, *args: Any, **fields: Any) -> Any:
        return None if level < _least else build(self, event, *args, **fields)

    return write


_Quiet = type("_Quiet", (_Logger,), {name: _from_level_on(name, level) for name, level in _LEVELS.items()})


class _FromLibraries(logging.Handler):
    """Takes what libraries log by the standard library's means into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        write = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}
        logger = structlog.get_logger(part=record.name)
        getattr(logger, write.get(record.levelno, "error"))(record.getMessage(), exc_info=record.exc_info)


def in_journal(environ: Mapping[str, str]) -> bool:
    """Whether standard error goes straight to systemd's journal."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))


def _with_priority(_logger: Any, method: str, line: Any) -> str:
    """A finished line with its priority in front; each further line of it is one of the journal's too."""
    prefix = f"<{_PRIORITIES.get(method, 3)}>"
    return prefix + str(line).replace("\n", f"\n{prefix}")


def configure(*, level: str, style: str) -> None:
    """Set up logging for the process."""
    set_level(level)
    terminal, journal = sys.stderr.isatty(), in_journal(os.environ)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if style == "console" or (style == "auto" and terminal)
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            renderer,
            *([_with_priority] if journal else []),
        ],
        wrapper_class=_Quiet,
        logger_factory=structlog.WriteLoggerFactory(file=_Sink()),  # type: ignore[arg-type]  # a file by use
        cache_logger_on_first_use=True,
    )


def take_over() -> None:
    """Have what libraries log, and what nobody caught, written as lines of ours."""
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(
        told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback
    )
    sys.unraisablehook = lambda told: _log_uncaught(
        told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger(part="daemon").error("uncaught_error", exc_info=(kind, error, trace))


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part of the daemon."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
