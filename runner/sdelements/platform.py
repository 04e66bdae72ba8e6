"""The platform behind a remote server: read for plans, and written batch by batch.

Nothing is written that couldn't be recognised when it is read again: an analysis by its
report and the run's id, a note by its task and text. What the server says no to fails its
own change; what it doesn't answer stops the run, which looks at its next attempt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from runner.errors import AccessDenied, ConfigRejected, Refused
from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, Op, StoredChange
from runner.model.jobs import Connection
from runner.model.platform import Meaning
from runner.sdelements import people, writing
from runner.sdelements.people import People, Ties
from runner.sdelements.server import Server
from runner.sdelements.wire import Json
from runner.sdelements.writing import ident_of, outcome

Known = Mapping[tuple[str, str], Json]
"""What the server gave to the things that this batch made, by kind and key."""

_INCLUDE = "problem,tags,categories,catch_all,results"
_CATCH_ALL = "T193"  # where the original's own mappings send what matches no other task
_SINGLY = 20  # tasks that are read one by one at the most; more are read as a listing


class Platform:
    """One connection's project on its remote server, for one run."""

    def __init__(self, server: Server, connection: Connection, *, run: str, ties: Ties) -> None:
        self.people = People(server.wire, connection, ties)
        self._wire = server.wire
        self._connection = connection
        self._run = run  # the job's uuid
        self._project: Json | None = None
        self._statuses: dict[str, Json] = {}  # by id
        self._phases: dict[str, str] = {}  # slugs by id and by name
        self._rows: Iterator[Json] = iter(())
        self._at = -1  # rows of the listing that were told

    # --- reading --------------------------------------------------------------------------

    def project(self) -> Json:
        """The connection's project with its chain of names."""
        if self._project is None:
            self._project = self._find_project()
        return self._project

    def _find_project(self) -> Json:
        ident, params = self._connection.remote_project, self._connection.params
        if ident is None:
            unit = self._one("business-units/", params.get("sde_businessunit"), "business unit")
            inside = {} if unit is None else {"business_unit": unit["id"]}
            owner = self._one("applications/", params.get("sde_application"), "application", **inside)
            inside = {} if owner is None else {"application": owner["id"]}
            found = self._one("projects/", params.get("sde_project"), "project", **inside)
            if found is None:
                msg = f"The connection {self._connection.alias} names no project (sde_project)."
                raise ConfigRejected(msg)
            ident = int(found["id"])
        row = self._wire.get(f"projects/{ident}/")
        owner = self._thing("applications/", row.get("application"))
        unit = self._thing("business-units/", owner.get("business_unit"))
        return {
            "id": ident,
            "name": str(row.get("name", "")),
            "application": str(owner.get("name", "")),
            "business_unit": str(unit.get("name", "")),
            "slug": str(row.get("slug", "")),
        }

    def _one(self, path: str, name: Any, what: str, **inside: Any) -> Json | None:
        """The one thing of this name; None if the connection names none."""
        if name in (None, ""):
            return None
        if isinstance(name, int):
            return {"id": name}
        # The filters are looked at again: not every server has them all.
        found = [
            row
            for row in self._wire.rows(path, name=name, **inside)
            if row.get("name") == name
            and all(ident_of(row.get(key)) == value for key, value in inside.items())
        ]
        if len(found) != 1:
            many = "no" if not found else str(len(found))
            raise ConfigRejected(f"{self._wire.host} has {many} {what} called {name!r}; one is needed.")
        return found[0]

    def _thing(self, path: str, there: Any) -> Json:
        """A thing that is told whole, or by its number."""
        if isinstance(there, dict) and "name" in there:
            return there
        ident = ident_of(there)
        return {} if ident is None else self._wire.get(f"{path}{ident}/")

    def tasks(self, *, after: int, limit: int) -> tuple[list[Json], int | None]:
        """Tasks past the first ``after``, as the pipe carries them, and the next cursor or None."""
        if after != self._at:
            self._rows = islice(self._listing(), after, None)
        found = [self._task(row) for row in islice(self._rows, limit)]
        self._at = after + len(found)
        return found, self._at if len(found) == limit else None

    def _listing(self) -> Iterator[Json]:
        return self._wire.rows(f"projects/{self.project()['id']}/tasks/", include=_INCLUDE)

    def _task(self, row: Json) -> Json:
        self._learn()
        status = str(ident_of(row.get("status")) or "")
        task_id = str(row.get("task_id") or str(row.get("id", "")).partition("-")[2])
        problem = row.get("problem") or {}
        cwes = problem.get("cwe") or [] if isinstance(problem, dict) else []
        text = row.get("text") or ""
        return {
            "id": f"{self.project()['id']}-{task_id}",
            "task_id": task_id,
            "title": str(row.get("title", "")),
            "text": str(text.get("description", "") if isinstance(text, dict) else text),
            "phase": self._phase(row.get("phase")),
            "priority": int(row.get("priority") or 0),
            "status": status,
            "meaning": self._meaning(status),
            "verification_status": row.get("verification_status") or "none",
            "updated": str(row.get("updated") or ""),
            "cwes": [int(one["id"]) for one in cwes if str(one.get("id", "")).isdigit()],
            "categories": list(row.get("categories") or []),
            "catch_all": bool(row.get("catch_all", task_id == _CATCH_ALL)),
            "tags": [str(tag) for tag in row.get("tags") or []],
            "results": dict(row.get("results") or {}),
        }

    def _learn(self) -> None:
        """What the site calls its statuses and phases, once."""
        if not self._statuses:
            self._statuses = {str(row["id"]): row for row in self._wire.rows("task-statuses/")}
            for row in self._wire.rows("phases/"):
                slug = str(row.get("slug", ""))
                self._phases |= {str(row.get("id", "")): slug, str(row.get("name", "")): slug}

    def _phase(self, there: Any) -> str:
        if isinstance(there, dict):
            return str(there.get("slug", ""))
        return self._phases.get(str(there), str(there or ""))

    def _meaning(self, status: str) -> str:
        meaning = str(self._statuses.get(status, {}).get("meaning", ""))
        return meaning if meaning in set(Meaning) else Meaning.TODO.value

    # --- writing --------------------------------------------------------------------------

    def apply(
        self, batch: Sequence[StoredChange], *, resolve: Callable[[StoredChange, Known], StoredChange]
    ) -> list[OutcomeRow]:
        """Make a batch; the outcome of each, in the batch's order.

        ``resolve`` fills in what earlier changes were given; it is told what this batch's were.
        """
        outcomes: dict[int, OutcomeRow] = {}
        known: dict[tuple[str, str], Json] = {}
        who = [row for row in batch if row.kind in people.KINDS]
        outcomes |= {one.sequence: one for one in self.people.apply(who)}
        outcomes |= {one.sequence: one for one in self._left_alone(batch)}
        for row in batch:
            if row.sequence in outcomes:
                continue
            if row.kind == "analysis-session" and row.op is Op.CREATE:
                said = [one for one in batch if one.sequence not in outcomes and writing.is_of(one, row)]
                outcomes |= {one.sequence: one for one in self._whole_analysis(row, said, known)}
            else:
                outcomes[row.sequence] = self._write(row, known, resolve)
        return [outcomes[row.sequence] for row in batch]

    def conflicts(self, batch: Sequence[StoredChange]) -> list[OutcomeRow]:
        """Those of a batch that would be left alone: what they are about isn't as they expect it."""
        who = [row for row in batch if row.kind in people.KINDS]
        return [*self.people.conflicts(who), *self._left_alone(batch)]

    def _left_alone(self, batch: Sequence[StoredChange]) -> Iterator[OutcomeRow]:
        there = self._standing(batch)
        for row in batch:
            differs = writing.differing(there.get(row.key), row)
            if differs is not None:
                yield outcome(row, ChangeState.SKIPPED, f"conflict: {differs}")
            elif row.kind == "analysis-session" and row.op is Op.DELETE:
                yield outcome(row, ChangeState.SKIPPED, _KEEPS)

    def _write(
        self,
        row: StoredChange,
        known: dict[tuple[str, str], Json],
        resolve: Callable[[StoredChange, Known], StoredChange] | None = None,
    ) -> OutcomeRow:
        try:
            assigned = self._make(row if resolve is None else resolve(row, known))
        except (Refused, AccessDenied, ConfigRejected) as error:
            return outcome(row, ChangeState.FAILED, error.message)
        if assigned is None:
            return outcome(row, ChangeState.SKIPPED, _KEEPS)
        known[row.kind, row.key] = assigned
        return outcome(row, ChangeState.DONE, assigned=assigned)

    def _whole_analysis(
        self, row: StoredChange, said: Sequence[StoredChange], known: dict[tuple[str, str], Json]
    ) -> list[OutcomeRow]:
        """Begin an analysis with all that it says, in one request that is done whole or not at all."""
        self._learn()
        after, project = row.after or {}, f"projects/{self.project()['id']}"
        ref = writing.reference(after, self._run)
        found = self._find_session(project, ref)
        if found is not None:
            # An earlier attempt made it; what it had to say goes the ordinary way.
            known[row.kind, row.key] = {"id": found}
            return [outcome(row, ChangeState.DONE, assigned={"id": found})]
        notes = [{**writing.analysis_note(one, self._slugs()), "task": one.key} for one in said]
        for note in notes:
            note.pop("analysis_session", None)
        body = {"analysis_ref": ref, "analysis_type": after["analysis_type"], "notes": notes}
        try:
            found = int(self._wire.send("POST", f"{project}/analysis-sessions/", body)["id"])
        except Refused:
            # One of the notes can't be taken: one by one it is seen which.
            return [self._write(row, known)]
        except AccessDenied as error:
            return [outcome(one, ChangeState.FAILED, error.message) for one in (row, *said)]
        known[row.kind, row.key] = {"id": found}
        return [
            outcome(row, ChangeState.DONE, assigned={"id": found}),
            *(outcome(one, ChangeState.DONE) for one in said),
        ]

    def _make(self, row: StoredChange) -> Json | None:
        """Write one change; what the server gave, or None if it has no way to do this."""
        project = f"projects/{self.project()['id']}"
        match row.kind, row.op:
            case "analysis-session", Op.DELETE:
                return None
            case "analysis-session", _:
                return self._session(project, row)
            case "verification", _:
                return self._verify(project, row)
            case "task", _:
                return self._patch(project, row)
            case "note", Op.DELETE:
                self._forget(project, row.key, (row.before or {})["text"])
                return {}
            case "note", _:
                return self._note(project, row.key, (row.after or {})["text"])
        raise Refused(f"a remote platform has nothing called {row.kind!r}.")

    def _session(self, project: str, row: StoredChange) -> Json:
        after = row.after or {}
        ref = writing.reference(after, self._run)
        found = self._find_session(project, ref)
        if found is None:
            body = {"analysis_ref": ref, "analysis_type": after["analysis_type"]}
            found = int(self._wire.send("POST", f"{project}/analysis-sessions/", body)["id"])
        return {"id": found}

    def _find_session(self, project: str, ref: str) -> int | None:
        for row in self._wire.rows(f"{project}/analysis-sessions/"):
            if row.get("analysis_ref") == ref:
                return int(row["id"])
        return None

    def _verify(self, project: str, row: StoredChange) -> Json:
        self._learn()
        body = writing.analysis_note(row, self._slugs())
        path = f"{project}/tasks/{row.key}/analysis-notes/"
        if self._said(path, body) is None:
            self._wire.send("POST", path, body)
        return {}

    def _said(self, path: str, body: Json) -> Json | None:
        """The note with this text of this analysis, if it is there."""
        if body.get("analysis_session") is None:
            return None
        for note in self._wire.rows(path):
            same = ident_of(note.get("analysis_session")) == body["analysis_session"]
            if same and body["finding_ref"] in {note.get("finding_ref"), note.get("text")}:
                return note
        return None

    def _slugs(self) -> Mapping[str, str]:
        return {ident: str(row.get("slug", "")) for ident, row in self._statuses.items()}

    def _patch(self, project: str, row: StoredChange) -> Json:
        after = dict(row.after or {})
        note = after.pop("note", None)
        self._wire.send("PATCH", f"{project}/tasks/{row.key}/", after)
        if note is not None:
            return self._note(project, row.key, note["text"])
        if "note" in (row.before or {}):
            # A revert: what the run said of the task goes with what it did to it.
            self._forget(project, row.key, (row.before or {})["note"]["text"])
        return {}

    def _forget(self, project: str, key: str, text: str) -> None:
        for ident in self._notes(project, key, text):
            self._wire.send("DELETE", f"{project}/tasks/{key}/notes/{ident}/")

    def _note(self, project: str, key: str, text: str) -> Json:
        if not self._notes(project, key, text):
            body = {"text": text, "automatic": True}
            self._wire.send("POST", f"{project}/tasks/{key}/notes/", body)
        return {}

    def _notes(self, project: str, key: str, text: str) -> list[int]:
        """The numbers of a task's notes with this text."""
        rows = self._wire.rows(f"{project}/tasks/{key}/notes/")
        return [int(row["id"]) for row in rows if row.get("text") == text]

    # --- what is there --------------------------------------------------------------------

    def _standing(self, batch: Sequence[StoredChange]) -> dict[str, Json]:
        """The tasks that a batch is about, as they stand."""
        wanted = {row.key for row in batch if row.kind in {"verification", "task", "note"}}
        if len(wanted) > _SINGLY:
            found = map(self._task, self._listing())
            return {task["id"]: task for task in found if task["id"] in wanted}
        tasks = {}
        for key in sorted(wanted):
            try:
                path = f"projects/{self.project()['id']}/tasks/{key}/"
                tasks[key] = self._task(self._wire.get(path, include=_INCLUDE))
            except Refused:
                continue  # it is gone, and told as such
        return tasks

    def settle(self, rows: Sequence[StoredChange]) -> list[OutcomeRow]:
        """Find out what became of changes that were sent and never answered."""
        who = [row for row in rows if row.kind in people.KINDS]
        outcomes = {one.sequence: one for one in self.people.settle(who)}
        there = self._standing(rows)
        for row in rows:
            if row.sequence not in outcomes:
                outcomes[row.sequence] = self._settled(row, there.get(row.key))
        return [outcomes[row.sequence] for row in rows]

    def _settled(self, row: StoredChange, task: Json | None) -> OutcomeRow:
        project = f"projects/{self.project()['id']}"
        if row.kind == "analysis-session":
            found = self._find_session(project, writing.reference(row.after or {}, self._run))
            if found is not None:
                return outcome(row, ChangeState.DONE, assigned={"id": found})
        elif row.kind == "note":
            made = bool(self._notes(project, row.key, (row.after or row.before or {})["text"]))
            if made is not (row.op is Op.DELETE):
                return outcome(row, ChangeState.DONE, assigned={})
        elif task is not None and writing.agrees(task, row.after):
            return outcome(row, ChangeState.DONE, assigned={})
        return outcome(row, ChangeState.SKIPPED, writing.NOT_MADE)


_KEEPS = "the remote server keeps its analyses; it has no way to remove one"
