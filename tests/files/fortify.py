"""Files as Fortify's tools write them, of any size and with all their oddities.

One list of issues can be written as a bare FVDL, as an FPR, as a report or as a WebInspect
export (``fortify_reports``), so that tests can hold the readers against each other; the
benchmark writes hundreds of thousands of them. Nothing is kept in memory but a piece of the file.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

ANALYSIS = "87f2364f-dcd4-49e6-861d-f8d3f351686b"
FVDL = "xmlns://www.fortifysoftware.com/schema/fvdl"

QUADRANTS = {
    # impact, accuracy, probability, confidence
    "Critical": ("5.0", "5.0", "5.0", "5.0"),
    "High": ("4.0", "1.0", "2.0", "3.0"),
    "Medium": ("1.0", "4.0", "4.0", "5.0"),
    "Low": ("2.0", "1.0", "3.0", "5.0"),
}


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One issue, whatever form it is written in."""

    type: str = "SQL Injection"
    subtype: str = ""
    cwes: tuple[int, ...] = (89,)
    instance: str = "A" * 32
    priority: str = "High"
    path: str = "src/A.java"
    line: int = 4
    analysis: str = ""  # value of the tag; "" = nobody has looked at it
    suppressed: bool = False
    probability: str = ""  # the instance's own; overrides what its priority gives the rule

    @property
    def category(self) -> str:
        return f"{self.type}: {self.subtype}" if self.subtype else self.type

    @property
    def rule(self) -> str:
        """A rule for each category, its CWEs and its priority, for a rule has one of each."""
        return f"{self.category}|{self.cwes}|{self.priority}".upper().replace(" ", "-").replace('"', "")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a scan is written."""

    version: str = "1.12"
    long: bool = False  # traces of twenty entries, most of them references to the pool of nodes
    build_id: str = "shop"
    namespace: bool = True
    bom: bool = False
    rules: bool = True
    metadata_cwes: bool = True  # rules name their CWEs
    types: bool = True
    program_data: int = 0  # bytes of it for each issue; the real ones have half of what an issue has
    text: str = "String query = request.getParameter(&quot;name&quot;) + other;"


Write = Callable[[bytes], object]
Issues = Callable[[], Iterable[Issue]]  # asked more than once: counts come first in a report


def many(number: int) -> Iterator[Issue]:
    """Issues of some hundred sorts, as a large project has them."""
    kinds = [
        ("SQL Injection", "Hibernate", (89, 564)),
        ("Cross-Site Scripting", "Reflected", (79, 80)),
        ("Path Manipulation", "", (22, 73)),
        ("Password Management", "Hardcoded Password", (259, 798)),
        ("Null Dereference", "", (476,)),
        ("Log Forging", "", (117,)),
        ("Poor Error Handling", "Empty Catch Block", (391,)),
        ("Unreleased Resource", "Streams", (772,)),
    ]
    priorities = list(QUADRANTS)
    for index in range(number):
        type_, subtype, cwes = kinds[index % 8]
        yield Issue(
            type=type_,
            subtype=f"{subtype} {index % 13}" if subtype else "",
            cwes=cwes,
            instance=f"{index * 2654435761 % 2**64:016X}{index:016X}",
            priority=priorities[index % 4],
            path=f"src/main/java/com/example/shop/module{index % 50}/Service{index % 400}.java",
            line=index % 2000 + 1,
        )


# --- FVDL --------------------------------------------------------------------------------


def write_fvdl(write: Write, issues: Iterable[Issue], style: Style = Style()) -> None:
    """Write a bare FVDL."""
    buffer = Buffer(write)
    put = buffer.put
    space = f' xmlns="{FVDL}"' if style.namespace else ""
    put("\ufeff" if style.bom else "")
    put(f'<?xml version="1.0" encoding="UTF-8"?>\n<FVDL{space} version="{style.version}">\n')
    put('<CreatedTS date="2026-01-01" time="12:00:00"/>\n<UUID>447b4bf4</UUID>\n<Build>')
    put(f"<BuildID>{escape(style.build_id)}</BuildID>" if style.build_id else "")
    put("<SourceBasePath>/home/dev/shop</SourceBasePath><SourceFiles><File><Name>src/A.java</Name></File>")
    put("</SourceFiles></Build>\n<Vulnerabilities>\n")
    rules: dict[str, Issue] = {}
    number = 0
    for number, issue in enumerate(issues, 1):
        rules.setdefault(issue.rule, issue)
        put(_vulnerability(issue, number, style))
    put("</Vulnerabilities>\n<ContextPool/>\n")
    if style.long:
        put("<UnifiedNodePool>\n")
        for node in range(1, number + 1):
            put(
                f'<Node id="{node}"><SourceLocation path="src/Pool.java" line="{node}" lineEnd="{node}" '
                f'colStart="0" colEnd="0" contextId="{node}" snippet="F64E01C1#src/Pool.java:{node}:{node}"/>'
                '<Action type="InCall">query(0)</Action><Reason><Rule ruleID="R"/></Reason></Node>\n'
            )
        put("</UnifiedNodePool>\n")
    for rule in rules:
        put(
            f"<Description classID={quoteattr(rule)}><Abstract>An <![CDATA[<b>odd</b>]]> text.</Abstract>"
            "</Description>\n"
        )
    put("<Snippets>\n")
    for line in range(min(number, 50)):
        put(f'<Snippet id="S{line}"><StartLine>1</StartLine><Text><![CDATA[if (a < b) &&]]></Text></Snippet>')
    put("</Snippets>\n<ProgramData><Sources>\n")
    for _ in range(number * style.program_data // len(_SOURCE)):
        put(_SOURCE)
    put("</Sources></ProgramData>\n<EngineData><EngineVersion>22.1</EngineVersion>\n")
    if style.rules:
        put("<RuleInfo>\n")
        for name, issue in rules.items():
            put(_rule(name, issue, style))
        put("</RuleInfo>\n")
    put("</EngineData>\n</FVDL>\n")
    buffer.flush()


_SOURCE = (
    '<SourceInstance ruleID="9C5BD1B5"><FunctionCall><SourceLocation path="src/A.java" line="8" lineEnd="8" '
    'colStart="12" colEnd="40"/><Function name="getParameter" namespace="javax.servlet" '
    'enclosingClass="ServletRequest"/></FunctionCall><TaintFlags><TaintFlag name="WEB"/></TaintFlags>'
    "</SourceInstance>\n"
)


def _vulnerability(issue: Issue, number: int, style: Style) -> str:
    confidence = QUADRANTS[issue.priority][3]
    named = f"<Type>{escape(issue.type)}</Type>" if style.types else ""
    named += f"<Subtype>{escape(issue.subtype)}</Subtype>" if issue.subtype and style.types else ""
    own = ""
    if issue.probability:
        own = f'<MetaInfo><Group name="Probability">{issue.probability}</Group></MetaInfo>'
    return (
        f"<Vulnerability><ClassInfo><ClassID>{escape(issue.rule)}</ClassID><Kingdom>Input</Kingdom>"
        f"{named}<AnalyzerName>dataflow</AnalyzerName><DefaultSeverity>3.0</DefaultSeverity></ClassInfo>"
        f"<InstanceInfo><InstanceID>{escape(issue.instance)}</InstanceID><InstanceSeverity>3.0"
        f"</InstanceSeverity><Confidence>{confidence}</Confidence>{own}</InstanceInfo><AnalysisInfo><Unified>"
        '<Context><Function name="doGet" namespace="com.example" enclosingClass="A"/></Context>'
        f'<ReplacementDefinitions><Def key="PrimaryLocation.file" value={quoteattr(issue.path)}/>'
        f'<Def key="PrimaryLocation.line" value="{issue.line}"/></ReplacementDefinitions>'
        f"<Trace><Primary>{_trace(issue, number, style)}</Primary></Trace></Unified></AnalysisInfo>"
        "</Vulnerability>\n"
    )


def _trace(issue: Issue, number: int, style: Style) -> str:
    default = (
        f'<Entry><Node isDefault="true" label="sink"><SourceLocation path={quoteattr(issue.path)} '
        f'line="{issue.line}" lineEnd="{issue.line}" colStart="4" colEnd="40" snippet="B6#{number}"/>'
        f'<Action type="InCall">{style.text}</Action><Reason><Rule ruleID="F7A2"/></Reason></Node></Entry>'
    )
    if not style.long:
        return default
    before = "".join(
        f'<Entry><NodeRef id="{max(1, number - step)}"/></Entry>'
        if step % 4
        else '<Entry><Node label="from"><SourceLocation path="src/B.java" line="7" lineEnd="7" colStart="1" '
        f'colEnd="9" snippet="C09F#{number}"/><Action type="Assign">{style.text}</Action><Knowledge>'
        '<Fact primary="false" type="TaintFlags">+WEB,+XSS</Fact></Knowledge></Node></Entry>'
        for step in range(1, 20)
    )
    return before + default


def _rule(name: str, issue: Issue, style: Style) -> str:
    impact, accuracy, probability, _ = QUADRANTS[issue.priority]
    cwes = ",".join(f"CWE ID {cwe}" for cwe in issue.cwes) or "None"
    cwe = f'<Group name="altcategoryCWE">{cwes}</Group>' if style.metadata_cwes else ""
    more = "".join(f'<Group name="altcategoryNIST{step}">None</Group>' for step in range(60))
    return (
        f'<Rule id={quoteattr(name)}><MetaInfo><Group name="Impact">{impact}</Group><Group name="Accuracy">'
        f'{accuracy}</Group><Group name="Probability">{probability}</Group>{cwe}'
        f'<Group name="altcategoryCWETop252024">[17] CWE ID 200</Group>{more}</MetaInfo></Rule>\n'
    )


# --- FPR ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Packing:
    """What else an FPR has, and how."""

    folder: str = ""
    audit: str = "ns2"  # ns2, default, undeclared (a prefix without namespace), none
    members: int = 0  # source files beside the scan
    external: bool = False
    level: int = 6  # of compression
    scans: int = 1
    more: dict[str, bytes] = field(default_factory=dict)


def write_fpr(
    path: Path,
    issues: Issues,
    style: Style = Style(),
    packing: Packing = Packing(),
) -> Path:
    """Write an FPR; the path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=packing.level) as archive:
        for index in range(packing.members):
            archive.writestr(f"src-archive/{index:05}", f"class A{index} {{}}")
        for index in range(packing.scans):
            folder = packing.folder if index == 0 else f"{packing.folder}{index}/"
            with archive.open(f"{folder}audit.fvdl", "w", force_zip64=True) as member:
                write_fvdl(member.write, issues(), style)
        if packing.audit != "none":
            with archive.open(f"{packing.folder}audit.xml", "w", force_zip64=True) as member:
                write_audit(member.write, issues(), packing.audit, bom=style.bom)
        if packing.external:
            archive.writestr("ExternalMetadata/externalmetadata.xml", external_metadata(issues()))
        for name, content in packing.more.items():
            archive.writestr(name, content)
    return path


