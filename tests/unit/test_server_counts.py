"""Counts of long listings are kept for a while, those of short ones never."""

from typing import Any

from runner.server.paging import Counts


def test_only_what_took_long_is_told_again() -> None:
    """A count that took 0.1 s is told again for 10 s; one that was had at once is counted each time."""
    now, counted = [0.0], [0]

    def slow(_c: Any) -> int:
        now[0] += 0.1
        counted[0] += 1
        return counted[0]

    def quick(_c: Any) -> int:
        counted[0] += 1
        return counted[0]

    counts = Counts(clock=lambda: now[0])
    assert [counts.tell(None, "long", slow) for _ in range(3)] == [1, 1, 1]  # type: ignore[arg-type]  # not used
    now[0] += 10
    assert counts.tell(None, "long", slow) == 2  # type: ignore[arg-type]  # not used
    assert [counts.tell(None, "short", quick) for _ in range(2)] == [3, 4]  # type: ignore[arg-type]  # not used
    assert counts.tell(None, "other", quick) == 5  # type: ignore[arg-type]  # not used
