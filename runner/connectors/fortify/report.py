"""Report XML: what Audit Workbench and ReportGenerator export (root ReportDefinition).

A report is made from a template that a site may change, so nothing here goes by position or
by the title of a section. Sections with ``enabled="false"`` hold data all the same. Findings
come from Issue elements, wherever they are; the same one may stand in several sections and
counts once. Formats: TemplateName of "Fortify Security Report", "Developer Workbook", "OWASP".
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from lxml import etree

from runner.connectors.fortify.counts import Counts
from runner.connectors.fortify.external import Cwes
from runner.connectors.fortify.rules import cwes_in
from runner.errors import BadInput
from runner.findings.finding import Finding, Severity, Weakness, mark_of, plain
from runner.findings.scan import Scan
from runner.findings.tally import EXAMPLES
from runner.reading.skipping import Texts
from runner.reading.xml import Document

SCANNER = "fortify"
NAME = "Fortify"

_PLACEHOLDER = re.compile(
    r"\$(?:TOTAL_FINDINGS|SCAN_DATE|SCAN_SUMMARY|PROJECT_BUILD_LABEL|SOURCE_BASE_PATH)\$"
)
_CLUES = {
    "label": re.compile(r"Build Label:[ \t]*([^\n]*)"),
    "folder": re.compile(r"Code location:[ \t]*(\S[^\n]*?)[ \t]*(?=\n|Number of Files:|$)"),
    "name": re.compile(r"performed over the (.{1,200}?) code base"),
}
_SEVERITIES = {severity.value: severity for severity in Severity}
_SEARCHED = 4096
"""Characters of a text looked at for what tells the project."""


def skipper() -> Texts:
    """What leaves out texts that nobody asks for, half of a report and more."""
    return Texts(("Snippet", "Abstract", "Kingdom", "Folder", "TargetFunction", "Explanation", "Tips"))


class Report:
    """One report, read once: ``findings`` first, then what ``scan`` says of them."""

    def __init__(self, document: Document, *, blacklist: Collection[str], cwes: Cwes) -> None:
        self._document = document
        self.cwes = cwes  # by category, for issues that name none
        self.sentences: list[str] = []
        self._shown = shown(blacklist)
        self._blacklist = frozenset(plain(value) for value in blacklist)
        self._counts = Counts()
        self._clues: dict[str, str] = {}
        self._placeholders = False
        self._seen: set[int] = set()
        self._places: dict[Weakness, list[str]] = {}
        self._listed: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._weaknesses: dict[tuple[str, str], Weakness] = {}
        self._by_category: dict[str, Weakness] = {}

    def findings(self) -> Iterator[Finding]:
        """All findings: those listed, then those only counted; each of the latter stands for several."""
        handlers = self._handlers()
        for element in self._document.elements("Issue", *handlers):
            tag = str(element.tag)
            if tag == "Issue":
                finding = self._issue(element)
                if finding is not None:
                    yield finding
            else:
                handlers[tag](element)
        self._check_it_is_a_report()
        for category, number in self._counts.unlisted(self._listed, self._left_out, self._blacklist):
            weakness = self._by_category.get(category) or Weakness(category=category)
            yield Finding(weakness=weakness, identity=f"counted {category}", count=number)

    @property
    def replaced(self) -> int:
        """Characters that XML doesn't allow."""
        return self._document.replaced

    def scan(self) -> Scan:
        """What is known of the scan, once all findings were taken."""
        listed = self._listed.total()
        label = self._clues.get("label") or self._clues.get("name") or self._document.name
        return Scan(
            scanner=SCANNER,
            name=NAME,
            ref=label[:200],
            clues=self._clues,
            listed=listed,
            suppressed=self._left_out.total(),
            suppressed_as=self._shown,
            shortfall=_shortfall(listed, self._counts.total),
        )

    def _handlers(self) -> Mapping[str, Callable[[etree._Element], None]]:
        counts = self._counts
        return {
            "Text": self._text,
            "Refinement": lambda element: counts.refinement(element.text or ""),
            "Axis": lambda element: counts.axis(element.text or ""),
            "MajorAttribute": lambda element: counts.major(element.text or ""),
            "groupTitle": self._group,
            "AttributeValue": lambda element: counts.audited(
                element.findtext("Name") or "", element.findtext("Count") or ""
            ),
        }

    def _text(self, element: etree._Element) -> None:
        text = (element.text or "")[:_SEARCHED]
        self._placeholders = self._placeholders or _PLACEHOLDER.search(text) is not None
        self._counts.text(text)
        for kind, pattern in _CLUES.items():
            found = pattern.search(text)
            # "<No Build Label>" is what it says when there is none.
            if found and found[1].strip() and not found[1].lstrip().startswith("<"):
                self._clues.setdefault(kind, found[1].strip())

    def _group(self, element: etree._Element) -> None:
        parent = element.getparent()
        self._counts.group(element.text or "", "" if parent is None else parent.get("count", ""))

    def _issue(self, element: etree._Element) -> Finding | None:
        """One Issue; None if it was seen before or people decided against it."""
        category = cwes = priority = ""
        primary: etree._Element | None = None
        suppressed = False
        for child in element:
            tag = child.tag
            if tag == "Category":
                category = child.text or ""
            elif tag == "Friority":
                priority = child.text or ""
            elif tag == "Primary":
                primary = child
            elif tag == "ExternalCategory":
                if child.get("type", "CWE").upper() == "CWE":
                    cwes = child.text or ""
            elif tag == "Tag":
                suppressed = suppressed or self._is_left_out(child)
        iid = element.get("iid")
        identity = f"{iid or f'{category} {_place(primary)}'} {element.get('ruleID', '')}"
        mark = mark_of(identity)
        if mark in self._seen:
            return None
        self._seen.add(mark)
        weakness = self._weakness(category, cwes)
        self._listed[weakness.category] += 1
        if suppressed:
            self._left_out[weakness.category] += 1
            return None
        return Finding(
            weakness=weakness,
            identity=identity,
            mark=mark,
            severity=_SEVERITIES.get(priority) or _severity(priority),
            location=self._location(weakness, primary),
        )

    def _location(self, weakness: Weakness, primary: etree._Element | None) -> str:
        """Where an issue is, as long as places of its weakness are wanted; reading them is dear."""
        places = self._places.setdefault(weakness, [])
        if len(places) == EXAMPLES:
            return ""
        place = _place(primary)
        if place and place not in places:
            places.append(place)
        return place

    def _is_left_out(self, tag: etree._Element) -> bool:
        texts = {child.tag: child.text or "" for child in tag}
        return plain(texts.get("Name", "")) == "analysis" and plain(texts.get("Value", "")) in self._blacklist

    def _weakness(self, category: str, cwes: str) -> Weakness:
        """The weakness of an issue, one object for all issues of it."""
        known = self._weaknesses.get((category, cwes))
        if known is None:
            name = category.strip() or "(no category)"
            known = Weakness(category=name, cwes=cwes_in(cwes) or self.cwes.get(plain(name), ()))
            self._weaknesses[category, cwes] = known
            self._by_category.setdefault(known.category, known)
        return known

    def _check_it_is_a_report(self) -> None:
        if self._seen:
            return
        name = self._document.name
        if self._placeholders:
            raise BadInput(
                f"{name} is a report template, not a report: it has placeholders where a report has numbers. "
                "Make a report with it (`ReportGenerator -format xml -template`) and send that."
            )
        if not self._counts.anything:
            raise BadInput(
                f"{name} is a report without a list of issues and without counts, so it says nothing about "
                'them. Use a template with the section "Results Outline".'
            )


def shown(blacklist: Collection[str]) -> str:
    """Values of the Analysis tag, as a message names them."""
    return " or ".join(f'"{value}"' for value in blacklist)


def _place(primary: etree._Element | None) -> str:
    texts = {} if primary is None else {child.tag: child.text or "" for child in primary}
    path, line = texts.get("FilePath") or texts.get("FileName", ""), texts.get("LineStart")
    return f"{path}:{line}" if line else path


def _severity(priority: str) -> Severity:
    return _SEVERITIES.get(priority.strip().title(), Severity.UNKNOWN)


def _shortfall(listed: int, total: int | None) -> str:
    if total is None:
        return f"It lists {listed} issues and doesn't say how many there are in all, so it may not be whole."
    if listed < total:
        return (
            f"It lists {listed} of {total} issues. Use a template that lists all of them: "
            'IssueListing with limit="-1" and an empty Refinement.'
        )
    return ""
