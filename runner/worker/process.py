"""The worker's main: takes messages of main one after another until the pipe closes."""

import signal
import threading
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from runner import faultpoint
from runner.errors import Internal
from runner.messages import PLAN_ROWS, encode, parse_from_main
from runner.model.changes import (
    OPS,
    Change,
    ChangeOutcome,
    ChangeState,
    StoredChange,
    Target,
    values_to_json,
)
from runner.ports import Connector, WritesOutside
from runner.worker import directories, limits, plugins
from runner.worker.context import PipeContext
from runner.worker.failures import explain
from runner.worker.printed import Printed, take_over

_TEXT_ROOM = 1024 * 1024  # characters of values in one message of changes, about
_OUTCOMES_EVERY = 0.2  # seconds
_PRINT_WAIT = 1.0  # seconds that a printed line may wait for its turn on the pipe


def main(pipe: "Connection[bytes, bytes]", setup: Mapping[str, Any]) -> None:
    """Serve ``pipe`` until main closes it. ``setup`` is JSON: places, path, scratch, faultpoint."""
    limits.become_mortal()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is main's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faultpoint.arm("worker", setup["faultpoint"])
    plugins.use_path(setup["path"])
    worker = Worker(pipe, places=setup["places"], scratch=Path(setup["scratch"]))
    worker.printed = take_over(worker.tell_printed)
    try:
        worker.serve()
    except (EOFError, OSError):
        return  # main is gone or has let go of us


class Worker:
    """One pipe's end: the job in hand and the answers to main's messages."""

    def __init__(self, pipe: "Connection[bytes, bytes]", *, places: plugins.Places, scratch: Path) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()  # a connector may speak on threads of its own
        self._places = places
        self._scratch = scratch
        self._connectors: dict[str, Connector] = {}
        self._batch_sizes: dict[str, int | None] = {}
        self._connector: Connector | None = None
        self._context: PipeContext | None = None
        self.printed: Printed | None = None

    def tell_printed(self, line: str) -> None:
        """Tell main a line that the connector printed; never waits for long, and never raises."""
        # Whoever prints may be in the middle of a message: the collector of garbage runs anywhere.
        if self._sending.acquire(timeout=_PRINT_WAIT):
            try:
                self._pipe.send_bytes(encode("log", event="printed", fields={"line": line}))
            except OSError:
                return  # main is gone
            finally:
                self._sending.release()

    def send(self, message: bytes) -> None:
        """Send one message to main."""
        faultpoint.reach("message")
        with self._sending:
            self._pipe.send_bytes(message)

    def serve(self) -> None:
        """Take messages until the pipe closes; an exception answers as ``failed``."""
        while True:
            message = parse_from_main(self._pipe.recv_bytes())
            if self.printed is not None:
                self.printed.begin()
            try:
                self._handle(message)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a plug-in raises is told, SystemExit too
                limits.limit_memory(None)
                self.send(encode("failed", **explain(error)))

    def _handle(self, message: dict[str, Any]) -> None:
        match message["m"]:
            case "run":
                self._run(message)
            case "apply":
                self._apply(message["changes"])
            case "current_of":
                self._current(message["kind"], message["keys"])
            case "describe":
                self.send(encode("answer", value=plugins.describe(self._places)))
            case "check":
                self._check(message)
            case "directory":
                limits.limit_memory(message["memory_limit"])
                self.send(encode("answer", value=directories.answer(message)))
            case "validate":
                self._load(message["system"]).params.model_validate(message["params"])
                self.send(encode("answer", value=True))
            case other:
                msg = f"The worker was sent {other!r}."
                raise Internal(msg)

    def _load(self, system: str) -> Connector:
        connector = self._connectors.get(system)
        if connector is None:
            connector = self._connectors[system] = plugins.load(system, self._places)
            self._batch_sizes[system] = _batch_size(connector)
        return connector

    def _begin(self, message: dict[str, Any]) -> tuple[Connector, PipeContext]:
        """Set the job in hand: its connector, its parameters and its memory limit."""
        if self._context is not None:
            self._context.close()
            self._context = None
        connector = self._connector = self._load(message["system"])
        limits.limit_memory(message["memory_limit"])
        params = connector.params.model_validate(message["params"])
        context = self._context = PipeContext(
            message, params, scratch=self._scratch, send=self.send, receive=self._pipe.recv_bytes
        )
        return connector, context

    def _run(self, message: dict[str, Any]) -> None:
        connector, context = self._begin(message)
        if message["resume_only"]:
            undo = {kind: op.value for kind, op in getattr(connector, "undo", {}).items()}
            size = self._batch_sizes[message["system"]]
            self.send(encode("planned", batch_size=size, undo=undo, keeps=_keeps(connector)))
            return
        first = message["first_sequence"]
        rows = _Rows(self.send, first)
        for change in connector.plan(context):
            rows.add(change)
        rows.flush()
        context.flush()
        self.send(
            encode(
                "planned",
                rows=rows.sequence - first,
                batch_size=self._batch_sizes[message["system"]],
                keeps=_keeps(connector),
                totals=context.totals,
                sentences=context.sentences,
                warnings=context.warnings,
                memory=context.remembered,
            )
        )

    def _writer(self) -> tuple[WritesOutside, PipeContext]:
        connector: object = self._connector
        if not isinstance(connector, WritesOutside) or self._context is None:
            msg = "The plan has changes for the outside system, but its connector has no apply()."
            raise Internal(msg)
        return connector, self._context

    def _apply(self, changes: list[dict[str, Any]]) -> None:
        connector, context = self._writer()
        context.allow_writing(True)
        batch = [_stored(change) for change in changes]
        waiting = {change.sequence for change in batch}
        rows: list[list[Any]] = []
        sent = time.monotonic()
        for outcome in connector.apply(context, batch):
            if outcome.sequence not in waiting:
                msg = f"apply() told an outcome of change {outcome.sequence}, which it wasn't given."
                raise Internal(msg)
            waiting.discard(outcome.sequence)
            rows.append(_outcome_row(outcome))
            if time.monotonic() - sent >= _OUTCOMES_EVERY:
                self.send(encode("outcomes", rows=rows))
                rows, sent = [], time.monotonic()
        if waiting:
            self.send(encode("outcomes", rows=rows))
            msg = f"apply() told no outcome of {len(waiting)} changes."
            raise Internal(msg)
        self.send(encode("outcomes", rows=rows, last=True))

    def _current(self, kind: str, keys: list[str]) -> None:
        connector, context = self._writer()
        context.allow_writing(False)
        found = connector.current(context, kind, keys)
        self.send(encode("current", values={key: values_to_json(found.get(key)) for key in keys}))

    def _check(self, message: dict[str, Any]) -> None:
        connector, context = self._begin(message)
        steps: Iterable[Any] = connector.check(context)
        self.send(
            encode(
                "answer",
                value=[{"name": step.name, "ok": step.ok, "message": step.message} for step in steps],
            )
        )


