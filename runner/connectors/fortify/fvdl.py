"""FVDL: the scan itself, bare or as the member ``audit.fvdl`` of an FPR.

Rules and the pool of nodes come after the vulnerabilities, so each of those is kept as two
numbers (which sort it is of, and what tells it from others) until the end is reached. An
InstanceID alone doesn't tell: ids of different rules collide, and some tools write zeros.
Versions 1.8 to 1.12; fields are found by name, for any of them may be missing.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from lxml import etree

from runner.connectors.fortify.audit import Audit
from runner.connectors.fortify.external import Cwes
from runner.connectors.fortify.places import Node, Place, place_of, read_node, wanted
from runner.connectors.fortify.report import NAME, SCANNER
from runner.connectors.fortify.rules import NO_RULE, Marks, Rule, groups_of, priority, read_rule
from runner.errors import BadInput
from runner.findings.finding import Finding, Severity, Weakness, mark_of, plain
from runner.findings.note import plural
from runner.findings.scan import Scan
from runner.findings.tally import EXAMPLES
from runner.reading.skipping import Insides
from runner.reading.xml import Document

_NO_CATEGORY = "(no category)"


class _Sort(NamedTuple):
    """What vulnerabilities have in common that differ in nothing but their instance and place."""

    rule: str
    type: str
    subtype: str
    marks: Marks

    @property
    def category(self) -> str:
        return f"{self.type}: {self.subtype}" if self.type and self.subtype else self.type or _NO_CATEGORY


def skipper() -> Insides:
    """What leaves out a third of a scan, which has not a word of use here."""
    return Insides(("ProgramData", "Snippets", "SourceFiles", "ContextPool", "UnifiedTracePool"))


class Fvdl:
    """One scan, read once: ``findings`` first, then what ``scan`` says of them."""

    def __init__(
        self,
        document: Document,
        *,
        cwes: Cwes,
        audit: Audit | None = None,
        more_cwes: Callable[[], Cwes] | None = None,
        left_out_as: str = "",
    ) -> None:
        self._document = document
        self._audit = audit or Audit()
        self._left_out_as = left_out_as
        self._cwes = dict(cwes)
        self._taught: dict[str, tuple[int, ...]] = {}  # by the rules of this file, for later ones
        self._more_cwes = more_cwes  # dear to read, so only if it is needed
        self._sorts: dict[_Sort, int] = {}
        self._sort_of = array("I")
        self._marks = array("Q")
        self._seen: set[int] = set()
        self._listed = 0
        self._places: dict[tuple[str, str, str], list[Place]] = {}
        self._nodes: dict[str, Node] = {}
        self._wanted: set[str] | None = None  # nodes of the pool; None = not in it yet
        self._rules: dict[str, Rule] = {}
        self._clues: dict[str, str] = {}
        self.sentences: list[str] = []

    @property
    def replaced(self) -> int:
        """Characters that XML doesn't allow."""
        return self._document.replaced

    @property
    def cwes(self) -> Cwes:
        """CWEs by category, as far as they are known now."""
        return {**self._cwes, **self._taught}

    def findings(self) -> Iterator[Finding]:
        """All findings but those that people decided against."""
        self._read()
        sorts = [self._settle(sort) for sort in self._sorts]
        locations = {
            key: list(dict.fromkeys(filter(None, (place.resolve(self._nodes) for place in places))))
            for key, places in self._places.items()
        }
        keys = [(sort.rule, sort.type, sort.subtype) for sort in self._sorts]
        unruled = 0  # findings whose priority had to be estimated
        for number, mark in zip(self._sort_of, self._marks, strict=True):
            weakness, severity, estimated = sorts[number]
            unruled += estimated
            left = locations.get(keys[number])
            yield Finding(
                weakness=weakness,
                identity="",
                mark=mark,
                severity=severity,
                location=left.pop(0) if left else "",
            )
        if unruled:
            self.sentences.append(
                f"{plural(unruled, 'finding has', 'findings have')} no rule data in the file; there the "
                "priority is estimated from severity and confidence."
            )

    def scan(self) -> Scan:
        """What is known of the scan, once all findings were taken."""
        audited = " ".join(filter(None, (self._audit.project, self._audit.version)))
        clues = {**self._clues, **({"name": self._audit.project} if self._audit.project else {})}
        return Scan(
            scanner=SCANNER,
            name=NAME,
            ref=(audited or self._clues.get("label") or self._document.name)[:200],
            clues=clues,
            listed=self._listed,
            suppressed=self._listed - len(self._marks),
            suppressed_as=self._left_out_as,
        )

    # --- reading -------------------------------------------------------------------------

    def _read(self) -> None:
        document = self._document
        if document.root.name != "FVDL":
            raise BadInput(
                f"{document.name} is no scan of Fortify: its XML begins with <{document.root.name[:80]}>, "
                "where a scan begins with <FVDL>. Export the file again and send the new one."
            )
        tags = ("Vulnerability", "Node", "Rule", "BuildID", "SourceBasePath")
        for element in document.elements(*("{*}" + tag for tag in tags)):
            match etree.QName(element).localname:
                case "Vulnerability":
                    self._vulnerability(element)
                case "Node":
                    self._node(element)
                case "Rule":
                    self._rule(element)
                case "BuildID":
                    self._clue("label", element)
                case "SourceBasePath":
                    self._clue("folder", element)

    def _clue(self, kind: str, element: etree._Element) -> None:
        text = (element.text or "").strip()
        if text:
            self._clues.setdefault(kind, text)

    def _vulnerability(self, element: etree._Element) -> None:
        texts: dict[str, str] = {}
        override: etree._Element | None = None
        for part in element.iterchildren("{*}ClassInfo", "{*}InstanceInfo"):
            for field in part:
                name = str(field.tag).rpartition("}")[2]
                if name == "MetaInfo":
                    override = part
                else:
                    texts[name] = field.text or ""
        get = texts.get
        rule, instance = get("ClassID", "").strip(), get("InstanceID", "").strip()
        mark = mark_of(f"{instance} {rule}" if instance else self._without_id(element, texts))
        if mark in self._seen:
            return
        self._seen.add(mark)
        self._listed += 1
        if self._audit.leaves_out(instance):
            return
        own = {} if override is None else groups_of(override)
        sort = _Sort(
            rule,
            get("Type", "").strip(),
            get("Subtype", "").strip(),
            Marks(
                get("InstanceSeverity") or get("DefaultSeverity", ""),
                get("Confidence", ""),
                own.get("accuracy", ""),
                own.get("impact", ""),
                own.get("probability", ""),
            ),
        )
        self._sort_of.append(self._sorts.setdefault(sort, len(self._sorts)))
        self._marks.append(mark)
        places = self._places.setdefault((rule, sort.type, sort.subtype), [])
        if len(places) < EXAMPLES:
            place = place_of(element)
            if place not in places:
                places.append(place)

    def _without_id(self, element: etree._Element, texts: dict[str, str]) -> str:
        """What tells a vulnerability without an InstanceID from others: what it is, and where."""
        place = place_of(element)
        return f"{texts.get('ClassID', '')} {texts.get('Type', '')} {place.known or place.nodes}"

    def _node(self, element: etree._Element) -> None:
        if self._wanted is None:
            self._wanted = wanted([place for places in self._places.values() for place in places])
        number = element.get("id", "")
        if number in self._wanted:
            self._nodes[number] = read_node(element)

    def _rule(self, element: etree._Element) -> None:
        number = element.get("id")
        if number:
            self._rules[number] = read_rule(element)

    # --- the end is reached --------------------------------------------------------------

    def _settle(self, sort: _Sort) -> tuple[Weakness, Severity, bool]:
        """Weakness and priority of a sort, now that the rules are known."""
        rule = self._rules.get(sort.rule, NO_RULE)
        name = plain(sort.category)
        cwes = rule.cwes or self._cwes.get(name)
        if not cwes and self._more_cwes is not None:
            more, self._more_cwes = self._more_cwes, None
            self._cwes = {**more(), **self._cwes}
            cwes = self._cwes.get(name)
        if rule.cwes:
            self._taught.setdefault(name, rule.cwes)
        severity, estimated = priority(sort.marks, rule)
        return Weakness(category=sort.category, cwes=cwes or ()), severity, estimated
