"""Connections of another server whose systems only this daemon reaches: both sides agree afterwards."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers import slapd
from tests.servers.pair import Over, Pair
from tests.servers.rally import RallyServer
from tests.servers.slapd import GROUPS, PEOPLE, SlapdServer, group, person
from tests.servers.waiting import until

SEED = {
    "sde_project": "Webshop",
    "sde_verification_filter": "none,partial,pass,fail",
    "sde_businessunit": "General",
    "sde_application": "Customer Portal",
    "sde_min_priority": 7,
}


def run(over: Over, connection: int, *, kind: str = "alm") -> Any:
    """Ask for a run over there, and wait for its result."""
    job = over.ask(connection, kind=kind)
    until(f"job {job} is ready", lambda: over.job(job, kind=kind)["ready"])
    return over.job(job, kind=kind)


def agreed(over: Over, rally: RallyServer) -> int:
    """How many tasks have items; an error if one of the pairs disagrees."""
    items = {item.name.partition(":")[0]: item for item in rally.items()}
    tasks = over.call("GET", "projects/1/tasks/")["results"]
    wanted = [task for task in tasks if task["task_id"] in items]
    assert len(wanted) == len(items)
    for task in wanted:
        done = items[task["task_id"]].values["ScheduleState"] in ("Completed", "Accepted")
        assert done is (task["status"] != "TS2"), task["task_id"]
    return len(wanted)


def test_the_documented_alm_connection_is_worked_off_from_here(pair: Pair) -> None:
    """Rally's items and another server's tasks agree after each run, and a run after that plans nothing."""
    rally = RallyServer()
    try:
        with ExitStack() as stack:
            stack.enter_context(pair.there.daemon("--sample"))
            over = pair.over()
            stack.enter_context(pair.here.daemon())
            place = over.connection("Rally", project=1, params={**rally.params(), **SEED})
            done = run(over, place)
            assert done["succeeded"], done["result_message"]
            number = agreed(over, rally)
            assert f"{number} items created" in done["result_message"]
            rally.things.change(rally.items()[0], ScheduleState="Accepted")
            done = run(over, place)
            assert "1 task updated" in done["result_message"]
            assert agreed(over, rally) == number
            assert run(over, place)["result_message"].startswith("Nothing to change.")
    finally:
        rally.close()


@pytest.mark.xdist_group("slapd")
def test_a_directory_is_synchronised_from_here(pair: Pair, slapd_server: SlapdServer) -> None:
    """Who joins and who leaves becomes an account and a member over there; then nothing is left to do."""

    def roll(*names: str) -> None:
        people = [person(name, mail=f"{name}@example.com") for name in names]
        slapd_server.reset([*people, group("devs", [f"uid={name},{PEOPLE}" for name in names])])

    def accounts() -> dict[str, tuple[bool, list[str]]]:
        found = over.call("GET", "users/")["results"]
        return {
            user["email"]: (user["is_active"], [one["name"] for one in user["groups"]])
            for user in found
            if not user["is_superuser"]
        }

    params = {
        "ldap_server": f"127.0.0.1:{slapd_server.port}",
        "ldap_method": "LDAP",
        "bind_dn": slapd.READER,
        "bind_password": slapd.READER_PASSWORD,
        "group_base_dn": GROUPS,
        "deactivation": True,
    }
    roll("ada", "bob")
    with ExitStack() as stack:
        stack.enter_context(pair.there.daemon())
        over = pair.over()
        stack.enter_context(pair.here.daemon())
        place = over.connection("LDAP", kind="ldap", params=params)
        devs = over.call("POST", "groups/", json={"name": "Developers"})["id"]
        mapping = {"ldap_group": "devs", "sde_group": devs}
        over.call("POST", f"connections/ldap/{place}/group-mappings/", json=mapping)
        done = run(over, place, kind="ldap")
        assert done["succeeded"], done["result_message"]
        here = (True, ["Developers"])
        assert accounts() == {"ada@example.com": here, "bob@example.com": here}
        assert run(over, place, kind="ldap")["result_message"].startswith("Nothing to change.")
        roll("ada", "cem")
        done = run(over, place, kind="ldap")
        assert done["succeeded"], done["result_message"]
        left = accounts()
        assert (left["ada@example.com"], left["cem@example.com"]) == (here, here)
        assert not left["bob@example.com"][0]
        assert run(over, place, kind="ldap")["result_message"].startswith("Nothing to change.")
