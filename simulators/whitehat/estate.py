"""What the imitated Sentinel holds: assets, their findings and their scans.

An estate is JSON, so that one can be written by hand; what a finding leaves out is absent in
the answers as well, for the original leaves keys out freely.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "00000000000000000000000000000000"
"""The key of an estate that names none."""

SAMPLE = Path(__file__).with_name("estate.json")


@dataclass(kw_only=True)
class Asset:
    """A site or an application. ``number`` is its v2 id, ``sub`` its id as a site or an application."""

    number: int
    sub: int
    name: str
    kind: str  # "site" or "application"
    status: str = "active"
    scans: list[int] = field(default_factory=list)  # ends of completed ones, seconds since 1970
    running: bool = False


@dataclass
class Estate:
    """All of it, behind one lock: whoever changes it holds ``lock``."""

    key: str = KEY
    assets: list[Asset] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def read(cls, file: Path) -> "Estate":
        """Read one from a file."""
        told = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            key=told.get("key", KEY),
            assets=[Asset(**asset) for asset in told["assets"]],
            findings=told["findings"],
        )

    def asset(self, kind: str, sub: int) -> Asset | None:
        """The site or application with this id."""
        return next((one for one in self.assets if one.kind == kind and one.sub == sub), None)

    def of(self, asset: Asset) -> Iterator[dict[str, Any]]:
        """The findings of an asset."""
        return (one for one in self.findings if _belongs(one, asset))

    def add(self, asset: Asset, number: int, sort: str, **fields: Any) -> dict[str, Any]:
        """Add an open finding of a sort ("SQL Injection"); a field that is None is left out."""
        values: dict[str, Any] = {
            "id": str(number),
            "class": sort,
            "status": "open",
            "severity": "3",
            "threat": "3",
            "score": 7,
            "risk": 4,
            "custom_risk": None,
            "found": "2026-01-09T00:53:16Z",
            "opened": "2026-01-09T00:53:16Z",
            "url": f"https://shop.example/{number}",
            "href": f"/api/vuln/{number}",
            asset.kind: str(asset.sub),
            "attack_vectors": [],
        }
        with self.lock:
            made = {**values, **fields}
            self.findings.append(made)
        return made


def _belongs(finding: dict[str, Any], asset: Asset) -> bool:
    return str(finding.get(asset.kind)) == str(asset.sub)


def vector(number: int, *tags: str) -> dict[str, Any]:
    """An attack vector with these tags, as ("CWE-89", "error_based")."""
    return {
        "id": str(number),
        "state": "open",
        "tested": "2026-01-09T00:53:16Z",
        "opened": "2026-01-09T00:53:16Z",
        "found": "2026-01-09T00:53:16Z",
        "scanner_tags": list(tags),
        "request": {
            "method": "GET",
            "url": f"https://shop.example/{number}",
            "headers": [{"name": "Accept", "value": "*/*"}],
            "param_name": "q",
            "param_value": "'",
        },
        "response": {"status": 500, "headers": [], "body_match": {"content": "&lt;error&gt;"}},
        "notes": [],
        "has_notes": "0",
        "flagged": "0",
    }
