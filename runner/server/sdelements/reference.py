"""Fixed lists: task statuses, verification statuses, phases, and the systems there are."""

from starlette.requests import Request
from starlette.responses import Response

from runner.engine.catalogue import System
from runner.model.jobs import Kind
from runner.model.platform import Meaning, Verification
from runner.server.fields import Query
from runner.server.replies import reply
from runner.server.sdelements.shapes import Shown
from runner.server.unit import reading, systems_of
from runner.store.accounts import Scope

STATUSES: dict[str, Shown] = {
    ident: {"id": ident, "meaning": meaning.value, "slug": meaning.value, "name": name, "icon": icon}
    for ident, meaning, name, icon in (
        ("TS1", Meaning.DONE, "Complete", "check"),
        ("TS2", Meaning.TODO, "Incomplete", "clock-o"),
        ("TS3", Meaning.NA, "Not Applicable", "minus-circle"),
    )
}
"""The task statuses by id."""

PHASES: dict[str, Shown] = {
    slug: {"id": f"X{number}", "name": name, "slug": slug, "ordinal": number, "active": True}
    for number, (slug, name) in enumerate(
        (
            ("requirements", "Requirements"),
            ("architecture-design", "Architecture & Design"),
            ("development", "Development"),
            ("testing", "Testing"),
        ),
        start=1,
    )
}
"""The phases by slug, in their order."""


def phase_id(slug: str) -> str:
    """A phase's id; one of the site's own is shown by its slug."""
    return str(PHASES[slug]["id"]) if slug in PHASES else slug


def phase_slug(named: str) -> str:
    """A phase's slug, whether it is named by id or slug."""
    return next((slug for slug, phase in PHASES.items() if phase["id"] == named), named)


async def tell(request: Request, entries: list[Shown]) -> Response:
    """Tell whoever may read what needs no look into the store."""
    await reading(request, lambda _c, _caller: None, Scope.READ)
    return reply({"results": entries})


async def list_task_statuses(request: Request) -> Response:
    """Tell the task statuses, perhaps those of one meaning."""
    meaning = Query(request).text("meaning")
    return await tell(
        request, [status for status in STATUSES.values() if meaning in (None, status["meaning"])]
    )


async def list_verification_statuses(request: Request) -> Response:
    """Tell what scanners may say of a task."""
    return await tell(
        request, [{"id": one.value, "slug": one.value, "name": one.value.title()} for one in Verification]
    )


async def list_phases(request: Request) -> Response:
    """Tell the phases, perhaps the one of a name or slug."""
    query = Query(request)
    wanted = {"name": query.text("name"), "slug": query.text("slug")}
    return await tell(
        request,
        [
            phase
            for phase in PHASES.values()
            if all(value in (None, phase[name]) for name, value in wanted.items())
        ],
    )


async def list_systems(request: Request) -> Response:
    """Tell the systems there are connectors for, those that are broken with why."""
    query = Query(request)
    kind = query.choice("kind", Kind)
    query.done()
    shown = [
        {**heading(system), "secrets": list(system.secrets), "params": system.schema}
        for system in (await systems_of(request)).values()
        if kind in (None, system.kind)
    ]
    return await tell(request, shown)


def heading(system: System) -> Shown:
    """What a connector is, whatever else is told of it."""
    return {
        "id": system.id,
        "kind": system.kind.value,
        "name": system.name,
        "short_name": system.short_name,
        "command": system.command,
        "is_file_upload": system.file_upload,
        "broken": system.broken,
    }
