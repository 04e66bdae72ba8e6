"""All promises in one class; a package's test module subclasses it and names its arena.

class TestRally(Promises):
    arena = RallyArena
"""

from runner.conformance.crashing import Crashing
from runner.conformance.planning import Planning
from runner.conformance.reverting import Reverting
from runner.conformance.telling import Telling


class Promises(Planning, Crashing, Reverting, Telling):
    """What every connector is held to."""
