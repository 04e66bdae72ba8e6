"""Claims by agents (an extension): ``POST /jobs/claim/``, heartbeat, give-back, result.

An agent is a daemon elsewhere that reaches systems this server doesn't. It takes jobs of
connections that are ``inaccessible``, and holds each by its number of ``attempt``: who was
silent for longer than the lease finds that the number isn't good any more (409).

An agent that names itself (``agent``) may say which jobs it knows of (``holding``). What it
holds besides is handed to it again: it died, or an answer was lost, before it had noted them.
"""

from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from runner.errors import Reason
from runner.log import redactor
from runner.model.jobs import Claim, Job, Kind, Outcome
from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.replies import conflict, reply
from runner.server.sdelements import jobs, shapes
from runner.server.sdelements.shapes import JobStyle, Shown
from runner.server.services import services_of
from runner.server.unit import systems_of, writing
from runner.store import claims
from runner.store import listing as store
from runner.store.accounts import Scope
from runner.store.rescue import AGENT

MOST = 50  # jobs in one claim
SHORTEST, LONGEST, USUAL = 10, 3600, 60  # seconds of a lease
_LONGEST_NAME = 64  # characters of an agent's name

_MORE = frozenset({"kind", "uuid", "only", "state", "attempt", "cancel_requested", "created"})


def add_routes(router: Router, root: str) -> None:
    """Add the addresses that agents use below ``root``."""
    post = partial(add, router, "POST")
    one = f"{root}/jobs/{{kind:kind}}/{{job_id:number}}/"
    also = (409, 413, 415)
    post(
        f"{root}/jobs/claim/",
        claim,
        Op(summary="Take jobs to run elsewhere", body="NewClaim", answer="Claims", also=also, extension=True),
    )
    post(
        f"{one}heartbeat/",
        heartbeat,
        Op(summary="Hold a job for longer", body="Heartbeat", answer="Held", also=also, extension=True),
    )
    post(
        f"{one}give-back/",
        give_back,
        Op(summary="Give a job back unrun", body="Attempt", answer="Job", also=also, extension=True),
    )
    add(
        router,
        "PATCH",
        one,
        finish,
        Op(summary="Tell how a held job ended", body="AgentResult", answer="Job", also=also, extension=True),
    )


class _Asked(NamedTuple):
    """What a claim asks for."""

    kinds: list[str]
    systems: list[str]
    limit: int
    lease: timedelta
    agent: str | None
    holding: list[int]
    skip: list[int]  # connections


def _read(values: dict[str, Any]) -> _Asked:
    fields = Fields(values)
    kinds = fields.texts("kinds", of=[kind.value for kind in Kind])
    systems = fields.texts("systems")
    limit = fields.integer("limit", least=1, most=MOST)
    lease = fields.integer("lease", least=SHORTEST, most=LONGEST)
    agent, holding, skip = _name(fields), fields.integers("holding"), fields.integers("skip")
    fields.done()
    return _Asked(
        kinds=[kind.value for kind in Kind] if kinds is None else kinds,
        systems=systems or [],
        limit=limit or 1,
        lease=timedelta(seconds=lease or USUAL),
        agent=agent,
        holding=holding or [],
        skip=skip or [],
    )


def _name(fields: Fields) -> str | None:
    return fields.text("agent", null=True, blank=False, longest=_LONGEST_NAME)


def _owner(caller: Caller, agent: str | None) -> str:
    """How a held job names its agent: by what it calls itself, whatever token its user has by now.

    One without a name is known by the token, which each agent has for itself.
    """
    if agent is None:
        return f"{AGENT}{caller.token_id or 0}"
    return f"{AGENT}{caller.user_id or 0} {agent}"


async def claim(request: Request) -> Response:
    """Take up to ``limit`` jobs that wait for an agent; none = an empty list."""
    body, systems, services = await read_body(request), await systems_of(request), services_of(request)
    now = services.clock()
    frozen = services.settings.scheduler.timetable().frozen_until(now) is not None

    def work(c: sa.Connection, caller: Caller) -> Shown:
        asked = _read(body.object())
        owner = _owner(caller, asked.agent)
        taken: list[Claim] = []
        if asked.agent is not None:
            taken += claims.claimed_before(
                c, owner=owner, known=asked.holding, now=now, limit=MOST, lease=asked.lease
            )
        taken += claims.claim_for_agent(
            c,
            owner=owner,
            kinds=asked.kinds,
            systems=asked.systems,
            skip=asked.skip,
            now=now,
            limit=max(0, asked.limit - len(taken)),
            lease=asked.lease,
            frozen=frozen,
        )
        until = claims.lease_until(c, [one.job.id for one in taken])
        style = JobStyle(systems, caller, _MORE)
        return {"results": [_taken(c, one, style, until[one.job.id]) for one in taken]}

    return reply(await writing(request, work, Scope.AGENT))