def write_audit(write: Write, issues: Iterable[Issue], form: str, *, bom: bool = False) -> None:
    """Write an ``audit.xml`` with the issues that somebody looked at."""
    buffer = Buffer(write)
    p = "" if form == "default" else "ns2:"
    declared = {"ns2": ' xmlns:ns2="xmlns://www.fortify.com/schema/audit"', "undeclared": ""}
    space = declared.get(form, ' xmlns="xmlns://www.fortify.com/schema/audit"')
    buffer.put("\ufeff" if bom else "")
    buffer.put(f'<?xml version="1.0" encoding="UTF-8"?><{p}Audit{space} version="4.4"><{p}ProjectInfo>')
    buffer.put(f"<{p}Name>shop</{p}Name></{p}ProjectInfo><{p}IssueList>\n")
    for issue in issues:
        if not issue.analysis and not issue.suppressed:
            continue
        said = ' suppressed="True"' if issue.suppressed else ""
        tag = ""
        if issue.analysis:
            value = f"<{p}Value>{escape(issue.analysis)}</{p}Value>"
            tag = f'<{p}Tag id="{ANALYSIS.upper()}">{value}</{p}Tag>'
        once = f'<{p}Tag id="{ANALYSIS}"><{p}Value>Not an Issue</{p}Value></{p}Tag>'
        history = f"<{p}TagHistory>{once}</{p}TagHistory>"
        buffer.put(
            f"<{p}Issue instanceId={quoteattr(issue.instance)}{said} revision="
            f'"3">{tag}<{p}ClientAuditTrail>{history}</{p}ClientAuditTrail></{p}Issue>\n'
        )
    buffer.put(f'</{p}IssueList><{p}RemovedIssue instanceId="gone"/></{p}Audit>')
    buffer.flush()


