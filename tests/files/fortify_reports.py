"""The same issues as ``fortify`` writes, as reports and as WebInspect exports."""

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from tests.files.fortify import Buffer, Issue, Issues, Write


def report(
    issues: Sequence[Issue], *, limit: int | None = None, cwes: bool = True, twice: bool = False
) -> bytes:
    """A report in memory."""
    out = io.BytesIO()
    write_report(out.write, lambda: issues, limit=limit, cwes=cwes, twice=twice)
    return out.getvalue()


def write_report(
    write: Write,
    issues: Issues,
    *,
    long: bool = False,
    limit: int | None = None,
    cwes: bool = True,
    twice: bool = False,
    bom: bool = False,
) -> None:
    """Write a report; at most ``limit`` issues of a category are listed, all are counted.

    ``long`` = snippets and abstracts as a developer workbook has them; ``twice`` = a second
    section lists the same issues. Suppressed issues stand in no report.
    """
    buffer = Buffer(write)
    put = buffer.put
    counts: Counter[str] = Counter(issue.category for issue in issues() if not issue.suppressed)
    put("\ufeff" if bom else "")
    put('<?xml version="1.0" encoding="UTF-8"?>\n<ReportDefinition type="standard">\n')
    put("<TemplateName>Developer Workbook</TemplateName>\n")
    put('<ReportSection enabled="false"><Title>Project Summary</Title><SubSection enabled="true">')
    put("<Title>Code</Title><Text>Code location: /home/dev/shop\nBuild Label: shop</Text></SubSection>")
    put(f"<SubSection><Title>All</Title><Text>The scan found {counts.total():,} issues.</Text></SubSection>")
    put("</ReportSection>\n")
    for _ in range(2 if twice else 1):
        put('<ReportSection enabled="true"><Title>Results Outline</Title><SubSection enabled="true">')
        put(f'<Title>T</Title><IssueListing limit="{limit or -1}" listing="true"><Refinement></Refinement>')
        put('<Chart chartType="list"><Axis>Category</Axis><MajorAttribute>Analysis</MajorAttribute>\n')
        listed: Counter[str] = Counter()
        for issue in issues():
            if issue.suppressed:
                continue
            listed[issue.category] += 1
            if limit is None or listed[issue.category] <= limit:
                put(_report_issue(issue, long=long, cwes=cwes))
        for category, count in counts.items():
            # Groups hold their issues in real reports; where an issue stands says nothing.
            put(
                f'<GroupingSection count="{count}"><groupTitle>{escape(category)}</groupTitle>'
                "</GroupingSection>"
            )
        put("</Chart></IssueListing></SubSection></ReportSection>\n")
    put("</ReportDefinition>\n")
    buffer.flush()


_LONG = "    String line = reader.readLine(); // and what comes before and after it\n" * 8
_ABSTRACT = "The method builds a query from what a user sent, which lets an attacker change its meaning. " * 3


def _report_issue(issue: Issue, *, long: bool, cwes: bool) -> str:
    tag = ""
    if issue.analysis:
        tag = f"<Tag><Name>Analysis</Name><Value>{escape(issue.analysis)}</Value></Tag>"
    number = ",".join(f"CWE ID {cwe}" for cwe in issue.cwes)
    cwe = f'<ExternalCategory type="CWE">{number}</ExternalCategory>' if cwes and number else ""
    snippet = _LONG if long else "int a = b &lt; c;"
    abstract = f"<Abstract>{_ABSTRACT if long else 'A method builds a query.'}</Abstract>"
    name = issue.path.rpartition("/")[2]
    source = ""
    if long:
        source = (
            f"<Source><FileName>B.java</FileName><FilePath>src/B.java</FilePath><LineStart>9</LineStart><Snippet>"
            f"{_LONG}</Snippet></Source>"
        )
    return (
        f"<Issue iid={quoteattr(issue.instance)} ruleID={quoteattr(issue.rule)}><Category>"
        f"{escape(issue.category)}</Category><Folder>{issue.priority}</Folder><Kingdom>Input</Kingdom>"
        f"{abstract}<Friority>{issue.priority}</Friority>{tag}<Primary><FileName>{escape(name)}</FileName>"
        f"<FilePath>{escape(issue.path)}</FilePath><LineStart>{issue.line}</LineStart><Snippet>{snippet}</Snippet>"
        f"<TargetFunction>query()</TargetFunction></Primary>{source}{cwe}</Issue>\n"
    )


def webinspect(issues: Iterable[Issue], *, old: bool = False) -> bytes:
    """A WebInspect export; ``old`` = before 24.2."""
    severities = {"Critical": 4, "High": 3, "Medium": 2, "Low": 1, "Info": 0}
    rows = [
        (
            f"http://shop.example/{issue.path}?line={issue.line}",
            f"<VulnerabilityID>{escape(issue.rule)}</VulnerabilityID><Severity>{severities[issue.priority]}"
            f"</Severity><Name>{escape(issue.category)}</Name><VulnerableSession>{escape(issue.instance)}"
            "</VulnerableSession><Classifications>"
            + "".join(
                f'<Classification kind="CWE" identifier="{cwe}">CWE-{cwe}: x</Classification>'
                for cwe in issue.cwes
            )
            + "</Classifications><ReportSection><Name>Summary</Name><SectionText>&lt;p&gt;</SectionText>"
            "</ReportSection>",
        )
        for issue in issues
    ]
    if old:
        body = "".join(
            f"<Session><URL>{escape(url)}</URL><Host>shop.example</Host><Issues><Issue>{row}</Issue></Issues></Session>"
            for url, row in rows
        )
        return f'<?xml version="1.0"?><Sessions>{body}</Sessions>'.encode()
    body = "".join(
        f"<Issue><CheckTypeID>Vulnerability</CheckTypeID><URL>{escape(url)}</URL>{row}</Issue>"
        for url, row in rows
    )
    return f'\ufeff<?xml version="1.0"?><Scan><Name>Shop</Name><Issues>{body}</Issues></Scan>'.encode()
