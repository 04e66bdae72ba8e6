"""The plan of a run: both sides read whole, then what is to be written.

Order: tags, new items, taken-over and changed items, task statuses, notes, and items closed
because their task left the scope. So batches stay large, and a note follows its item.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runner.connectors.rally import policy, text
from runner.connectors.rally.client import Rally, Rejected
from runner.connectors.rally.items import Item, Items
from runner.connectors.rally.params import RallyParams
from runner.connectors.rally.places import KEY, Places, find, find_tags, to_memory
from runner.connectors.rally.policy import Rules, Verdict
from runner.connectors.rally.scope import creates, in_scope, wanted_only
from runner.errors import ConfigRejected
from runner.model.changes import Assigned, Change, Complete, Op, Target, constructive, destructive
from runner.model.platform import Meaning, Project, Task
from runner.ports import Context, Link

_DONE, _TODO = "TS1", "TS2"
_NAMED = 3  # of those that are left out or lost


@dataclass(slots=True)
class Known:
    """What both sides have, read whole."""

    project: Project
    tasks: list[Task]
    proof: Complete
    links: dict[str, Link]  # of items of this place, by task
    noted: dict[str, int]  # run that wrote the item's note, by task
    items: dict[str, Item] = field(default_factory=dict)  # by reference
    binned: set[str] = field(default_factory=set)  # formatted ids
    named: dict[str, list[Item]] = field(default_factory=dict)


def read(ctx: Context, rally: Rally, places: Places) -> Known:
    """Read the platform and Rally."""
    params: RallyParams = ctx.params
    project, tasks = ctx.platform.project(), list(ctx.platform.tasks())
    links = {
        text.task_of(link.key): link
        for link in ctx.links("item")
        if link.values.get("ref")
        and link.values.get("at") == rally.url
        # Items of a project that the connection was set to before are none of its business now.
        and link.values.get("home") == places.project
    }
    proof = ctx.reading("the project's tasks", target_size=len(links)).complete(len(tasks))
    known = Known(project, tasks, proof, links, {link.key: link.job for link in ctx.links("note")})
    items = Items(rally, params, places)
    ctx.progress("reading Rally's items")
    known.items = items.tagged()
    refs = {str(link.values["ref"]) for link in links.values()}
    strays = refs - known.items.keys()
    if strays:
        known.items |= items.by_ref(strays)
        lost = [str(link.values["id"]) for link in links.values() if link.values["ref"] not in known.items]
        known.binned = items.binned(lost) if lost else set()
    names = _to_look_up(ctx, known)
    if names:
        known.named = items.named(names)
    ctx.reading("Rally's items").complete(len(known.items))
    return known


def _to_look_up(ctx: Context, known: Known) -> list[str]:
    """Names of items that may be there without our knowing: before any is made, Rally is asked."""
    params: RallyParams = ctx.params
    there = {text.plain(item.name) for item in known.items.values()}
    return [
        name
        for task in known.tasks
        if task.id not in known.links and in_scope(task, params) and wanted_only(task, ctx.job.only)
        for name in [text.name_of(task, params, known.project)]
        if creates(task, params) or name in there
    ]


class Planner:
    """Decides task by task what is to be written."""

    def __init__(self, ctx: Context, rally: Rally, places: Places, known: Known) -> None:
        self._ctx = ctx
        self._params: RallyParams = ctx.params
        self._rally = rally
        self._places = places
        self._known = known
        self._states = self._params.states
        self._rules = Rules(policy=self._params.conflict_policy, overwrite_na=self._params.alm_overwrite_na)
        self._taken = {str(link.values["ref"]) for link in known.links.values()}
        self._new: list[Task] = []
        self._item_changes: list[Change] = []
        self._task_changes: list[Change] = []
        self._notes: list[Change] = []
        self._closing: list[Change] = []
        self._unchanged = self._moved = self._accepted = 0
        self._lost: list[str] = []
        self._doubtful: list[str] = []

    def plan(self) -> Iterator[Change]:
        """All changes, in the order in which they are made."""
        tasks = {task.id: task for task in self._known.tasks}
        for task in self._known.tasks:
            if in_scope(task, self._params) and wanted_only(task, self._ctx.job.only):
                self._decide(task)
        for key, link in self._known.links.items():
            gone = tasks.get(key)
            if gone is None or not in_scope(gone, self._params):
                self._left(key, link, gone)
        yield from self._tags()
        for task in self._new:
            yield self._creation(task)
        yield from self._item_changes
        yield from self._task_changes
        yield from self._notes
        yield from self._closing
        self._tell()

    # --- one task ------------------------------------------------------------------------

    def _decide(self, task: Task) -> None:
        link = self._known.links.get(task.id)
        if link is None:
            self._unlinked(task)
            return
        item = self._known.items.get(str(link.values["ref"]))
        if item is None:
            self._lost_item(task, link)
            return
        if self._known.noted.get(task.id, 0) < link.job and link.values.get("fresh"):
            self._note(task, str(link.values.get("note", "")))  # an earlier run died before it
        if item.project != self._places.project:
            self._moved += 1
        self._sync(task, item, link)

    def _unlinked(self, task: Task) -> None:
        mine = text.owner_of(task, self._known.project)
        name = text.name_of(task, self._params, self._known.project)
        candidates = [item for item in self._known.named.get(name, []) if item.ref not in self._taken]
        own = [item for item in candidates if item.owner == mine]
        nobodys = [item for item in candidates if item.owner is None]
        if not own and len(nobodys) > 1:
            self._doubtful.append(f"{task.task_id}: {' and '.join(item.id for item in nobodys[:3])}")
            return
        found = next(iter(own or nobodys), None)
        if found is not None:
            self._taken.add(found.ref)
            self._take_over(task, found)
        elif creates(task, self._params):
            self._new.append(task)
            self._note(task, Assigned("item", text.item_key(task.id), "note"))

    def _take_over(self, task: Task, item: Item) -> None:
        place, told = len(self._item_changes), len(self._task_changes)
        self._sync(task, item, None)
        # A status that Rally decides leaves a note with the link already.
        fresh = len(self._task_changes) == told
        before = {"ref": item.ref, "linked": False}
        after = {"ref": item.ref, "linked": True, "fresh": fresh}
        self._item_changes.insert(
            place, self._on_item(Op.UPDATE, task, before, after, why=f"{item.id} has its name already")
        )
        if fresh:
            self._note(task, Assigned("item", text.item_key(task.id), "note"))

    def _sync(self, task: Task, item: Item, link: Link | None) -> None:
        if not self._params.alm_standard_workflow:
            self._unchanged += 1
            return
        done = item.state in self._states.done
        if link is not None and link.values.get("closed"):
            self._returned(task, item, done=done)
            return
        verdict = policy.judge(
            self._rules,
            meaning=task.meaning,
            task_changed=_instant(task.status_updated or task.updated),
            item_done=done,
            item_changed=item.changed,
        )
        match verdict:
            case Verdict.AGREE:
                self._unchanged += 1
            case Verdict.ACCEPTED:
                self._accepted += 1
            case Verdict.CLOSE_ITEM | Verdict.OPEN_ITEM:
                self._set_item(Op.UPDATE, task, item, done=verdict is Verdict.CLOSE_ITEM)
            case Verdict.TASK_DONE | Verdict.TASK_TODO:
                self._set_task(task, item, done=verdict is Verdict.TASK_DONE)

    def _returned(self, task: Task, item: Item, *, done: bool) -> None:
        """A task that is in scope again: we closed its item, so that it is done says nothing."""
        if done and task.meaning is Meaning.TODO:
            self._set_item(Op.REOPEN, task, item, done=False)
        else:
            self._set_item(Op.REOPEN, task, item, done=done)

    def _set_item(self, op: Op, task: Task, item: Item, *, done: bool) -> None:
        state = item.state if op is Op.REOPEN and done else self._states.done[0] if done else self._states.new
        before, after = {"ref": item.ref, "state": item.state}, {"ref": item.ref, "state": state}
        self._item_changes.append(self._on_item(op, task, before, after))

    def _set_task(self, task: Task, item: Item, *, done: bool) -> None:
        note = f"{item.id} in Rally is {item.state}, so this task is {'done' if done else 'to do'}."
        changed = "" if item.changed is None else f" ({item.changed:%Y-%m-%d %H:%M:%S} UTC)"
        self._task_changes.append(
            constructive(
                Op.UPDATE,
                kind="task",
                key=task.id,
                subject=task.task_id,
                before={"status": task.status},
                after={
                    "status": _DONE if done else _TODO,
                    "note": {"text": f"{note} {item_url(self._rally, self._places, self._params, item.ref)}"},
                },
                why=f"{item.id} is {item.state}{changed}",
            )
        )

    def _lost_item(self, task: Task, link: Link) -> None:
        ident = str(link.values["id"])
        if self._params.rally_recreate_deleted and creates(task, self._params):
            self._new.append(task)
            self._note(task, Assigned("item", text.item_key(task.id), "note"))
            return
        where = "in the recycle bin" if ident in self._known.binned else "deleted or out of sight"
        self._lost.append(f"{task.task_id}: {ident} is {where}")

    def _left(self, key: str, link: Link, task: Task | None) -> None:
        item = self._known.items.get(str(link.values["ref"]))
        subject = key.partition("-")[2] if task is None else task.task_id
        if not self._params.alm_close_removed or item is None or item.state in self._states.done:
            return
        if self._ctx.job.only not in (None, key, subject):
            return
        self._closing.append(
            destructive(
                Op.CLOSE,
                target=Target.OUTSIDE,
                kind="item",
                key=text.item_key(key),
                subject=subject,
                before={"ref": item.ref, "state": item.state},
                after={"ref": item.ref, "state": self._states.done[0]},
                proof=self._known.proof,
                why="its task left the scope",
            )
        )

    # --- changes -------------------------------------------------------------------------

    def _on_item(
        self, op: Op, task: Task, before: Mapping[str, Any], after: Mapping[str, Any], *, why: str = ""
    ) -> Change:
        return constructive(
            op,
            target=Target.OUTSIDE,
            kind="item",
            key=text.item_key(task.id),
            subject=task.task_id,
            before=before,
            after=after,
            why=why,
        )

    def _creation(self, task: Task) -> Change:
        """A new item; its text is made now, so that a long plan needs no more room than a short one."""
        params, project = self._params, self._known.project
        state = self._states.new if task.meaning is Meaning.TODO else self._states.done[0]
        after: dict[str, Any] = {
            "name": text.name_of(task, params, project),
            "description": text.description_of(task, project),
            "state": state,
            "tags": sorted({params.alm_issue_label, *task.tags}),
            "project": self._places.project,
        }
        if self._places.has_priority:
            after["priority"] = params.alm_priority_map.get(task.priority)
        if params.alm_custom_fields:
            after["fields"] = dict(text.custom_fields(params, project))
        return constructive(
            Op.CREATE,
            target=Target.OUTSIDE,
            kind="item",
            key=text.item_key(task.id),
            subject=task.task_id,
            after=after,
        )

    def _note(self, task: Task, words: str | Assigned) -> None:
        self._notes.append(
            constructive(Op.CREATE, kind="note", key=task.id, subject=task.task_id, after={"text": words})
        )

    def _tags(self) -> Iterator[Change]:
        wanted = {tag for task in self._new for tag in (self._params.alm_issue_label, *task.tags)}
        known = self._places.tags
        missing = wanted - known.keys()
        if missing:
            known |= find_tags(self._rally, self._places.workspace, missing)
        for name in sorted(wanted - known.keys()):
            yield constructive(
                Op.CREATE, target=Target.OUTSIDE, kind="tag", key=name, subject=name, after={"name": name}
            )
        self._ctx.remember(KEY, to_memory(self._places))

    # --- what is said --------------------------------------------------------------------

    def _tell(self) -> None:
        ctx = self._ctx
        ctx.count("unchanged", self._unchanged)
        if self._unchanged:
            ctx.say(f"{self._unchanged} in step already.")
        if self._moved:
            ctx.say(f"{self._moved} were moved to another Rally project and are kept in step there.")
        if self._accepted:
            ctx.say(
                f"{self._accepted} stay Not Applicable though their items are open: an accepted risk is not "
                "taken back (alm_overwrite_na)."
            )
        if self._lost:
            ctx.say(
                f"{len(self._lost)} have lost their items: {_first(self._lost)}. Restore them in Rally, or "
                "set rally_recreate_deleted."
            )
        if self._doubtful:
            ctx.say(
                f"{len(self._doubtful)} were left out, for several items have their name and none says whose "
                f"it is: {_first(self._doubtful)}. Rename or delete the wrong ones."
            )


def _first(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return "; ".join(texts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _instant(iso: str) -> datetime | None:
    if not iso:
        return None
    found = datetime.fromisoformat(iso)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_PAGES = {"HierarchicalRequirement": "userstory", "Task": "task", "Defect": "defect"}


def item_url(rally: Rally, places: Places, params: RallyParams, ref: str) -> str:
    """Where people look at an item."""
    page = _PAGES[params.states.type_name]
    return f"{rally.url}/#/{places.project_id}d/detail/{page}/{ref.rpartition('/')[2]}"


def places_of(rally: Rally, params: RallyParams, remembered: Places | None) -> Places:
    """Where the items are; what is remembered holds as long as Rally takes it."""
    if remembered is not None:
        return remembered
    try:
        return find(rally, params)
    except Rejected as error:
        raise ConfigRejected(f"Rally can't be read as the connection says: {error}.") from error