def _taken(c: sa.Connection, taken: Claim, style: JobStyle, until: int) -> Shown:
    view = store.one(c, taken.job.id)
    assert view is not None  # it was read in this transaction
    shown = shapes.job(view, style)
    return {
        **shown,
        "system": taken.connection.system,
        "project": taken.project,
        "memory": taken.memory,
        "lease_until": shapes.micros(until),
    }


def _named(c: sa.Connection, request: Request, fields: Fields) -> store.JobView:
    """The job a path names; an agent that says which run it means is told if it is another by now."""
    uuid = fields.text("uuid", null=True)
    fields.done()
    view = jobs.find(c, request, previews=False)
    if uuid is not None and uuid != view.uuid:
        raise conflict("This number is another job's now.")
    return view


def _held(c: sa.Connection, caller: Caller, request: Request, fields: Fields) -> Job:
    """The job a path names, which the caller must hold by the attempt that the body names."""
    attempt, agent = fields.integer("attempt", required=True, least=1, most=2**31 - 1), _name(fields)
    view = _named(c, request, fields)
    job = claims.held(c, job_id=view.id, owner=_owner(caller, agent), attempt=attempt or 0)
    if job is None:
        raise conflict("This job isn't held by you any more: it ended, or the lease ran out.")
    return job


async def heartbeat(request: Request) -> Response:
    """Hold a job for longer; the answer tells whether it was cancelled meanwhile."""
    body = await read_body(request)

    def work(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        lease = fields.integer("lease", least=SHORTEST, most=LONGEST)
        progress = fields.text("progress", null=True, longest=500)
        job = _held(c, caller, request, fields)
        text = None if progress is None else redactor.clean(progress)
        claims.extend(c, job=job, lease=timedelta(seconds=lease or USUAL), text=text)
        until = claims.lease_until(c, [job.id])[job.id]
        return {
            "id": job.id,
            "attempt": job.attempt,
            "lease_until": shapes.micros(until),
            "cancel_requested": job.cancel_requested,
        }

    return reply(await writing(request, work, Scope.AGENT))


async def give_back(request: Request) -> Response:
    """Let another agent take a held job; one that was cancelled ends."""
    body, systems, now = await read_body(request), await systems_of(request), services_of(request).clock()

    def work(c: sa.Connection, caller: Caller) -> Shown:
        job = _held(c, caller, request, Fields(body.object()))
        claims.hand_back(c, job=job, now=now)
        return _shown(c, job.id, JobStyle(systems, caller, _MORE))

    return reply(await writing(request, work, Scope.AGENT))


def _shown(c: sa.Connection, job_id: int, style: JobStyle) -> Shown:
    view = store.one(c, job_id)
    assert view is not None  # it was read in this transaction
    return shapes.job(view, style)


async def finish(request: Request) -> Response:
    """Record how a held job ended; said again, it is answered as the first time."""
    body, systems, services = await read_body(request), await systems_of(request), services_of(request)
    now = services.clock()

    def work(c: sa.Connection, caller: Caller) -> Shown:
        fields = Fields(body.object())
        succeeded = fields.boolean("succeeded", required=True)
        message = fields.text("result_message", required=True)
        reason = fields.choice("reason", Reason) if body.object().get("reason") is not None else None
        totals = fields.mapping("totals") or {}
        memory = fields.mapping("memory")
        if any(isinstance(value, bool) or not isinstance(value, int) for value in totals.values()):
            fields.wrong("totals", "Expected whole numbers by name.")
        if succeeded and reason is not None:
            fields.wrong("reason", "What succeeded has none.")
        told = redactor.clean(message or "")
        again = _told_before(c, caller, request, fields, succeeded=bool(succeeded), message=told)
        if again is not None:
            return _shown(c, again, JobStyle(systems, caller, _MORE))
        job = _held(c, caller, request, fields)
        outcome = Outcome.SUCCEEDED if succeeded else Outcome.FAILED
        if reason is Reason.CANCELLED:
            outcome = Outcome.CANCELLED
        claims.finish(
            c,
            job=job,
            outcome=outcome,
            reason=reason or (None if succeeded else Reason.INTERNAL),
            message=told,
            totals=totals,
            now=now,
            memory=memory,
        )
        return _shown(c, job.id, JobStyle(systems, caller, _MORE))

    shown = await writing(request, work, Scope.AGENT)
    services.engine.wake()
    return reply(shown)


def _told_before(
    c: sa.Connection, caller: Caller, request: Request, fields: Fields, *, succeeded: bool, message: str
) -> int | None:
    """The job's id if this agent has told this very result already: its answer got lost."""
    attempt, agent = fields.integer("attempt", required=True, least=1, most=2**31 - 1), _name(fields)
    view = _named(c, request, fields)
    ended = claims.ended_by(c, job_id=view.id, owner=_owner(caller, agent), attempt=attempt or 0)
    same = ended and (view.outcome == Outcome.SUCCEEDED) == succeeded and view.result_message == message
    return view.id if same else None
