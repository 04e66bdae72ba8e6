"""Keeping a connection's secrets out of all that its runs leave behind.

A worker knows the secrets of the connection it runs and no others, so each run has a list
of its own: a list of all secrets ever used would make every row dearer with each connection.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any

import structlog

from runner.engine.catalogue import System, is_secret
from runner.errors import RunnerError
from runner.messages import (
    Failed,
    Findings,
    FromWorker,
    LogLine,
    OutcomeRow,
    Outcomes,
    Plan,
    Planned,
    PlanRow,
    Read,
)
from runner.model.changes import Target
from runner.model.findings import FindingRow
from runner.model.jobs import Connection
from runner.secrets import MASK, Redactor, has_credentials

TAINTED = (
    "left alone: it holds a secret of the connection, which is never journaled, "
    "and what isn't journaled isn't written"
)
"""What the journal says of a change for the outside that can't be stored as it is."""

_log = structlog.get_logger(part="cleaning")


class Cleaner:
    """Cleans what a worker tells of one job. Without secrets it costs nothing."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._redactor = Redactor()
        self._redactor.learn(secrets)
        self._idle = not secrets
        self.tainted: set[int] = set()  # sequences of changes for the outside that held a secret

    def message(self, message: FromWorker) -> FromWorker:
        """The message, with a mask wherever a secret stood."""
        if self._idle:
            return message
        match message:
            case Plan(rows=rows):
                # One look at all of them together: hardly any plan holds a secret.
                if not self._redactor.knows(_joined(rows)):
                    return message
                return message.model_copy(update={"rows": [self._row(row) for row in rows]})
            case Outcomes(rows=rows):
                return message.model_copy(update={"rows": [self.outcome(row) for row in rows]})
            case Read(name=name, why=why):
                return message.model_copy(update={"name": self._known(name), "why": self._text(why)})
            case Findings(rows=rows):
                return message.model_copy(update={"rows": [self._finding(row) for row in rows]})
            case Planned(sentences=sentences, warnings=warnings, totals=totals):
                told = {
                    "sentences": [self._text(sentence) for sentence in sentences],
                    "warnings": [self._text(sentence) for sentence in warnings],
                    "totals": {self._known(name): number for name, number in totals.items()},
                }
                return message.model_copy(update=told)
            case LogLine(event=event, fields=fields):
                cleaned = {"event": self._text(event), "fields": _walk(fields, self._text)}
                return message.model_copy(update=cleaned)
            case Failed(message=text, detail=detail):
                cleaned = {
                    "message": self._text(text),
                    "detail": None if detail is None else self._text(detail),
                }
                return message.model_copy(update=cleaned)
        return message

    def text(self, text: str) -> str:
        """The same for a sentence."""
        return text if self._idle else self._text(text)

    def outcome(self, row: OutcomeRow) -> OutcomeRow:
        """The same for what became of a change."""
        if self._idle or not (row.message or row.assigned):
            return row
        return row._replace(message=self._text(row.message), assigned=self._json(row.assigned))

    def _row(self, row: PlanRow) -> PlanRow:
        clean = row._replace(
            kind=self._known(row.kind),
            key=self._known(row.key),
            subject=self._known(row.subject),
            before=self._json(row.before),
            after=self._json(row.after),
            proof=None if row.proof is None else self._known(row.proof),
            why=self._known(row.why),
        )
        written = (clean.kind, clean.key, clean.before, clean.after)
        if written != (row.kind, row.key, row.before, row.after) and row.target is Target.OUTSIDE:
            # What is sent is read back from the journal: there a mask would be sent as a password.
            self.tainted.add(row.sequence)
        return clean

    def _finding(self, row: FindingRow) -> FindingRow:
        return row._replace(
            category=self._known(row.category),
            severity=self._known(row.severity),
            via=self._known(row.via),
            tasks=[self._known(task) for task in row.tasks],
            examples=[self._known(example) for example in row.examples],
        )

    def _known(self, text: str) -> str:
        return self._redactor.replace_known(text)

    def _text(self, text: str) -> str:
        return self._redactor.clean(text)

    def _json(self, text: str | None) -> str | None:
        if text is None:
            return None
        clean = self._known(text)
        if clean == text:
            return text
        try:
            return clean if isinstance(json.loads(clean), dict) else json.dumps({MASK: MASK})
        except ValueError:
            return json.dumps({MASK: MASK})  # the secret was no text but a part of the JSON itself


def _joined(rows: list[PlanRow]) -> str:
    """All texts of planned rows; they stand from ``kind`` on."""
    return "\0".join(filter(None, chain.from_iterable(row[3:] for row in rows)))


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(name)): _walk(part, clean) for name, part in value.items()}
        case list():
            return [_walk(part, clean) for part in value]
    return value


def secrets_of(connection: Connection, systems: Callable[[], Mapping[str, System]]) -> set[str]:
    """The values of a connection's secret parameters."""
    if not connection.params:
        return set()
    try:
        system = systems().get(connection.system)
    except RunnerError as error:
        _log.warning("secret_params_are_guessed", system=connection.system, why=error.message)
        system = None
    return {
        text
        for name, value in connection.params.items()
        if is_secret(name, system) or has_credentials(value)
        for text in _texts(value)
    }


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for part in value.values():
                yield from _texts(part)
        case list():
            for part in value:
                yield from _texts(part)
        case int() | float():
            yield str(value)
