"""Promises about what a run says: no secret, a reason that helps, and the name of what went wrong."""

import base64
import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from urllib.parse import quote

from runner.conformance.held import Held, NewWorld
from runner.conformance.world import World, differing
from runner.errors import Reason
from runner.model.jobs import Outcome
from runner.worker.failures import explain

UNHELPFUL = {Reason.INTERNAL, Reason.CRASH}
"""Reasons that tell a person nothing but to ask us."""


class Telling(Held):
    """What a run promises of its words."""

    def test_secrets_appear_nowhere(self, new_world: NewWorld) -> None:
        """A secret stands in the connection's parameters, and nowhere else however the run goes."""
        for way in [None, *new_world().arena.troubles()]:
            world = new_world()
            if way is not None:
                world.arena.troubles()[way]()
            job_id = world.run().id
            told = _commands(world, job_id) if way is None else ""
            found = sorted(_leaks(world, told, world.arena.secrets()))
            assert found == [], f"after {way or 'an ordinary run'}"

    def test_library_errors_have_a_reason(self, new_world: NewWorld) -> None:
        """Whatever the connector's libraries raise comes out as a reason that a person can act on."""
        unmapped = {
            type(error).__name__
            for error in new_world().arena.errors()
            if explain(error)["reason"] in UNHELPFUL
        }
        assert unmapped == set()

    def test_troubles_have_a_reason(self, new_world: NewWorld) -> None:
        """A source or a target that is out of order fails the run, with a reason and without a write."""
        for name in new_world().arena.troubles():
            world = new_world()
            world.arena.troubles()[name]()
            before = world.state()
            failed = world.run()
            assert failed.outcome is Outcome.FAILED, f"{name}: {failed.message}"
            assert failed.reason not in UNHELPFUL, f"{name}: {failed.message}"
            assert failed.done() == [], name
            assert world.state() == before, name

    def test_one_bad_record_spoils_no_other(self, new_world: NewWorld) -> None:
        """A run with a record that can't be handled does all the rest, and its message names the one."""
        sound, world = new_world(), new_world()
        sound.run()
        bad = world.arena.spoil_record()
        run = world.run()
        assert bad.named in run.message
        assert differing(sound.state(), world.state()) <= set(bad.keys)
        assert run.done(), "the arena's build() leaves nothing else to do, so nothing was proven"


def _commands(world: World, job_id: int) -> str:
    """What the command line prints as JSON about a connection and one of its jobs."""
    return "".join(
        world.command(*words, "--json")
        for words in (
            ("jobs", "show", job_id),
            ("jobs", "changes", job_id),
            ("connections", "show", world.connection_id),
        )
    )


def _leaks(world: World, told: str, secrets: Collection[str]) -> Iterator[str]:
    """Where a secret turned up."""
    world.forget_params()
    store = world.state_dir / "runner.db"
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("VACUUM")  # what stood where the parameters were is gone now
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    places = {"the command line's output": told.encode(), "what it printed": world.printed()}
    for path in (world.log, *world.state_dir.rglob("*")):
        if path.is_file():
            places[str(path.relative_to(world.log.parent))] = path.read_bytes()
    for spelling in (form for secret in secrets for form in _spellings(secret)):
        yield from (name for name, content in places.items() if spelling.encode() in content)


def _spellings(secret: str) -> set[str]:
    raw = secret.encode()
    return {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
