"""WebInspect's exports: Scan (24.2 and later) and Sessions (before), and WEBINSPECT.xml in an FPR.

A check's name is the category. Severity 0 is information and no weakness: such issues are
counted and left out. In the older form the address stands at the session, not at its issues.
"""

from collections.abc import Iterator

from lxml import etree

from runner.connectors.fortify.external import Cwes
from runner.connectors.fortify.rules import cwes_in
from runner.findings.finding import Finding, Severity, Weakness, mark_of, plain
from runner.findings.scan import Scan
from runner.reading.xml import Document

SCANNER = "webinspect"
NAME = "WebInspect"

_SEVERITIES = {
    "4": Severity.CRITICAL,
    "3": Severity.HIGH,
    "2": Severity.MEDIUM,
    "1": Severity.LOW,
}
_INFORMATION = "0"


class WebInspect:
    """One export, read once: ``findings`` first, then what ``scan`` says of them."""

    def __init__(self, document: Document, *, cwes: Cwes) -> None:
        self._document = document
        self._cwes = cwes
        self.sentences: list[str] = []
        self._name = ""
        self._host = ""
        self._url = ""  # of the session
        self._seen: set[int] = set()
        self._listed = 0
        self._informations = 0
        self._weaknesses: dict[tuple[str, str], Weakness] = {}

    def findings(self) -> Iterator[Finding]:
        """All weaknesses that were found."""
        for element in self._document.elements("{*}Issue", "{*}Name", "{*}URL", "{*}Host"):
            match etree.QName(element).localname:
                case "Issue":
                    finding = self._issue(element)
                    if finding is not None:
                        yield finding
                case "Name":
                    parent = element.getparent()
                    if parent is not None and parent.getparent() is None:  # it is the scan's own
                        self._name = (element.text or "").strip()
                case "URL":
                    self._url = (element.text or "").strip()
                case "Host":
                    self._host = self._host or (element.text or "").strip()

    @property
    def replaced(self) -> int:
        """Characters that XML doesn't allow."""
        return self._document.replaced

    @property
    def cwes(self) -> Cwes:
        """CWEs by category, as far as they are known."""
        return self._cwes

    def scan(self) -> Scan:
        """What is known of the scan, once all findings were taken."""
        clues = {kind: text for kind, text in (("name", self._name), ("host", self._host)) if text}
        return Scan(
            scanner=SCANNER,
            name=NAME,
            ref=(self._name or self._document.name)[:200],
            clues=clues,
            listed=self._listed,
            suppressed=self._informations,
            suppressed_as="information",
        )

    def _issue(self, element: etree._Element) -> Finding | None:
        texts: dict[str, str] = {}
        classified: list[str] = []
        for child in element:
            name = etree.QName(child).localname
            if name == "Classifications":
                classified += [
                    f"{entry.get('kind', '')} {entry.get('identifier', '')} {entry.text or ''}"
                    for entry in child
                ]
            else:
                texts[name] = child.text or ""
        category = " ".join(texts.get("Name", "").split()) or "(no category)"
        url = texts.get("URL", "").strip() or self._url
        self._host = self._host or texts.get("Host", "").strip()
        check = texts.get("VulnerabilityID") or texts.get("CheckID") or element.get("id", "")
        mark = mark_of(f"{check} {category} {url} {texts.get('VulnerableSession', '')}")
        if mark in self._seen:
            return None
        self._seen.add(mark)
        self._listed += 1
        severity = texts.get("Severity", "").strip()
        if severity == _INFORMATION:
            self._informations += 1
            return None
        return Finding(
            weakness=self._weakness(category, " ".join(classified)),
            identity="",
            mark=mark,
            severity=_SEVERITIES.get(severity, Severity.UNKNOWN),
            location=url,
        )

    def _weakness(self, category: str, classified: str) -> Weakness:
        known = self._weaknesses.get((category, classified))
        if known is None:
            cwes = cwes_in(classified) or self._cwes.get(plain(category), ())
            known = self._weaknesses[category, classified] = Weakness(category=category, cwes=cwes)
        return known
