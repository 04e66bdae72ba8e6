"""What a scan makes of each task, as changes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.errors import ConfigRejected
from runner.findings import note
from runner.findings.mapping import TaskIndex
from runner.findings.note import plural
from runner.findings.params import AnalysisParams
from runner.findings.scan import Scan
from runner.findings.status import Standing, standing, verdict
from runner.findings.tally import Group, digest
from runner.model.changes import Assigned, Change, Complete, Op, constructive, destructive
from runner.model.platform import Meaning, Task, Verification
from runner.ports import Context

SESSION = "analysis-session"
VERIFICATION = "verification"

STATUS_IDS = {Meaning.DONE: "TS1", Meaning.TODO: "TS2"}
"""The statuses that every platform has for a meaning."""


class Verdicts:
    """The change of each task, from its findings and what stands."""

    def __init__(
        self,
        ctx: Context,
        scan: Scan,
        *,
        params: AnalysisParams,
        index: TaskIndex,
        groups: Mapping[str, Sequence[Group]],
        last: Mapping[str, str],
        proof: Complete | None,
    ) -> None:
        self._ctx = ctx
        self._scan = scan
        self._params = params
        self._index = index
        self._groups = groups
        self._last = last
        self._proof = proof
        self.digests = {task: digest(found) for task, found in groups.items()}
        self._key = f"{scan.ref}#{ctx.job.uuid}"

    def session(self) -> Change:
        """The change that creates the analysis session all notes belong to."""
        return constructive(
            Op.CREATE,
            kind=SESSION,
            key=self._key,
            subject=f"{self._scan.name} {self._scan.noun} {self._scan.ref}",
            after={
                "project": self._ctx.platform.project().id,
                "analysis_ref": self._scan.ref,
                "analysis_type": self._scan.scanner,
            },
        )

    def changes(self) -> Iterator[Change]:
        """What changes, the tasks with findings first."""
        tasks = self._tasks()
        yield from filter(None, (self._fail(task) for task in tasks if task.id in self._groups))
        if self._proof is not None:
            proof = self._proof
            yield from filter(
                None, (self._pass(task, proof) for task in tasks if task.id not in self._groups)
            )

    def _tasks(self) -> list[Task]:
        tasks, only = list(self._index.tasks.values()), self._ctx.job.only
        if only is None:
            return tasks
        chosen = [task for task in tasks if only in (task.id, task.task_id)]
        if not chosen:
            raise ConfigRejected(f"There is no task {only} that a scan could speak about. Name one as T21.")
        return chosen

    def _fail(self, task: Task) -> Change | None:
        after = standing(task, self._scan.scanner, Verification.FAIL, self._params.import_behaviour)
        news = self.digests[task.id] != self._last.get(task.id)
        values = self._values(task, after, says=Verification.FAIL)
        if not news and _stands(task, values[1]):
            return None
        number = sum(group.count for group in self._groups[task.id])
        return constructive(
            # Where the task stands at fail already, only its note is new.
            Op.UPDATE if _same_status(*values) else Op.FAIL,
            kind=VERIFICATION,
            key=task.id,
            subject=_subject(task),
            before=values[0],
            after=values[1],
            why=f"{self._scan.name} has {plural(number, 'finding')} for it.",
        )

    def _pass(self, task: Task, proof: Complete) -> Change | None:
        says = verdict(found=False, confidence=self._index.confidence(task.id))
        if says is Verification.NONE:
            return None
        after = standing(task, self._scan.scanner, says, self._params.import_behaviour)
        values = self._values(task, after, says=says)
        if _stands(task, values[1]):
            return None
        return destructive(
            Op.PASS,
            kind=VERIFICATION,
            key=task.id,
            subject=_subject(task),
            before=values[0],
            after=values[1],
            proof=proof,
            why=f"{self._scan.name} found nothing for it.",
        )

    def _values(
        self, task: Task, after: Standing, *, says: Verification
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """``before`` and ``after`` of a task's change."""
        old: dict[str, Any] = {"verification_status": task.verification_status, "results": dict(task.results)}
        new: dict[str, Any] = {"verification_status": after.status, "results": dict(after.results)}
        # The site's own statuses count by what they mean: one that means done is done.
        meaning = self._params.task_status_mapping.get(after.status)
        if meaning is not None and meaning is not task.meaning:
            old["status"], new["status"] = task.status, STATUS_IDS[meaning]
        new["note"] = self._note(task, says)
        return old, new

    def _note(self, task: Task, says: Verification) -> dict[str, Any]:
        groups = self._groups.get(task.id, [])
        return {
            "session": Assigned(SESSION, self._key, "id"),
            "analysis_type": self._scan.scanner,
            "status": says,
            "confidence": self._index.confidence(task.id),
            "behaviour": self._params.import_behaviour,
            "findings": note.findings(groups),
            "text": note.text(
                groups, scanner=self._scan.name, noun=self._scan.noun, ref=self._scan.ref, says=says
            ),
        }


def _stands(task: Task, new: Mapping[str, Any]) -> bool:
    """Whether all that ``new`` would set is so already."""
    return (
        task.verification_status == new["verification_status"]
        and task.results == new["results"]
        and "status" not in new
    )


def _same_status(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return old["verification_status"] == new["verification_status"] and "status" not in new


def _subject(task: Task) -> str:
    return f"{task.task_id}: {task.title}"
