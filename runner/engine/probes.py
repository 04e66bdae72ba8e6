"""Questions to a connector outside of any job: descriptions, validation, connection tests.

One worker of its own answers them, so that they neither wait for jobs nor take a slot.
"""

import threading
import time
from typing import Any

from runner.engine.catalogue import System, from_description
from runner.engine.workers import Budget, Worker, WorkerFactory
from runner.errors import Internal, Refused, RunnerError
from runner.messages import Answer, Failed, LogLine, Progress, encode

_CAP = 30.0  # seconds for one question, waiting for the worker included
_MEMORY = 512 * 1024 * 1024  # bytes


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

    def _ask(self, question: bytes) -> Any:
        deadline = time.monotonic() + _CAP
        if not self._lock.acquire(timeout=_CAP):
            msg = "Another question to the connectors takes long; ask again in half a minute."
            raise Busy(msg, status=503)
        try:
            return self._answer(question, deadline)
        finally:
            self._lock.release()

    def _answer(self, question: bytes, deadline: float) -> Any:
        if self._worker is not None and self._worker.worn:
            self.close()
        if self._worker is None:
            self._worker = self._factory.make("probe")
            self._worker.begin_job()
        budget = Budget(deadline=deadline, memory=_MEMORY, timeout_text="30 s", memory_text="512 MiB")
        try:
            self._worker.send(question)
            message = self._worker.receive(budget)
            while isinstance(message, Progress | LogLine):
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
