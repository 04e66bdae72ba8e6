"""The promises at a remote server: connectors keep them where the platform is reached over REST."""

from runner.conformance.promises import Promises
from runner.conformance.remote_world import RemoteWorld
from tests.conformance.arenas import ClubArena, RegisterArena


class TestRegisterFarAway(Promises):
    """One that writes to the platform only."""

    arena = RegisterArena
    world = RemoteWorld
    every = 20


class TestClubFarAway(Promises):
    """One that writes outside."""

    arena = ClubArena
    world = RemoteWorld
    every = 20
