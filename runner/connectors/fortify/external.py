"""``externalmetadata.xml``: CWEs of categories, for rules that name none.

An FPR carries Fortify's own table of what its categories are called elsewhere. Reports don't,
so what one FPR taught is remembered for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

from runner.connectors.fortify.rules import cwes_in
from runner.findings.finding import plain
from runner.reading.xml import Document

KEY = "fortify_cwes"
"""The name under which it is remembered."""

CWE_LIST = "3adb9ee4-5761-4289-8bd3-cbfcc593ebbc"

Cwes = Mapping[str, tuple[int, ...]]
"""CWEs by plain category."""


def read_external(document: Document) -> Cwes:
    """The rows of the list called CWE."""
    found: dict[str, tuple[int, ...]] = {}
    table: etree._Element | None = None  # the list that is being read
    wanted = False
    for element in document.elements("{*}ExternalListID", "{*}Name", "{*}Mapping"):
        parent = element.getparent()
        if parent is not table and parent is not None and etree.QName(parent).localname == "ExternalList":
            table, wanted = parent, False
        match etree.QName(element).localname:
            case "ExternalListID":
                wanted = wanted or (element.text or "").strip().casefold() == CWE_LIST
            case "Name":
                wanted = wanted or (parent is table and plain(element.text or "") == "cwe")
            case _ if wanted:
                category = plain(element.findtext("{*}InternalCategory") or "")
                cwes = cwes_in(element.findtext("{*}ExternalCategory") or "")
                if category and cwes:
                    found[category] = tuple(dict.fromkeys((*found.get(category, ()), *cwes)))
    return found


def remembered(memory: Mapping[str, Any]) -> Cwes:
    """What earlier imports of the connection taught; whatever doesn't fit counts as not known."""
    known = memory.get(KEY)
    if not isinstance(known, dict):
        return {}
    return {
        str(category): tuple(cwe for cwe in cwes if isinstance(cwe, int))
        for category, cwes in known.items()
        if isinstance(cwes, Sequence)
    }


def to_json(cwes: Cwes) -> dict[str, list[int]]:
    """As a context remembers it."""
    return {category: list(found) for category, found in sorted(cwes.items())}
