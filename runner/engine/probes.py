"""Questions to a connector outside of any job: descriptions, validation, connection tests.

One worker of its own answers them, so that they neither wait for jobs nor take a slot.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from runner.engine.catalogue import System, from_description
from runner.engine.cleaning import Cleaner
from runner.engine.workers import Budget, Worker, WorkerFactory
from runner.errors import Internal, Refused, RunnerError
from runner.messages import Answer, Ask, Failed, LogLine, Progress, Read, encode

_CAP = 30.0  # seconds for one question, waiting for the worker included
_MEMORY = 512 * 1024 * 1024  # bytes


class StepTold(NamedTuple):
    """What one step of a connection test told."""

    name: str
    ok: bool
    message: str = ""


_steps = TypeAdapter(list[StepTold])
_texts = TypeAdapter(list[dict[str, str]])


class Busy(Refused):
    """The probe worker has another question; ask again."""


class Probes:
    """The probe worker. Safe between threads: one question at a time."""

    def __init__(self, factory: WorkerFactory) -> None:
        self._factory = factory
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._systems: dict[str, System] | None = None

    def systems(self) -> dict[str, System]:
        """All systems by id; asked for once."""
        if self._systems is None:
            self._systems = from_description(self._ask(encode("describe")))
        return self._systems

    def validate(self, system: str, params: dict[str, Any]) -> None:
        """Raise ``Refused`` if the connector doesn't take these parameters."""
        known = self.systems().get(system)
        if known is None or known.broken is not None:
            why = "there is no connector for it" if known is None else known.broken
            msg = f"{system!r} can't be used: {why}."
            raise Refused(msg, field="system")
        try:
            self._ask(encode("validate", system=system, params=params))
        except Busy:
            raise
        except RunnerError as error:
            raise Refused(error.message, field="params") from error

    def check(self, question: bytes, *, cleaner: Cleaner, asked: Callable[[Ask], bytes]) -> list[StepTold]:
        """Test a connection: what each step of its connector's check told, without secrets.

        ``asked`` answers what the connector asks of the platform. A check that ends in an
        error is one whose last step failed.
        """
        try:
            told = self._ask(question, asked=asked)
        except Busy:
            raise
        except RunnerError as error:
            return [StepTold(name="check", ok=False, message=cleaner.text(error.message))]
        steps = _steps.validate_python(told)
        return [step._replace(message=cleaner.text(step.message)) for step in steps]

    def ask_directory(self, question: bytes, *, cleaner: Cleaner) -> list[dict[str, str]]:
        """What a directory answered, without its password; ``Refused`` with what went wrong."""
        try:
            found = _texts.validate_python(self._ask(question))
        except Busy:
            raise
        except RunnerError as error:
            raise Refused(cleaner.text(error.message)) from error
        return [{name: cleaner.text(value) for name, value in row.items()} for row in found]

    def _ask(self, question: bytes, *, asked: Callable[[Ask], bytes] | None = None) -> Any:
        deadline = time.monotonic() + _CAP
        if not self._lock.acquire(timeout=_CAP):
            msg = "Another question to the connectors takes long; ask again in half a minute."
            raise Busy(msg, status=503)
        try:
            return self._answer(question, deadline, asked)
        finally:
            self._lock.release()

    def _answer(self, question: bytes, deadline: float, asked: Callable[[Ask], bytes] | None) -> Any:
        if self._worker is not None and self._worker.worn:
            self.close()
        if self._worker is None:
            self._worker = self._factory.make("probe")
            self._worker.begin_job()
        budget = Budget(deadline=deadline, memory=_MEMORY, timeout_text="30 s", memory_text="512 MiB")
        try:
            self._worker.send(question)
            message = self._worker.receive(budget)
            while isinstance(message, Progress | LogLine | Read) or (
                asked is not None and isinstance(message, Ask)
            ):
                if asked is not None and isinstance(message, Ask):
                    self._worker.send(asked(message))
                message = self._worker.receive(budget)
        except BaseException:
            self.close()
            raise
        match message:
            case Answer(value=value):
                return value
            case Failed(message=text):
                raise Refused(text)
        self.close()
        raise Internal(f"The connector's process sent {message.m!r} to a question.")

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None
