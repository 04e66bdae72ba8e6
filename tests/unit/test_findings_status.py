"""The status rule and the fold of several scanners' results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.findings.mapping import Confidence
from runner.findings.status import BY_WEIGHT, Behaviour, standing, verdict, worst
from runner.model.platform import Verification
from tests.unit.recording import make_task

FAIL, PARTIAL, PASS, NONE = BY_WEIGHT
_said = st.sampled_from([FAIL, PARTIAL, PASS])
_results = st.dictionaries(st.sampled_from(["fortify", "whitehat", "webinspect"]), _said)


@pytest.mark.parametrize(
    ("found", "confidence", "expected"),
    [
        (True, Confidence.HIGH, FAIL),
        (True, Confidence.LOW, FAIL),
        (True, None, FAIL),
        (False, Confidence.HIGH, PASS),
        (False, Confidence.LOW, PARTIAL),
        (False, None, NONE),
    ],
)
def test_verdict(found: bool, confidence: Confidence | None, expected: Verification) -> None:
    """Any finding fails; silence passes, passes in part, or says nothing."""
    assert verdict(found=found, confidence=confidence) is expected


@given(st.lists(st.sampled_from(BY_WEIGHT)))
def test_worst_doesn_t_depend_on_order(statuses: list[Verification]) -> None:
    """The fold is the same in any order, and never better than one of its parts."""
    folded = worst(statuses)
    assert folded is worst(reversed(statuses))
    assert all(BY_WEIGHT.index(folded) <= BY_WEIGHT.index(status) for status in statuses)


@given(results=_results, says=_said)
def test_replace_leaves_one_result(results: dict[str, Verification], says: Verification) -> None:
    """``replace`` forgets what all scanners said."""
    after = standing(make_task("T1", results=results), "fortify", says, Behaviour.REPLACE)
    assert (after.status, dict(after.results)) == (says, {"fortify": says})


@given(results=_results, says=_said)
def test_replace_scanner_keeps_the_others(results: dict[str, Verification], says: Verification) -> None:
    """``replace-scanner`` changes one scanner's result and lets the worst stand."""
    after = standing(make_task("T1", results=results), "fortify", says, Behaviour.REPLACE_SCANNER)
    assert dict(after.results) == {**results, "fortify": says}
    assert after.status is worst(after.results.values())


@given(results=_results, whole=st.sampled_from(BY_WEIGHT), says=_said)
def test_combine_never_improves(
    results: dict[str, Verification], whole: Verification, says: Verification
) -> None:
    """``combine`` makes nothing better that was said before, by a scanner or by a person."""
    task = make_task("T1", results=results, verification_status=whole)
    after = standing(task, "fortify", says, Behaviour.COMBINE)
    assert after.status is worst([whole, says, *results.values()])
    again = make_task("T1", results=dict(after.results), verification_status=after.status)
    assert standing(again, "fortify", says, Behaviour.COMBINE) == after
