"""The document of the benchmarks keeps what wasn't measured anew."""

from benchmarks.document import INTRODUCTION, updated
from benchmarks.report import Bar, Report

ORDER = ("jobs", "idle")


def report(name: str, value: float) -> Report:
    """A report with one figure and one promise."""
    return Report(
        name=name,
        title=f"The {name}",
        how="It is measured.",
        columns=("what", "figure"),
        rows=[["all", f"{value:g}"]],
        bars=[Bar(promise="it is small", value=value, limit=5)],
    )


def test_a_chapter_is_replaced_and_the_others_stay() -> None:
    """Each has the machine it was measured on, and they stand in their order, whichever came first."""
    first = updated("", report("idle", 3), about=[("disk", "slow")], order=ORDER)
    both = updated(first, report("jobs", 7), about=[("disk", "quick")], order=ORDER)
    again = updated(both, report("idle", 4), about=[("disk", "quicker")], order=ORDER)
    assert again.startswith(INTRODUCTION)
    assert again.count("\n## ") == 2
    assert again.index("## The jobs") < again.index("Measured with disk: quick.") < again.index("## The idle")
    assert "| it is small | ≤ 5 | 7 | MISSED |" in again
    assert "| all | 4 |" in again
    assert "| all | 3 |" not in again
    assert again.endswith("Measured with disk: quicker.\n")
