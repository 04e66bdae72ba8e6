"""One suite for both platforms that runs write to: the store, and our own server over REST."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from runner.messages import OutcomeRow
from runner.model.changes import ASSIGNED, ChangeState, Op, StoredChange, Target
from runner.model.jobs import Connection, Frequency, Kind
from runner.model.network import Network
from runner.sdelements.platform import Platform
from runner.sdelements.server import Server
from runner.settings import Remote
from runner.store import platform as store
from runner.store.accounts import Scope
from tests.integration.server.kit import Running

RUN = "4f7a" * 8
SESSION = ("analysis-session", f"Build 7#{RUN}")


class Side:
    """A platform under test: a project with the tasks T21 and T38."""

    def __init__(self, server: Running, name: str, project: int) -> None:
        self.server = server
        self.name = name
        self.project = project

    def tasks(self) -> dict[str, Any]:
        """All tasks, as a connector reads them."""
        raise NotImplementedError

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        """Make a batch."""
        raise NotImplementedError

    def notes(self, task: str) -> list[Any]:
        """A task's notes, as the API tells them."""
        client = self.server.admin()
        found: list[Any] = client.get(f"projects/{self.project}/tasks/{task}/notes/").json()["results"]
        return found

    def sessions(self) -> list[Any]:
        """The project's analyses."""
        client = self.server.admin()
        found: list[Any] = client.get(f"projects/{self.project}/analysis-sessions/").json()["results"]
        return found


class StoreSide(Side):
    """The embedded platform."""

    def tasks(self) -> dict[str, Any]:
        with self.server.database.read() as c:
            return {row["id"]: row for row in store.task_page(c, self.project, after=0, limit=500)[0]}

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        now = self.server.clock()
        return self.server.database.write(lambda c: store.apply(c, rows, author=None, now=now, assigned={}))


class RestSide(Side):
    """The same over REST, with a token that may do no more than it has to."""

    def __init__(self, server: Running, name: str, project: int) -> None:
        super().__init__(server, name, project)
        token = server.token(Scope.READ, Scope.VERIFY, email="agent@example.com")
        settings = Remote(url=server.base, token=token)
        self.reach = Server("far", settings, Network())
        self.connection = Connection(
            id=1,
            kind=Kind.ANALYSIS,
            system="whitehat",
            alias="Far",
            command="",
            frequency=Frequency.MANUALLY,
            project_id=None,
            params={
                "sde_project": "Webshop",
                "sde_application": "Application of Webshop",
                "sde_businessunit": "Unit of Webshop",
            },
            remote="far",
        )

    def platform(self) -> Platform:
        """As a run sees it."""
        return Platform(self.reach, self.connection, run=RUN, ties=list)

    def tasks(self) -> dict[str, Any]:
        rows, following = self.platform().tasks(after=0, limit=500)
        assert following is None
        return {row["id"]: row for row in rows}

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        from dataclasses import replace

        def resolve(row: StoredChange, known: Any) -> StoredChange:
            return replace(row, after=store.resolve(row.after, known))

        return self.platform().apply(rows, resolve=resolve)


@pytest.fixture(params=[StoreSide, RestSide])
def side(server: Running, request: pytest.FixtureRequest) -> Iterator[Side]:
    """Give one of the two platforms, with the same project in it."""
    kind: Callable[[Running, str, int], Side] = request.param
    project = server.project()
    server.project("Another")
    made = kind(server, "side", project)
    yield made
    if isinstance(made, RestSide):
        made.reach.close()


def change(sequence: int, op: Op, kind: str, key: str, **values: Any) -> StoredChange:
    """A planned change."""
    return StoredChange(
        sequence=sequence,
        target=Target.PLATFORM,
        op=op,
        kind=kind,
        key=key,
        subject=key,
        before=values.get("before"),
        after=values.get("after"),
        state=ChangeState.PLANNED,
    )


def analysis(side: Side, *, says: str = "fail") -> Sequence[StoredChange]:
    """What an import of one finding plans."""
    key = f"{side.project}-T21"
    after = {"project": side.project, "analysis_ref": "Build 7", "analysis_type": "whitehat"}
    note = {
        "session": {ASSIGNED: [*SESSION, "id"]},
        "analysis_type": "whitehat",
        "status": says,
        "confidence": "high",
        "behaviour": "replace-scanner",
        "findings": [{"count": 2, "desc": "XSS"}] if says == "fail" else [],
        "text": "WhiteHat has 2 findings.",
    }
    return (
        change(1, Op.CREATE, *SESSION, after=after),
        change(
            2,
            Op.FAIL,
            "verification",
            key,
            before={"verification_status": "none", "results": {}},
            after={"verification_status": says, "results": {"whitehat": says}, "note": note},
        ),
    )


def states(outcomes: list[OutcomeRow]) -> list[ChangeState]:
    """How changes ended."""
    return [row.state for row in outcomes]


def test_tasks_are_read_alike(side: Side) -> None:
    """A connector reads the same of a task wherever it stands."""
    task = side.tasks()[f"{side.project}-T21"]
    assert (task["task_id"], task["title"], task["phase"]) == ("T21", "Escape what is shown", "development")
    assert (task["status"], task["meaning"], task["verification_status"]) == ("TS2", "TODO", "none")
    assert (task["cwes"], task["tags"], task["catch_all"], task["priority"]) == ([79], ["web"], False, 5)
    assert set(side.tasks()) == {f"{side.project}-T21", f"{side.project}-T38"}


