"""Pages whose commands are typed again, to see that they print what the page says."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.machine import COMMAND, Machine
from tests.servers.waiting import PATIENCE

_STEP = re.compile(
    r"^```console\n(?P<block>.*?)^```$|^<!-- meanwhile: (?P<aside>.*?) -->$", re.MULTILINE | re.DOTALL
)
_WHEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass
class Step:
    """A command of the page and what it is said to print."""

    command: str
    printed: list[str] = field(default_factory=list)
    told: bool = True  # else it is what happens behind the operator's back


def steps(text: str) -> Iterator[Step]:
    """The commands of the page, in their order."""
    for found in _STEP.finditer(text):
        if found["aside"] is not None:
            yield Step(found["aside"], told=False)
            continue
        block: list[Step] = []
        for line in found["block"].splitlines():
            if line.startswith("$ "):
                block.append(Step(line.removeprefix("$ ")))
            else:
                block[-1].printed.append(line)
        yield from block


class Shell:
    """A shell on a machine whose daemon runs, in the folder of the connection's files."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._environment = machine.environment()
        self._environment["PATH"] = f"{COMMAND.parent}:{self._environment['PATH']}"
        self._folder = folder
        self._status = 0

    def type(self, command: str) -> list[str]:
        """Run a line; what a terminal would show of it."""
        done = subprocess.run(
            ["sh", "-c", f"(exit {self._status}); {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self._status = done.returncode
        return done.stdout.splitlines()


def same(line: str) -> str:
    """A line without what differs from day to day."""
    return " ".join(_WHEN.sub("<when>", line).split())


def missing(expected: list[str], printed: list[str]) -> str | None:
    """The first expected line that isn't where it should be; "…" stands for any number of lines."""
    rest = [same(line) for line in printed]
    gap = False
    for line in expected:
        if line.strip() == "…":
            gap = True
            continue
        if same(line) not in rest or (not gap and rest[0] != same(line)):
            return line
        del rest[: rest.index(same(line)) + 1]
        gap = False
    return rest[0] if rest and not gap else None


def type_all(page: Path, shell: Shell) -> int:
    """Type the commands of a page and hold each against what it is said to print; how many there were."""
    told = 0
    for step in steps(page.read_text(encoding="utf-8")):
        printed = shell.type(step.command)
        if step.told:
            told += 1
            differing = missing(step.printed, printed)
            assert differing is None, f"$ {step.command}\n{differing!r} in\n" + "\n".join(printed)
    return told
