"""A club's life, followed by jobs that somebody asks for and by those of a schedule."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from runner.conformance.daemons import Daemons
from runner.model.jobs import Frequency
from tests.integration.directory.clubs import Club, domain_club, open_ldap_club
from tests.integration.directory.life import MAPPINGS, Account, lead
from tests.integration.directory.stage import Stage, Synced
from tests.servers.samba import SambaServer
from tests.servers.slapd import SlapdServer

NAMES = {f"G{number}": name for number, name in enumerate(MAPPINGS.values(), 1)}


class Local:
    """The embedded platform, with a way to ask for its runs."""

    def __init__(self, stage: Stage, ask: Callable[[Stage], list[Synced]]) -> None:
        self._stage = stage
        self._ask = ask

    def sync(self) -> str:
        """Let a run go by, which has to go well; its message."""
        (done,) = self._ask(self._stage)
        assert done.outcome == "succeeded", done.message
        return done.message

    def accounts(self) -> Mapping[str, Account]:
        """All accounts, by address."""
        return {
            email: Account(row["id"], row["is_active"], frozenset(NAMES[group] for group in row["groups"]))
            for email, row in self._stage.people().items()
        }


Live = Callable[[AbstractContextManager[Club], str], None]

ASK: Mapping[str, Callable[[Stage], list[Synced]]] = {
    "job": lambda stage: [stage.sync()],
    "schedule": lambda stage: stage.fall_due(Frequency.HOURLY),
}


@pytest.fixture
def live(tmp_path: Path, forked_daemons: Daemons) -> Iterator[Live]:
    """Give a function that lets a club live beside the embedded platform."""
    stages: list[Stage] = []

    def lead_one(opening: AbstractContextManager[Club], by: str) -> None:
        with opening as club:
            mappings = {name: number for number, name in enumerate(MAPPINGS, 1)}
            stage = Stage(home=tmp_path, daemons=forked_daemons, params=club.params(), mappings=mappings)
            stages.append(stage)
            lead(club, Local(stage, ASK[by]))

    yield lead_one
    for stage in stages:
        stage.close()


@pytest.mark.xdist_group("slapd")
@pytest.mark.parametrize("by", ASK)
def test_accounts_follow_openldap(live: Live, slapd_server: SlapdServer, by: str) -> None:
    """Whoever comes, is renamed, moves, is disabled, leaves and returns is seen for what he is."""
    live(open_ldap_club(slapd_server), by)


@pytest.mark.xdist_group("samba")
@pytest.mark.parametrize("by", ASK)
def test_accounts_follow_a_domain(live: Live, samba_server: SambaServer, by: str) -> None:
    """The same in Active Directory."""
    live(domain_club(samba_server), by)
