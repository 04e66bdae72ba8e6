"""What a body says of a collection of datasync jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from runner.server.fields import integer
from runner.server.groupid import documents, jobs
from runner.server.replies import Invalid
from runner.store.connections import Entry
from runner.store.vault import Vault

INFO = "jobCollectionInfo"
_LARGEST = 100  # jobs of a collection
_SERVER_OWNED = ("id", "jobCollectionGuid", "totalJobs", "timesRun", "lastRunDate", "lastOutCome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One job of a body: what to store, and where it stands."""

    connection_id: int | None  # the collection's own one that it is; None = a new one
    alias: str
    params: dict[str, Any]
    aborts: bool
    enabled: bool


def info_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a body says of the collection itself; ``Invalid`` if it lacks that, or a name."""
    info = body.get(INFO)
    if not isinstance(info, Mapping):
        raise Invalid({INFO: ["This field is required."]})
    if not str(info.get("name") or "").strip():
        raise Invalid({f"{INFO}.name": ["This field may not be blank."]})
    return info


def _documents(
    body: Mapping[str, Any], info: Mapping[str, Any]
) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The body's jobs in the order of their runOrder: what the collection says of each, and its document."""
    given, infos = body.get("jobs") or [], info.get("jobs") or []
    for name, value in (("jobs", given), (f"{INFO}.jobs", infos)):
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise Invalid({name: ["Not a valid list of objects."]})
    found = [dict(each) for each in given] or [{"jobInfo": each} for each in infos]
    if not 0 < len(found) <= _LARGEST:
        raise Invalid({"jobs": [f"A collection has between 1 and {_LARGEST} jobs."]})
    if not all(isinstance(each.get("jobInfo"), Mapping) for each in found):
        raise Invalid({"jobs": ["jobInfo: This field is required."]})
    told = {_called(each): each for each in infos}
    # What the collection says of its job comes before what the job says of itself.
    pairs = [({**each["jobInfo"], **told.get(_called(each["jobInfo"]), {})}, each) for each in found]
    return sorted(pairs, key=lambda pair: _number(pair[0], "runOrder"))


def _called(info: Mapping[str, Any]) -> tuple[int, str]:
    return _number(info, "jobId"), str(info.get("name") or "").casefold()


def _number(info: Mapping[str, Any], name: str) -> int:
    return integer(info.get(name) or 0, f"jobInfo.{name}")


def members_of(
    c: sa.Connection, body: Mapping[str, Any], own: Mapping[int, Entry], vault: Vault
) -> list[Member]:
    """A body's jobs in their order, read strictly; ``own`` are those that the collection has by now."""
    found = [_member(c, info, document, own, vault) for info, document in _documents(body, info_of(body))]
    kept = [member.connection_id for member in found if member.connection_id is not None]
    twice = next((number for number in kept if kept.count(number) > 1), None)
    if twice is not None:
        raise Invalid({"jobs": [f"Job {twice} stands twice; a further one has the jobId 0."]})
    return found


def _member(
    c: sa.Connection,
    info: Mapping[str, Any],
    document: dict[str, Any],
    own: Mapping[int, Entry],
    vault: Vault,
) -> Member:
    """What a document of a body means: one of the collection's own, a copy of another, or a new one."""
    number = _number(info, "jobId")
    there = own.get(number) or (jobs.find_or_none(c, number) if number else None)
    if number and there is None:
        raise Invalid({"jobs": [f"There is no job {number}; a new one has the jobId 0."]})
    stored = {} if there is None else there.connection.params
    if document.keys() <= {"jobInfo"}:
        if there is None:
            raise Invalid({"jobs": [f"{info.get('name')} has neither a document nor the jobId of a job."]})
        document = documents.document_of(stored)
    return Member(
        connection_id=number if number in own else None,
        alias=documents.columns(document)["alias"],
        params=documents.prepared(document, stored, vault),
        aborts=str(info.get("onFailure") or "Abort").strip().lower() != "continue",
        enabled=info.get("isEnable") is not False,
    )


def rest_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body but for its jobs, and what the server says itself."""
    info = {
        name: value for name, value in info_of(body).items() if name != "jobs" and name not in _SERVER_OWNED
    }
    return {name: value for name, value in body.items() if name != "jobs"} | {INFO: info}