def test_an_analysis_sets_its_tasks(side: Side) -> None:
    """A finding fails its task, with a note that says so, in an analysis of its own."""
    assert states(side.apply(*analysis(side))) == [ChangeState.DONE, ChangeState.DONE]
    task = side.tasks()[f"{side.project}-T21"]
    assert (task["verification_status"], task["results"]) == ("fail", {"whitehat": "fail"})
    assert [note["text"] for note in side.notes("T21")] == ["WhiteHat has 2 findings."]
    [session] = side.sessions()
    assert session["analysis_ref"].startswith("Build 7")


def test_an_analysis_made_again_by_the_same_run_is_the_same(side: Side) -> None:
    """A run that was interrupted after its write finds it, and makes no second one."""
    side.apply(*analysis(side))
    again = side.apply(analysis(side)[0])
    assert states(again) == [ChangeState.DONE]
    assert len(side.sessions()) == 1


def test_what_somebody_changed_meanwhile_is_left_alone(side: Side) -> None:
    """A task that isn't as it was read is skipped, and the message says what is there now."""
    key = f"{side.project}-T38"
    side.server.admin().patch(f"projects/{side.project}/tasks/T38/", json={"status": "TS3"})
    [outcome] = side.apply(
        change(1, Op.UPDATE, "task", key, before={"status": "TS2"}, after={"status": "TS1"})
    )
    assert outcome.state is ChangeState.SKIPPED
    assert outcome.message == "conflict: status is 'TS3' now, 'TS2' was expected."
    assert side.tasks()[key]["status"] == "TS3"


def test_a_task_that_is_gone_is_named(side: Side) -> None:
    """A change of a task that isn't there is skipped, and the others are made."""
    good = change(
        1, Op.UPDATE, "task", f"{side.project}-T38", before={"status": "TS2"}, after={"status": "TS1"}
    )
    gone = change(
        2, Op.UPDATE, "task", f"{side.project}-T99", before={"status": "TS2"}, after={"status": "TS1"}
    )
    first, second = side.apply(good, gone)
    assert (first.state, second.state) == (ChangeState.DONE, ChangeState.SKIPPED)
    assert second.message == f"conflict: there is no task {side.project}-T99 any more."
    assert side.tasks()[f"{side.project}-T38"]["status"] == "TS1"


def test_a_note_is_written_once(side: Side) -> None:
    """A note with the same text on the same task is the same note; taking it back removes it."""
    key = f"{side.project}-T21"
    note = change(1, Op.CREATE, "note", key, after={"text": "Seen in the tracker."})
    side.apply(note)
    side.apply(note)
    assert [found["text"] for found in side.notes("T21")] == ["Seen in the tracker."]
    side.apply(change(2, Op.DELETE, "note", key, before={"text": "Seen in the tracker."}))
    assert side.notes("T21") == []


def test_a_change_that_is_taken_back_takes_its_note_along(side: Side) -> None:
    """What a run wrote on a task with its status goes when that is taken back; what people wrote stays."""
    key, note = f"{side.project}-T38", {"text": "Done over there."}
    was, made = {"status": "TS2"}, {"status": "TS1", "note": note}
    [done] = side.apply(change(1, Op.UPDATE, "task", key, before=was, after=made))
    side.server.admin().post(f"projects/{side.project}/tasks/T38/notes/", json={"text": "Well done."})
    [undone] = side.apply(change(2, Op.UPDATE, "task", key, before=made, after=was))
    assert (done.state, undone.state) == (ChangeState.DONE, ChangeState.DONE)
    assert side.tasks()[key]["status"] == "TS2"
    assert [found["text"] for found in side.notes("T38")] == ["Well done."]


def test_what_a_platform_has_no_notion_of_fails_by_itself(side: Side) -> None:
    """A change of an unknown kind fails with a sentence, and nothing is written."""
    [outcome] = side.apply(change(1, Op.CREATE, "sonnet", "1", after={}))
    assert outcome.state is ChangeState.FAILED
    assert "sonnet" in outcome.message


def test_an_interrupted_run_finds_out_what_it_wrote(server: Running) -> None:
    """What was made is told as done, with its id; what wasn't is told as not made."""
    side = RestSide(server, "side", server.project())
    session, verification = analysis(side)
    assert states(side.platform().settle([session, verification])) == [ChangeState.SKIPPED] * 2
    side.apply(session, verification)
    first, second = side.platform().settle([session, verification])
    assert (first.state, second.state) == (ChangeState.DONE, ChangeState.DONE)
    assert first.assigned == f'{{"id": {side.sessions()[0]["id"]}}}'
    side.reach.close()


@pytest.mark.parametrize("name", ["Nowhere", ""])
def test_a_project_that_isn_t_there_is_named(server: Running, name: str) -> None:
    """A connection that names no project, or one that isn't there, is told so in a sentence."""
    from dataclasses import replace

    from runner.errors import ConfigRejected

    side = RestSide(server, "side", server.project())
    side.connection = replace(side.connection, params={**side.connection.params, "sde_project": name})
    with pytest.raises(ConfigRejected, match=name or "names no project"):
        side.platform().project()
    side.reach.close()
