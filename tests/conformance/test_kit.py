"""The kit as a plug-in and as a document."""

import inspect
import subprocess
import sys

import pytest

from runner.conformance.arena import Arena
from runner.conformance.held import Held
from runner.conformance.promises import Promises
from tests.conformance.arenas import RegisterArena
from tests.servers.machine import ROOT

DOCUMENT = ROOT / "docs" / "conformance.md"


def test_the_plugin_costs_nothing_until_it_is_used() -> None:
    """Where the runner is installed, pytest loads a module without anything behind it."""
    code = "import sys, runner.conformance.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("runner")}
    assert loaded == {"runner", "runner.conformance", "runner.conformance.plugin"}
    assert not {"sqlalchemy", "pydantic", "structlog"}.intersection(done.stdout.split())


def test_the_document_names_every_promise() -> None:
    """A promise that the kit holds connectors to is explained."""
    text = DOCUMENT.read_text(encoding="utf-8")
    tests = [name for name in vars_of(Promises) if name.startswith("test_")]
    assert tests
    assert [name for name in tests if f"| `{name}` |" not in text] == []


def test_the_document_names_all_that_an_arena_tells() -> None:
    """Whoever writes an arena finds each member of it, with what happens without it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    members = {name for name in vars_of(Arena) if not name.startswith("_")}
    members |= {name for name in inspect.get_annotations(Arena) if not name.startswith("_")}
    assert [name for name in sorted(members) if f"| `{name}` |" not in text] == []


def vars_of(cls: type) -> set[str]:
    """Names of a class and of its bases, without those of every object."""
    return {name for base in cls.__mro__ if base is not object for name in vars(base)}


class TestExempt(Held):
    """A connector that can't be put to one of the tests."""

    class arena(RegisterArena):  # noqa: N801 - the kit's name for it
        exempt = {"test_one_bad_record_spoils_no_other": "its source has one record only"}  # noqa: RUF012 - as in Arena

    def test_one_bad_record_spoils_no_other(self, request: pytest.FixtureRequest) -> None:
        """An exemption skips the test of this name before it begins, and tells why."""
        with pytest.raises(pytest.skip.Exception, match="its source has one record only"):
            request.getfixturevalue("new_world")
