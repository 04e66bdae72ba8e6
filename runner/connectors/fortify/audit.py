"""``audit.xml``: what people decided about the findings of an FPR.

That an issue stands here means nothing by itself: every issue that anybody looked at does.
Left out are those suppressed and those whose Analysis tag has a value to leave out. Tags in
an issue's history are what it once was.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from lxml import etree

from runner.findings.finding import plain
from runner.reading.xml import Document

ANALYSIS = "87f2364f-dcd4-49e6-861d-f8d3f351686b"
"""The id of the tag that says what people think an issue is."""


@dataclass(slots=True)
class Audit:
    """Decisions about instances, by their ids' hashes: an archive may hold a million."""

    project: str = ""
    version: str = ""
    left_out: set[int] = field(default_factory=set)

    def leaves_out(self, instance: str) -> bool:
        """Whether people decided against an instance."""
        return hash(instance) in self.left_out


def read_audit(document: Document, *, blacklist: Collection[str]) -> Audit:
    """Read it whole; ``blacklist`` has plain values of the Analysis tag."""
    audit = Audit()
    for element in document.elements("{*}Issue", "{*}ProjectInfo"):
        if etree.QName(element).localname == "ProjectInfo":
            audit.project = (element.findtext("{*}Name") or "").strip()
            audit.version = (element.findtext("{*}ProjectVersionName") or "").strip()
        elif _is_left_out(element, blacklist):
            audit.left_out.add(hash(element.get("instanceId", "")))
    return audit


def _is_left_out(issue: etree._Element, blacklist: Collection[str]) -> bool:
    if issue.get("suppressed", "").strip().casefold() == "true":
        return True
    return any(
        plain(tag.findtext("{*}Value") or "") in blacklist
        for tag in issue.iterchildren("{*}Tag")
        if tag.get("id", "").casefold() == ANALYSIS
    )
