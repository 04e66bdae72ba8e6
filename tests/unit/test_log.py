"""The log: one way out for every line, whoever wrote it."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from runner import log
from runner.secrets import Redactor


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Set up logging as JSON, and give a function that reads what was written; all is put back afterwards."""
    kept = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    handlers, level, least = logging.root.handlers[:], logging.root.level, log._least
    log.configure(level="info", style="json")
    log.take_over()
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    sys.excepthook, threading.excepthook, sys.unraisablehook = kept
    logging.root.handlers[:], log._least = handlers, least
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_lines_below_the_level_are_not_written(lines: Any) -> None:
    """A reload changes the level of loggers that are in use, down and up again."""
    logger = log.get("test")
    logger.debug("unseen")
    log.set_level("debug")
    logger.debug("seen", number=1)
    log.set_level("error")
    logger.warning("unseen")
    logger.error("seen", number=2)
    assert [(line["event"], line["number"], line["part"]) for line in lines()] == [
        ("seen", 1, "test"),
        ("seen", 2, "test"),
    ]


def test_lines_below_the_level_are_not_built(lines: Any) -> None:
    """Nothing of a line that nobody sees is looked at."""

    class Dear:
        def __str__(self) -> str:
            raise AssertionError("it was looked at")

    log.get("test").debug("unseen", value=Dear())
    assert lines() == []


def test_what_libraries_log_comes_the_same_way(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings of libraries are lines of ours, without secrets."""
    monkeypatch.setattr(log, "redactor", Redactor())
    log.redactor.learn(["opensesame"])
    logging.getLogger("library.part").warning("The key %s is worn", "opensesame")
    try:
        int("opensesame")
    except ValueError:
        logging.getLogger("library").exception("It broke")
    told = lines()
    assert [(line["part"], line["event"], line["level"]) for line in told] == [
        ("library.part", "The key ******** is worn", "warning"),
        ("library", "It broke", "error"),
    ]
    assert "invalid literal for int() with base 10: '********'" in told[1]["exception"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_a_thread_is_a_line(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody caught in a thread is told without secrets."""
    monkeypatch.setattr(log, "redactor", Redactor())
    log.redactor.learn(["opensesame"])
    hook = threading.excepthook

    def fail() -> None:
        raise RuntimeError("opensesame")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert hook is threading.excepthook
    [line] = lines()
    assert line["event"] == "uncaught_error"
    assert "RuntimeError: ********" in line["exception"]


def test_values_of_any_type_are_cleaned(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, sets, keys and objects that become text on the way are cleaned as well."""
    monkeypatch.setattr(log, "redactor", Redactor())
    log.redactor.learn(["opensesame"])
    fields = {"path": Path("/opensesame"), "many": {"opensesame"}, "error": OSError("opensesame")}
    log.get("test").info("told", inner={"opensesame": [Path("opensesame")]}, number=7, **fields)
    [line] = lines()
    assert "opensesame" not in json.dumps(line)
    assert line["number"] == 7


PROGRAM = """
from runner import log
from runner.secrets import Redactor
log.configure(level="debug", style="{style}")
logger = log.get("test")
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)("told")
try:
    raise ValueError("two\\nlines")
except ValueError:
    logger.exception("broke")
"""


@pytest.mark.parametrize("style", ["auto", "console"])
def test_the_journal_gets_priorities(tmp_path: Path, style: str) -> None:
    """Where standard error is the journal's, each line begins with its priority; JSON by itself."""
    with (tmp_path / "journal").open("wb") as journal:
        there = os.fstat(journal.fileno())
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(style=style)],
            env={**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"},
            stderr=journal,
            check=True,
            timeout=60,
        )
    told = (tmp_path / "journal").read_text().splitlines()
    assert [line[:3] for line in told[:4]] == ["<7>", "<6>", "<4>", "<3>"]
    assert all(line.startswith("<3>") for line in told[4:])
    if style == "auto":
        assert [json.loads(line[3:])["event"] for line in told] == [*["told"] * 4, "broke"]


def test_elsewhere_there_are_none(tmp_path: Path) -> None:
    """A pipe that isn't the journal gets plain JSON, though the variable was inherited."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(style="auto")],
        env={**os.environ, "JOURNAL_STREAM": "1:2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()][:2] == ["debug", "info"]