def _keeps(connector: object) -> list[str]:
    return list(getattr(connector, "keeps", ()))


def _batch_size(connector: object) -> int | None:
    return connector.batch_size if isinstance(connector, WritesOutside) else None


def _stored(change: dict[str, Any]) -> StoredChange:
    return StoredChange(
        sequence=change["sequence"],
        target=Target.OUTSIDE,
        op=OPS[change["op"]],
        kind=change["kind"],
        key=change["key"],
        subject=change["subject"],
        before=change["before"],
        after=change["after"],
        state=ChangeState.INTENDED,
    )


def _outcome_row(outcome: ChangeOutcome) -> list[Any]:
    return [outcome.sequence, outcome.state, outcome.message, values_to_json(outcome.assigned)]


class _Rows:
    """Planned changes on their way to main, some hundred a message."""

    def __init__(self, send: Any, first: int) -> None:
        self._send = send
        self._rows: list[list[Any]] = []
        self._room = _TEXT_ROOM
        self.sequence = first

    def add(self, change: Change) -> None:
        before, after = values_to_json(change.before), values_to_json(change.after)
        proof = None if change.proof is None else change.proof.reading
        self._rows.append(
            [
                self.sequence,
                change.target,
                change.op,
                change.kind,
                change.key,
                change.subject,
                before,
                after,
                proof,
                change.why,
            ]
        )
        self.sequence += 1
        self._room -= len(before or "") + len(after or "")
        if len(self._rows) == PLAN_ROWS or self._room < 0:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._send(encode("plan", rows=self._rows))
            self._rows, self._room = [], _TEXT_ROOM
