"""Connections of another server whose systems only this daemon reaches: both sides agree afterwards."""

from contextlib import ExitStack
from typing import Any

from tests.servers.pair import Over, Pair
from tests.servers.rally import RallyServer
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
