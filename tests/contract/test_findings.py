"""What imports found, and the mappings of connections."""

from runner.model.findings import FindingRow
from runner.store import findings, mappings, rescue
from runner.store.pages import Cut
from tests.contract.desk import NOW, Desk


def row(category: str, *, mapped: bool = True) -> FindingRow:
    """All findings of a category."""
    return FindingRow(
        category=category,
        cwes=[89, 564],
        severity="High",
        number=3,
        via="cwe" if mapped else "nothing",
        mapped=mapped,
        tasks=["T1"] if mapped else [],
        examples=["a.java:1"],
    )


def test_rows_come_back_as_they_were_told(desk: Desk) -> None:
    """A job's findings are listed in their order, page by page, whole or by whether a task answers."""
    job = desk.running()
    told = [row("SQL Injection"), row("GraphQL", mapped=False), row("Log Forging")]
    desk.do(findings.add, job, first=1, rows=told[:2])
    desk.do(findings.add, job, first=3, rows=told[2:])
    first, rest = Cut(limit=2), Cut(limit=2, key=2)
    assert desk.ask(findings.page, job.id, first, mapped=None) == [(1, told[0]), (2, told[1])]
    assert desk.ask(findings.page, job.id, rest, mapped=None) == [(3, told[2])]
    assert desk.ask(findings.page, job.id, Cut(limit=9), mapped=False) == [(2, told[1])]
    assert desk.ask(findings.count, job.id, mapped=True) == 2


def test_a_dead_attempt_leaves_no_findings(desk: Desk) -> None:
    """What an attempt that died had found is forgotten when the next begins."""
    job = desk.running()
    desk.do(findings.add, job, first=1, rows=[row("SQL Injection")])
    desk.do(rescue.forget_attempt, job=job)
    assert desk.ask(findings.count, job.id, mapped=None) == 0


def test_a_mapping_is_replaced_and_removed(desk: Desk) -> None:
    """A connection has one mapping, its own, until it is replaced by nothing."""
    one, other = desk.connection(), desk.connection()
    desk.do(mappings.replace, one, "a,b\n", now=NOW)
    desk.do(mappings.replace, one, "c,d\n", now=NOW)
    assert (desk.ask(mappings.read, one), desk.ask(mappings.read, other)) == ("c,d\n", "")
    desk.do(mappings.replace, one, "", now=NOW)
    assert desk.ask(mappings.read, one) == ""
