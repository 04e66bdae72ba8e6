"""The system ``rally``: tasks of a project and work items of a Rally project in step."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from runner.connectors.rally.client import Rally, Rejected
from runner.connectors.rally.params import RallyParams
from runner.connectors.rally.places import KEY, Places, find, find_project, find_workspace, recall, to_memory
from runner.connectors.rally.plan import Known, Planner, places_of, read
from runner.connectors.rally.writing import Writer
from runner.errors import ConfigRejected, ConnectorFailure
from runner.model.changes import Change, ChangeOutcome, Op, StoredChange, Values
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo


class RallySync:
    """Keeps tasks and Rally's stories, tasks or defects in step."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ALM, name="Rally", short_name="Rally", command="sync_rally"
    )
    params: ClassVar[type[Params]] = RallyParams
    batch_size: ClassVar[int] = 100
    undo: ClassVar[Mapping[str, Op]] = {"item": Op.DELETE}
    keeps: ClassVar[Sequence[str]] = ("item", "note")

    def __init__(self) -> None:
        self._found: tuple[Context, Places] | None = None  # of the job in hand

    def check(self, ctx: Context) -> Iterable[Step]:
        """Log in, then find workspace, project, and the states of the card type."""
        try:
            with Rally(ctx) as rally:
                user = rally.read("/user", fetch="UserName")
                yield Step(name="log-in", ok=True, message=f"Rally knows us as {user.get('UserName')}.")
                workspace = find_workspace(rally, ctx.params)
                yield Step(name="workspace", ok=True, message=ctx.params.rally_workspace)
                find_project(rally, ctx.params, workspace)
                yield Step(name="project", ok=True, message=ctx.params.alm_project)
                find(rally, ctx.params)
                yield Step(name="settings", ok=True, message="States, fields and parent are there.")
        except ConnectorFailure as error:
            yield Step(name="rally", ok=False, message=error.message)
        except Rejected as error:
            yield Step(name="rally", ok=False, message=f"Rally refuses: {error}.")

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read both sides whole, then tell what differs."""
        with Rally(ctx) as rally:
            remembered = recall(ctx.memory, ctx.params)
            places = places_of(rally, ctx.params, remembered)
            try:
                known = read(ctx, rally, places)
            except (Rejected, ConfigRejected) as error:
                if remembered is None:
                    raise _unreadable(error) from error
                # What was remembered may be gone: look again, once.
                places = places_of(rally, ctx.params, None)
                known = _read_again(ctx, rally, places)
            self._found = (ctx, places)
            ctx.remember(KEY, to_memory(places))
            yield from Planner(ctx, rally, places, known).plan()

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Write a batch."""
        with Rally(ctx) as rally:
            yield from Writer(ctx, rally, self._places(ctx, rally)).write(changes)

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """What is there now."""
        with Rally(ctx) as rally:
            return Writer(ctx, rally, self._places(ctx, rally)).current(kind, keys)

    def _places(self, ctx: Context, rally: Rally) -> Places:
        """What the plan of this run found; without one, as for a revert, it is remembered or found."""
        if self._found is None or self._found[0] is not ctx:
            self._found = (ctx, places_of(rally, ctx.params, recall(ctx.memory, ctx.params)))
        return self._found[1]


def _read_again(ctx: Context, rally: Rally, places: Places) -> Known:
    try:
        return read(ctx, rally, places)
    except Rejected as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> ConnectorFailure:
    if isinstance(error, ConfigRejected):
        return error
    return ConfigRejected(f"Rally can't be read as the connection says: {error}.")
