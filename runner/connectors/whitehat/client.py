"""WhiteHat's API as far as an import asks it: who we are, assets, their scans, their findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.connectors.whitehat.params import AssetType, WhiteHatParams
from runner.errors import BadInput, TryLater
from runner.model.network import Network
from runner.web.answers import BUSY
from runner.web.client import Client, Patience
from runner.web.site import Site
from runner.web.walk import GroundMoved, Page, Walk

NAME = "WhiteHat"

# Past 3000 requests in ten seconds the service answers 500 until they are over.
PATIENCE = Patience(attempts=7, first_pause=0.5, busy=BUSY | {500})

FINDINGS_A_PAGE = 1000
RECORDS_A_PAGE = 500
WALKS = 3
"""How often a walk is begun again when the ground moves under it."""

_SHOWN = {"display_attack_vectors": 1, "display_risk": 1, "display_custom_risk": 1}
"""What an answer leaves out by itself and an import needs. Requests and responses stay out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A site or an application."""

    id: str  # as /site/ and /application/ know it
    name: str
    type: str  # "site" or "application"
    status: str  # "active", or "" where it isn't said

    def __str__(self) -> str:
        status = "" if self.status in ("", "active") else f", {self.status}"
        return f"{self.type} {self.id}{status}"


class Sentinel:
    """One account's view of the service. Use it in a ``with``."""

    def __init__(
        self, params: WhiteHatParams, network: Network, *, tell: Callable[[str], None] | None = None
    ) -> None:
        site = Site(
            name=NAME,
            url=params.url,
            secrets={"Key": params.analysis_api_token.get_secret_value()},
            verify=params.validate_cert,
            ca_bundle=params.ca_bundle,
            proxy=params.proxy,
        )
        self._client = Client(site, network, patience=PATIENCE, tell=tell)
        self.place = site.place

    def __enter__(self) -> "Sentinel":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        answer = self._client.json("GET", path, params=params)
        if not isinstance(answer, Mapping):
            raise BadInput(f"{self.place} answered {path} with something that isn't an object of JSON.")
        return answer

    def whoami(self) -> str:
        """The account's name."""
        return str(self._get("/whoami").get("username", ""))

    def assets(self) -> list[Asset]:
        """All that the account may see."""
        return [_asset(row) for row in self._all("/assets", "its assets")]

    def _all(self, path: str, what: str) -> list[Mapping[str, Any]]:
        """All records of a v2 list, proven whole."""

        def fetch(offset: int, limit: int) -> Page:
            answer = self._get(path, {"limit": limit, "offset": offset})
            return Page(self._rows(answer, what), _total(answer, "filteredCount", "totalCount"))

        for _ in range(WALKS):
            walk = Walk(fetch, RECORDS_A_PAGE)
            try:
                found = [row for rows in walk.pages() for row in rows if isinstance(row, Mapping)]
            except GroundMoved:
                continue
            if walk.shortfall:
                raise BadInput(f"{self.place} did not list all of {what}. {walk.shortfall} Run again.")
            return found
        raise TryLater(f"{self.place} changes {what} faster than they can be listed. Run again later.")

    def findings(self, asset: Asset, statuses: Sequence[str]) -> Walk:
        """A walk over the asset's findings."""
        wanted = {f"query_{asset.type}": asset.id, "query_status": ",".join(statuses)}

        def fetch(offset: int, limit: int) -> Page:
            page = {"page:limit": limit, "page:offset": offset, "page:order_by": "id"}
            answer = self._get("/vuln", {**wanted, **_SHOWN, **page})
            return Page(self._rows(answer, "its findings"), _total(answer, "total"))

        return Walk(fetch, FINDINGS_A_PAGE)

    def last_scan(self, asset: Asset) -> datetime | None:
        """When the newest scan ended that completed; None if there was none."""
        if asset.type == AssetType.SITE:
            rows = self._rows(self._get(f"/site/{asset.id}/last_completed_scans"), "its scans")
            ends = [_instant(row.get("end_date")) for row in rows if isinstance(row, Mapping)]
        else:
            scans = self._all(f"/sourceApplications/{asset.id}/scans", "its scans")
            ends = [_instant(row.get("completedOn")) for row in scans if row.get("status") == "completed"]
        return max(filter(None, ends), default=None)

    def _rows(self, answer: Mapping[str, Any], what: str) -> Sequence[Any]:
        rows = answer.get("collection")
        if not isinstance(rows, list):
            raise BadInput(
                f"{self.place} gave no collection where {what} were asked for. Is it the right server?"
            )
        return rows


def _asset(row: Mapping[str, Any]) -> Asset:
    return Asset(
        id=str(row.get("subID", "")),
        name=str(row.get("name", "")),
        type=str(row.get("type", "")),
        status=str(row.get("status") or "").casefold(),
    )


def _total(answer: Mapping[str, Any], *names: str) -> int | None:
    page = answer.get("page")
    for name in names:
        value = page.get(name) if isinstance(page, Mapping) else None
        if isinstance(value, int | str) and str(value).isdigit():
            return int(value)
    return None


def _instant(value: object) -> datetime | None:
    """Seconds since 1970, often as text, or ISO 8601 with an offset."""
    text = str(value or "")
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
