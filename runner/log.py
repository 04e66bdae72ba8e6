"""Logging: structlog to standard error, JSON or console, every line redacted."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from runner.secrets import Redactor

redactor = Redactor()
"""The process's one list of secrets; whatever leaves the process passes through it."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redactor.clean(value)
    if isinstance(value, dict):
        return {name: _clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return value


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _clean(value)
    return event


class _Sink:
    """Standard error, surviving that whoever reads it is gone."""

    def write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
        except (BrokenPipeError, ValueError):
            return  # a restarted journal closes the pipe; losing the line beats losing the daemon

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except (BrokenPipeError, ValueError):
            return


_least = _LEVELS["debug"]


def set_level(level: str) -> None:
    """Write from this level on; loggers that are in use go by it too."""
    global _least  # noqa: PLW0603 - the process's one threshold; loggers cache all else
    _least = _LEVELS[level]


def _at_least(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _LEVELS.get(method, logging.ERROR) < _least:
        raise structlog.DropEvent
    return event


def configure(*, level: str, style: str) -> None:
    """Set up logging for the process."""
    set_level(level)
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    structlog.configure(
        processors=[
            _at_least,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=_Sink()),  # type: ignore[arg-type]  # a file by use
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part of the daemon."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
