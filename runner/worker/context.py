"""What a connector is given while its job runs: the port's ``Context``, over the pipe."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.errors import Internal
from runner.messages import LONGEST, PLAN_ROWS, encode, parse_from_main
from runner.model.changes import Complete
from runner.model.findings import FindingRow
from runner.model.network import Network
from runner.model.platform import Meaning, Project, Task, Verification
from runner.ports import Attachment, JobInfo, Link

_PROGRESS_EVERY = 0.25  # seconds

Send = Callable[[bytes], None]
Receive = Callable[[], bytes]


class PipeReading:
    """One reading, whose end is told to main."""

    def __init__(self, send: Send, name: str, target_size: int | None) -> None:
        self._send = send
        self._name = name
        self._target_size = target_size

    def complete(self, size: int) -> Complete:
        self._send(encode("read", name=self._name, complete=True, size=size, target_size=self._target_size))
        return Complete(self._name, size)

    def incomplete(self, why: str, *, size: int = 0, additions_hold: bool = False) -> None:
        self._send(
            encode(
                "read",
                name=self._name,
                complete=False,
                size=size,
                target_size=self._target_size,
                why=why,
                additions_hold=additions_hold,
            )
        )


class PipePlatform:
    """The platform, asked for page by page."""

    def __init__(self, send: Send, receive: Receive) -> None:
        self._send = send
        self._receive = receive
        self._asking = threading.Lock()  # so that each of a connector's threads gets its own answer

    def _ask(self, what: str, after: int = 0, **more: str) -> dict[str, Any]:
        with self._asking:
            self._send(encode("ask", what=what, after=after, **more))
            answer = parse_from_main(self._receive())
        if answer["m"] != "page":
            msg = f"The daemon answered {answer['m']!r} to a question for {what}."
            raise Internal(msg)
        return answer

    def project(self) -> Project:
        return Project(**self._ask("project")["rows"][0])

    def tasks(self) -> Iterator[Task]:
        after: int | None = 0
        while after is not None:
            page = self._ask("tasks", after)
            for row in page["rows"]:
                yield _task(row)
            after = page["next"]

    def links(self, kind: str) -> Iterator[Link]:
        after: str | None = ""
        while after is not None:
            page = self._ask("links", kind=kind, after_key=after)
            for row in page["rows"]:
                yield Link(**row)
            after = page["next"]


def _task(row: dict[str, Any]) -> Task:
    return Task(
        **{
            **row,
            "meaning": Meaning(row["meaning"]),
            "verification_status": Verification(row["verification_status"]),
            "cwes": tuple(row["cwes"]),
            "categories": tuple(row["categories"]),
            "tags": tuple(row["tags"]),
            "results": {tool: Verification(status) for tool, status in row["results"].items()},
        }
    )


class PipeContext:
    """A job's context. One per attempt; see ``runner.ports.Context`` for what it promises."""

    def __init__(
        self, envelope: Mapping[str, Any], params: Any, *, scratch: Path, send: Send, receive: Receive
    ) -> None:
        job = envelope["job"]
        self.job = JobInfo(**job)
        self.params = params
        upload = envelope["attachment"]
        self.attachment = (
            None
            if upload is None
            else Attachment(path=Path(upload["path"]), name=upload["name"], size=upload["size"])
        )
        self.platform = PipePlatform(send, receive)
        self.memory: Mapping[str, Any] = envelope["memory"]
        self.mapping: str = envelope.get("mapping", "")
        self._scratch_root = scratch
        self._scratch: Path | None = None
        self.now = datetime.fromisoformat(envelope["now"])
        self.network = replace(Network.of(envelope["network"]), reads_only=True)
        self.totals: dict[str, int] = {}
        self.sentences: list[str] = []
        self.warnings: list[str] = []
        self.remembered: dict[str, Any] = {}
        self._found: list[FindingRow] = []
        self._send = send
        self._last_progress = 0.0

    @property
    def scratch(self) -> Path:
        """A folder of the job's own, made when it is first asked for and emptied after the job."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(dir=self._scratch_root))
        return self._scratch

    def allow_writing(self, allowed: bool) -> None:
        """Whether what the connector opens from here on may write."""
        self.network = replace(self.network, reads_only=not allowed)

    def close(self) -> None:
        """Remove what the job left in its scratch folder."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def reading(self, name: str, *, target_size: int | None = None) -> PipeReading:
        return PipeReading(self._send, name, target_size)

    def links(self, kind: str) -> Iterator[Link]:
        return self.platform.links(kind)

    def remember(self, key: str, value: Any) -> None:
        self.remembered[key] = value

    def found(self, row: FindingRow) -> None:
        self._found.append(row)
        if len(self._found) == PLAN_ROWS:
            self.flush()

    def flush(self) -> None:
        """Tell main of the findings that wait."""
        if self._found:
            self._send(encode("findings", rows=self._found))
            self._found = []

    def say(self, sentence: str, *, first: bool = False) -> None:
        (self.warnings if first else self.sentences).append(sentence)

    def count(self, name: str, number: int = 1) -> None:
        self.totals[name] = self.totals.get(name, 0) + number

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            self._send(encode("progress", text=text, done=done, total=total))

    def log(self, event: str, **fields: Any) -> None:
        line = encode("log", event=event, fields=fields)
        if len(line) < LONGEST // 1024:  # a line is a line, not a file
            self._send(line)
