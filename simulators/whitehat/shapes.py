"""Findings and assets in the forms of the API: v1 as JSON and XML, v2 as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from simulators.whitehat.estate import Asset

_SWITCHED = {
    "attack_vectors": "display_attack_vectors",
    "description": "display_description",
    "solution": "display_solution",
    "risk": "display_risk",
    "custom_risk": "display_custom_risk",
}
"""Keys of a v1 finding that are shown on demand, and what asks for them."""

_OF_VECTORS = {"request": "display_request", "response": "display_response"}
_NAMESPACE = "http://whitehatsec.com/XML-api-Vuln"
_RISKS = ("", "Note", "Low", "Medium", "High", "Critical")
_XML_ATTRIBUTES = (
    *("id", "class", "status", "severity", "threat", "score", "risk", "custom_risk"),
    *("found", "opened", "closed", "url", "href", "site", "application", "retest_state"),
)


def _on(asked: Mapping[str, str], switch: str) -> bool:
    return asked.get(switch, "0") == "1" or asked.get("display_all") == "1"


def v1_json(finding: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """A finding with the parts that were asked for."""
    shown = {k: v for k, v in finding.items() if k not in _SWITCHED or _on(asked, _SWITCHED[k])}
    if "attack_vectors" in shown:
        shown["attack_vectors"] = [
            {k: v for k, v in vector.items() if k not in _OF_VECTORS or _on(asked, _OF_VECTORS[k])}
            for vector in shown["attack_vectors"]
        ]
    return shown


def v1_xml(findings: Iterable[Mapping[str, Any]], *, query: str, total: int) -> str:
    """A page of findings as XML. Like the original it repeats the query, so a key in there gets about."""
    rows = "".join(_vulnerability(one) for one in findings)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<vulnerabilities xmlns="{_NAMESPACE}" '
        f"original_query={quoteattr(query)} total={quoteattr(str(total))}>{rows}</vulnerabilities>"
    )


def _vulnerability(finding: Mapping[str, Any]) -> str:
    vectors = "".join(_vector(vector) for vector in finding.get("attack_vectors", ()))
    return f"<vulnerability {_attributes(finding, _XML_ATTRIBUTES)}>{vectors}</vulnerability>"


def _vector(vector: Mapping[str, Any]) -> str:
    tags = "".join(f"<scanner_tag>{tag}</scanner_tag>" for tag in vector.get("scanner_tags", ()))
    inner = f"<scanner_tags>{tags}</scanner_tags>" if tags else ""
    if "request" in vector:
        inner += f"<request {_attributes(vector['request'], ('method', 'url'))}/>"
    return f"<attack_vector {_attributes(vector, ('id', 'state', 'tested', 'found'))}>{inner}</attack_vector>"


def _attributes(values: Mapping[str, Any], names: Iterable[str]) -> str:
    return " ".join(
        f"{name}={quoteattr(str(values[name]))}" for name in names if values.get(name) is not None
    )


def v2_finding(finding: Mapping[str, Any], asset: Asset, fields: set[str]) -> dict[str, Any]:
    """A finding as v2 has it."""
    tags = [tag for vector in finding.get("attack_vectors", ()) for tag in vector.get("scanner_tags", ())]
    risk = finding.get("risk")
    shown = {
        "id": int(finding["id"]),
        "asset": {
            "id": asset.number,
            "name": asset.name,
            "type": asset.kind,
            "subID": asset.sub,
            "status": asset.status,
        },
        "class": {"id": 1, "name": finding.get("class"), "retired": False},
        "location": finding.get("url", ""),
        "status": finding.get("status"),
        "severity": int(finding.get("severity") or 0),
        "threat": int(finding.get("threat") or 0),
        "risk": risk,
        "customRisk": finding.get("custom_risk"),
        "firstOpened": finding.get("opened"),
        "closed": None,
        "tags": [],
        "subTypeTags": sorted({tag for tag in tags if tag.startswith("CWE-")}),
        "outOfScopeReasons": [],
        "attackVectors": [int(v["id"]) for v in finding.get("attack_vectors", ())],
    }
    if "impactRating" in fields:
        shown["impactRating"] = _RISKS[min(max(int(risk or 2), 2), 4)]
    if "likelihoodRating" in fields:
        shown["likelihoodRating"] = _RISKS[min(max(int(risk or 2), 2), 4)]
    return shown


def v2_asset(asset: Asset) -> dict[str, Any]:
    """An asset as v2 has it."""
    return {
        "id": asset.number,
        "subID": asset.sub,
        "name": asset.name,
        "type": asset.kind,
        "location": [],
        "serviceLevel": "SE",
        "status": asset.status,
        "tags": [],
        "lastScanDateT": max(asset.scans, default=None),
        "scanStatus": "Running" if asset.running else "Complete",
    }
