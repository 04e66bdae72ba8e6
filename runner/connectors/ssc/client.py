"""SSC's API as far as an import asks it: versions, what was uploaded to them, their issues.

Source: the OpenAPI document of SSC 25.2. Every answer is an envelope with ``data`` and
``count``; a list is asked for by ``start`` and ``limit``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.connectors.ssc.params import SscParams
from runner.errors import BadInput, ConfigRejected, TryLater
from runner.findings.finding import plain
from runner.model.network import Network
from runner.web.client import Client
from runner.web.site import Site
from runner.web.walk import GroundMoved, Page, Walk

NAME = "Fortify SSC"
ROWS_A_PAGE = 500
WALKS = 3
"""How often a walk is begun again when the ground moves under it."""

_ISSUE_FIELDS = (
    "id,issueInstanceId,issueName,friority,fullFileName,primaryLocation,lineNumber,primaryRuleGuid,"
    "primaryTag,suppressed,hidden,removed"
)
_WAITING = frozenset({"PROCESSING", "SCHED_PROCESSING"})
_LOOK_AGAIN = 60.0  # seconds until an upload may have been processed
_MOST_NAMED = 5

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of an application."""

    id: int
    project: str
    name: str
    active: bool

    def __str__(self) -> str:
        return f"{self.project} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """What was uploaded to a version."""

    completed: datetime | None  # the newest scan that was taken up whole
    trouble: str = ""  # why the version doesn't show all that was scanned, as a sentence


class Center:
    """One account's view of an SSC. Use it in a ``with``."""

    def __init__(
        self, params: SscParams, network: Network, *, tell: Callable[[str], None] | None = None
    ) -> None:
        token = params.ssc_authtoken.get_secret_value()
        site = Site(
            name=NAME,
            url=params.url,
            secrets={"Authorization": f"FortifyToken {token}"},
            verify=params.validate_cert,
            ca_bundle=params.ca_bundle,
            proxy=params.proxy,
        )
        self._client = Client(site, network, tell=tell)
        self.place = site.place

    def __enter__(self) -> "Center":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _page(self, path: str, params: Row) -> Page:
        answer = self._client.json("GET", path, params=params)
        rows = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list):
            raise BadInput(f"{self.place} answered {path} without data. Is it the right server?")
        count = answer.get("count")
        return Page(rows, count if isinstance(count, int) and count >= 0 else None)

    def _all(self, path: str, **params: Any) -> list[Row]:
        """All rows of a list, proven whole."""
        for _ in range(WALKS):
            walk = self._walk(path, **params)
            try:
                rows = [row for page in walk.pages() for row in page if isinstance(row, Mapping)]
            except GroundMoved:
                continue
            if walk.shortfall:
                raise BadInput(f"{self.place} did not list all of {path}. {walk.shortfall} Run again.")
            return rows
        raise TryLater(f"{self.place} changes {path} faster than it can be listed. Run again later.")

    def _walk(self, path: str, **params: Any) -> Walk:
        return Walk(
            lambda start, limit: self._page(path, {**params, "start": start, "limit": limit}), ROWS_A_PAGE
        )

    def version(self, params: SscParams) -> Version:
        """The version the connection means; ``ConfigRejected`` names the candidates otherwise."""
        fields = {"fields": "id,name,active,committed,project", "includeInactive": "true"}
        if params.ssc_version_id:
            known = map(_version, self._all("/projectVersions", **fields, q=f"id:{params.ssc_version_id}"))
            fitting = [one for one in known if str(one.id) == params.ssc_version_id]
            what = f"with the id {params.ssc_version_id}"
        else:
            name, project = params.ssc_project_version, params.ssc_project_name
            # A quote can't be escaped in a query; then all are looked through.
            query = {} if '"' in name else {"q": f'name:"{name}"'}
            known = map(_version, self._all("/projectVersions", **fields, **query))
            all_of_name = [one for one in known if plain(one.name) == plain(name)]
            fitting = _told_apart(all_of_name, name=name, project=project)
            what = f'called "{project}" "{name}"'
            if not fitting and all_of_name:
                projects = ", ".join(sorted({one.project for one in all_of_name})[:_MOST_NAMED])
                what += f"; a version of that name exists in {projects}"
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            ids = ", ".join(str(one.id) for one in fitting[:_MOST_NAMED])
            raise ConfigRejected(f"{len(fitting)} versions at {self.place} fit: {ids}. Set ssc_version_id.")
        raise ConfigRejected(f"{self.place} has no version {what} that this token may see.")

    def uploads(self, version: Version) -> Uploads:
        """The newest upload decides: it is waited for, refused, or taken up."""
        rows = [row for row in self._all(f"/projectVersions/{version.id}/artifacts") if not row.get("purged")]
        dated = sorted(rows, key=lambda row: (_uploaded(row), row.get("id") or 0))
        ends = [_scanned(row) for row in dated if row.get("status") == "PROCESS_COMPLETE"]
        completed = max(filter(None, ends), default=None)
        status = str(dated[-1].get("status", "")) if dated else ""
        if status in _WAITING:
            raise TryLater(
                f"{self.place} still processes the newest upload to {version}. The run is tried again.",
                retry_after=_LOOK_AGAIN,
            )
        if status == "REQUIRE_AUTH":
            raise ConfigRejected(
                f"The newest upload to {version} waits for approval at {self.place}. Approve it there, and "
                "run again."
            )
        trouble = ""
        if status not in ("", "PROCESS_COMPLETE"):
            trouble = (
                f"The newest upload to it was not taken up by SSC (it is {status}); upload it again there."
            )
        return Uploads(completed=completed, trouble=trouble)

    def issues(self, version: Version) -> Walk:
        """A walk over all issues, those that people decided against among them."""
        return self._walk(
            f"/projectVersions/{version.id}/issues",
            fields=_ISSUE_FIELDS,
            showsuppressed="true",
            showhidden="true",
            showremoved="false",
        )


def _version(row: Row) -> Version:
    project = row.get("project")
    return Version(
        id=int(row.get("id") or 0),
        project=str(project.get("name", "")) if isinstance(project, Mapping) else "",
        name=str(row.get("name", "")),
        active=row.get("active") is not False and row.get("committed") is not False,
    )


def _told_apart(known: list[Version], *, name: str, project: str) -> list[Version]:
    """Those of these very names, else those that differ in case and white space only."""
    return [one for one in known if (one.name, one.project) == (name, project)] or [
        one for one in known if plain(one.project) == plain(project)
    ]


def _uploaded(row: Row) -> datetime:
    return _instant(row.get("uploadDate")) or datetime.min.replace(tzinfo=UTC)


def _scanned(row: Row) -> datetime | None:
    return _instant(row.get("lastScanDate")) or _instant(row.get("uploadDate"))


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if instant is None:
        return None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