def external_metadata(issues: Iterable[Issue]) -> bytes:
    """What Fortify's categories are called elsewhere."""
    rows: dict[str, tuple[int, ...]] = {issue.category: issue.cwes for issue in issues}

    def mapping(category: str, external: str) -> str:
        return (
            f"<Mapping><InternalCategory>{escape(category)}</InternalCategory>"
            f"<ExternalCategory>{external}</ExternalCategory></Mapping>"
        )

    cwe = "".join(mapping(name, f"CWE ID {number}") for name, numbers in rows.items() for number in numbers)
    other = "".join(mapping(name, "[1] CWE ID 1") for name in rows)
    return (
        '<?xml version="1.0"?><ExternalMetadataPack xmlns="xmlns://www.fortifysoftware.com/schema/externalMetadata">'
        f"<PackInfo><Name>Pack</Name></PackInfo><ExternalList><ExternalListID>OTHER</ExternalListID><Name>Top</Name>"
        f"{other}</ExternalList><ExternalList><ExternalListID>3ADB9EE4-5761-4289-8BD3-CBFCC593EBBC"
        f"</ExternalListID><Name>CWE</Name>{cwe}</ExternalList><ExternalList><Name>Last</Name>{other}"
        "</ExternalList></ExternalMetadataPack>"
    ).encode()


# --- in memory ---------------------------------------------------------------------------


def fvdl(issues: Sequence[Issue], style: Style = Style()) -> bytes:
    """A bare FVDL in memory."""
    out = io.BytesIO()
    write_fvdl(out.write, issues, style)
    return out.getvalue()


class Buffer:
    """Collects text, and writes a megabyte at a time."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._parts: list[str] = []
        self._size = 0

    def put(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size > 1_000_000:
            self.flush()

    def flush(self) -> None:
        self._write("".join(self._parts).encode())
        self._parts, self._size = [], 0
