"""The connection test of Rally's connector, against a real server."""

from collections.abc import Iterator

import pytest

from runner.connectors.rally.connector import RallySync
from runner.connectors.rally.params import RallyParams
from tests.servers.rally import KEY, RallyServer
from tests.unit.recording import RecordingContext


@pytest.fixture
def rally() -> Iterator[RallyServer]:
    """Give a Rally server."""
    server = RallyServer()
    yield server
    server.close()


def steps(server: RallyServer, **params: object) -> list[tuple[str, bool, str]]:
    """The steps of a connection test."""
    settings = RallyParams.model_validate(server.params(**params))
    told = RallySync().check(RecordingContext(tasks=[], params=settings))
    return [(step.name, step.ok, step.message) for step in told]


@pytest.mark.parametrize("way", [{}, {"alm_auth_mode": "token", "alm_api_token": KEY}], ids=["basic", "key"])
def test_each_step_is_told(rally: RallyServer, way: dict[str, str]) -> None:
    """A connection that is right passes all steps, and nothing is written."""
    told = steps(rally, **way)
    assert [(name, ok) for name, ok, _ in told] == [
        ("log-in", True),
        ("workspace", True),
        ("project", True),
        ("settings", True),
    ]
    assert not [name for name in rally.simulator.traffic.counts if not name.startswith("GET")]


WRONG = {
    "another password": ({"alm_pass": "wrong"}, "credential"),
    "no server": ({"alm_server": ""}, "alm_server"),
    "no such workspace": ({"rally_workspace": "Nowhere"}, "rally_workspace"),
    "no such project": ({"alm_project": "Nowhere"}, "alm_project"),
    "no such state": ({"rally_new_status": "Dreamt"}, "rally_new_status"),
    "one state for both": ({"rally_new_status": "Accepted"}, "rally_done_statuses"),
    "no such field": ({"alm_custom_fields": '{"c_Team": "x"}'}, "c_Team"),
    "no such parent": ({"rally_card_type": "Task", "alm_parent_issue": "US99"}, "alm_parent_issue"),
    "no password": ({"alm_pass": ""}, "alm_pass"),
    "no key": ({"alm_auth_mode": "token"}, "alm_api_token"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named(rally: RallyServer, what: str) -> None:
    """A connection that isn't right fails at its step, in a sentence that names the setting."""
    params, named = WRONG[what]
    _, ok, message = steps(rally, **params)[-1]
    assert not ok
    assert named in message


def test_a_name_that_is_there_twice_wants_its_path(rally: RallyServer) -> None:
    """Two projects of one name are told apart by their path, and only so."""
    base = rally.things.add_project(rally.workspace, "Base")
    rally.things.add_project(rally.workspace, "Rally Project", parent=base)
    assert '"Base // Child // Leaf"' in steps(rally)[-1][2]
    assert steps(rally, alm_project="Base // Rally Project")[-1][1]
