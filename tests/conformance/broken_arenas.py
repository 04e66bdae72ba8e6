"""Connectors that break one promise each, held to all; ``test_broken.py`` runs this and looks what failed.

It isn't collected by itself: its name doesn't begin with ``test_``.
"""

from typing import ClassVar

from runner.conformance.promises import Promises
from tests.conformance.arenas import ClubArena

BROKEN = {
    "broken_preview": "test_preview_is_what_a_run_does",
    "broken_twice": "test_second_run_plans_nothing",
    "broken_current": "test_crash_at_every_point_ends_in_the_same_state",
    "broken_ceiling": "test_ceiling_stops_a_run_until_a_person_allows_it",
    "broken_proof": "test_incomplete_read_destroys_nothing",
    "broken_before": "test_revert_leaves_alone_what_others_changed",
    "broken_undo": "test_revert_restores_the_target",
    "broken_planning": "test_planning_writes_nothing",
    "broken_secret": "test_secrets_appear_nowhere",
    "broken_reason": "test_troubles_have_a_reason",
    "broken_record": "test_one_bad_record_spoils_no_other",
}
"""The test that each of them fails."""


def held(name: str) -> type[Promises]:
    """A test class for one of them."""

    class Arena(ClubArena):
        system: ClassVar[str] = name

    every = 1 if name == "broken_current" else 50  # the others keep that promise; a quick look is enough
    return type(f"Test_{name}", (Promises,), {"arena": Arena, "every": every})


globals().update({f"Test_{name}": held(name) for name in BROKEN})
