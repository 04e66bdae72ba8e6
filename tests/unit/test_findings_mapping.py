"""Which tasks a finding speaks about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.findings.finding import Weakness
from runner.findings.mapping import Confidence, Match, Rule, TaskIndex, Via
from tests.unit.recording import make_task

XSS = Weakness(category="Cross-Site Scripting: Reflected", cwes=(79, 80))


def test_cwe_wins_over_category() -> None:
    """A task with one of the finding's CWEs is chosen over one that names its category."""
    index = TaskIndex([make_task("T1", cwes=(80,)), make_task("T2", categories=(XSS.category,))])
    assert index.match(XSS) == Match(Via.CWE, ("7-T1",))


def test_all_cwes_count() -> None:
    """A finding counts for the tasks of all its CWEs, and once for each task."""
    index = TaskIndex([make_task("T1", cwes=(80,)), make_task("T2", cwes=(79, 80))])
    assert set(index.match(XSS).tasks) == {"7-T1", "7-T2"}
    assert len(index.match(XSS).tasks) == 2


def test_subtype_wins_over_general_category() -> None:
    """The category with its subtype is looked up before the one without."""
    general = make_task("T1", categories=("Cross-Site Scripting",))
    exact = make_task("T2", categories=("cross-site  scripting: REFLECTED",))
    assert TaskIndex([general, exact]).match(XSS).tasks == ("7-T2",)
    assert TaskIndex([general]).match(XSS).tasks == ("7-T1",)


def test_catch_all_takes_the_rest() -> None:
    """What matches nothing goes to the catch-all task and still counts as unmapped."""
    match = TaskIndex([make_task("T193", catch_all=True), make_task("T1", cwes=(89,))]).match(XSS)
    assert match == Match(Via.CATCH_ALL, ("7-T193",))
    assert not match.mapped
    assert TaskIndex([make_task("T1", cwes=(89,))]).match(XSS) == Match(Via.NOTHING)


def test_custom_task_is_not_the_library_task() -> None:
    """CT8 and T8 are two tasks: a rule for one never reaches the other."""
    tasks = [make_task("T8"), make_task("CT8")]
    for named in ("T8", "CT8"):
        index = TaskIndex(tasks, [Rule(task_id=named, weakness=XSS.category)])
        assert index.match(XSS).tasks == (f"7-{named}",)
    only_custom = TaskIndex([make_task("CT8")], [Rule(task_id="T8", weakness=XSS.category)])
    assert only_custom.match(XSS) == Match(Via.NOTHING)


def test_testing_tasks_take_no_part() -> None:
    """A task of the testing phase neither gets findings nor can be judged by their absence."""
    index = TaskIndex([make_task("T141", phase="testing", cwes=(79,), catch_all=True)])
    assert index.match(XSS) == Match(Via.NOTHING)
    assert index.confidence("7-T141") is None


def test_rules_win_over_what_tasks_say() -> None:
    """The connection's mapping comes first: by category, by CWE, without subtype, then its wildcard."""
    tasks = [make_task("T1", cwes=(79,)), make_task("T2"), make_task("T3", catch_all=True)]
    for weakness in (XSS.category, "CWE-79", "Cross-Site Scripting"):
        match = TaskIndex(tasks, [Rule(task_id="T2", weakness=weakness)]).match(XSS)
        assert match == Match(Via.RULE, ("7-T2",))
    other = Weakness(category="Path Manipulation")
    assert TaskIndex(tasks, [Rule(task_id="T2", weakness="*")]).match(other).tasks == ("7-T2",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"categories": ("XSS",)}, Confidence.HIGH),
        ({"catch_all": True}, Confidence.HIGH),
        ({"cwes": (79,)}, Confidence.LOW),
        ({}, None),
    ],
)
def test_confidence(fields: dict[str, object], expected: Confidence | None) -> None:
    """Silence is trusted where a task names the scanner's words, half where it has CWEs only."""
    assert TaskIndex([make_task("T1", **fields)]).confidence("7-T1") is expected


_cwes = st.lists(st.integers(1, 6), max_size=3).map(tuple)
_names = st.sampled_from(["A", "A: x", "B", "b : y", "C"])
_tasks: st.SearchStrategy[list[dict[str, object]]] = st.lists(
    st.builds(
        dict,
        cwes=_cwes,
        categories=st.lists(_names, max_size=2).map(tuple),
        catch_all=st.booleans(),
        phase=st.sampled_from(["development", "testing"]),
    ),
    max_size=5,
)


@given(fields=_tasks, category=_names, cwes=_cwes)
def test_no_finding_gets_lost(fields: list[dict[str, object]], category: str, cwes: tuple[int, ...]) -> None:
    """A finding goes to tasks of the project that may take it, each once, if there is any such task."""
    tasks = [make_task(f"T{number}", **one) for number, one in enumerate(fields)]
    index = TaskIndex(tasks)
    match = index.match(Weakness(category=category, cwes=cwes))
    assert len(set(match.tasks)) == len(match.tasks)
    assert all(index.tasks[task].phase == "development" for task in match.tasks)
    assert bool(match.tasks) == (match.via is not Via.NOTHING)
    if any(task.catch_all or set(task.cwes) & set(cwes) for task in index.tasks.values()):
        assert match.tasks
    if match.via is Via.CWE:
        assert {task.id for task in index.tasks.values() if set(task.cwes) & set(cwes)} == set(match.tasks)
