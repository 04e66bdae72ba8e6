"""The two reference connectors keep every promise."""

from runner.conformance.promises import Promises
from tests.conformance.arenas import ClubArena, RegisterArena


class TestRegister(Promises):
    """One that writes to the platform only."""

    arena = RegisterArena
    every = 2


class TestClub(Promises):
    """One that writes outside."""

    arena = ClubArena
    every = 2
