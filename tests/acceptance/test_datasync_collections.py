"""Collections: the documented requests, runs one job after the other, and daemons that die in between."""

import itertools
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runner.model.jobs import Outcome
from runner.store import job_collections as store
from runner.store.schema import jobs as jobs_table
from tests.integration.datasync.original import Original
from tests.integration.datasync.slapd_place import Place, job
from tests.servers.lives import KILLED, begun
from tests.servers.slapd import SlapdServer
from tests.servers.waiting import PATIENCE, until

pytestmark = pytest.mark.xdist_group("slapd")

MANY = "/Collections"
EACH = 12
"""Of how many commits one is tried in each run of the tests, beginning at a chance one."""


@pytest.fixture
def place(slapd_server: SlapdServer, tmp_path: Path) -> Place:
    """Give a machine on which no daemon ever ran."""
    return Place(tmp_path, slapd_server)


def collection(*jobs: dict[str, Any], **info: Any) -> dict[str, Any]:
    """The documented request."""
    return {
        "isTemplate": False,
        "description": None,
        "isNotificationEnabled": False,
        "notificationSendIndividualEmail": False,
        "notifyWhen": 3,
        "notificationRecipients": "",
        "jobCollectionInfo": {
            "id": 0,
            "jobCollectionGuid": "",
            "name": "TestCollection",
            "description": "TestCollection",
            "totalJobs": 0,
            "timesRun": 0,
            "lastRunDate": None,
            "lastOutCome": "None",
            "nextRun": None,
            "created": "2024-06-04T10:46:33.13Z",
            "schedule": "0",
            "smartgroupSchedule": None,
            "enabled": False,
            "jobs": [dict(each["jobInfo"]) for each in jobs],
            **info,
        },
        "jobs": [dict(each) for each in jobs],
        "totalJobs": 0,
        "hasAccess": False,
    }


def ended(client: Original, number: int, run: int) -> dict[str, Any]:
    """A run of a collection when it has ended."""

    def look() -> dict[str, Any]:
        runs = client.call("GET", f"{MANY}/{number}/Runs")["data"]
        found: dict[str, Any] = next(each for each in runs if each["collectionRunId"] == run)
        return found

    until("the run's end", lambda: look()["outCome"] != "None")
    return look()


def test_the_documented_requests(place: Place) -> None:
    """A collection is made, listed, filtered, shown, changed and removed by the requests as printed."""
    place.write("staff", "ada")
    place.write("crew", "bob")
    with place.machine.daemon(*place.flags):
        client = place.client()
        given = collection(job("Second", "Crew", 2), job("First", "Staff", 1))
        made = client.call("POST", MANY, given)
        assert (made["type"], made["status"], made["errorCode"]) == (6, 0, None)
        number = made["data"]
        details = client.call("GET", f"{MANY}/{number}/Details")
        assert details["count"] == 2
        shown = details["data"]
        assert shown["notifyWhen"] == 3
        assert [each["name"] for each in shown["jobCollectionInfo"]["jobs"]] == ["First", "Second"]
        assert {each["jobInfo"]["collectionId"] for each in shown["jobs"]} == {number}
        assert shown["jobs"][0]["settings"] == given["jobs"][1]["settings"]
        assert "webdir123R" not in json.dumps(shown)
        # What a collection has isn't among the jobs that stand alone.
        assert client.call("GET", "/Names") == []
        assert client.call("GET", "/")["data"] == []

        wanted = {
            "filterCriteria": {
                "operator": "is exactly",
                "attribute": "Name",
                "value": "TestCollection",
                "valueType": 0,
                "valueTypes": [0],
                "donotEscapeValue": True,
                "child": [{"Operator": "string", "Attribute": "string", "Value": "string", "Child": None}],
            },
            "SearchOption": {"PageSize": 10, "PageIndex": 1, "SortColumnName": "", "SortOrder": 1},
        }
        (found,) = client.call("GET", MANY, wanted)["data"]
        assert (found["id"], found["totalJobs"], found["jobs"]) == (number, 2, [])
        wanted["filterCriteria"] = {"operator": "is exactly", "attribute": "Name", "value": "Other"}
        assert client.call("GET", MANY, wanted)["count"] == 0
        asked = {
            "filters": {"Operator": "is exactly", "Attribute": "Name", "Value": "Second", "Child": None},
            "SearchOption": {"PageSize": 10, "PageIndex": 1, "SortColumnName": "modified", "SortOrder": 1},
            "jobCollectionId": number,
        }
        (inside,) = client.call("GET", f"{MANY}/Details", asked)["data"]
        assert (inside["name"], inside["runOrder"], inside["type"]) == ("Second", 2, 2)

        # Written back as it was shown, with its jobs the other way round; passwords stay what they are.
        for each in shown["jobCollectionInfo"]["jobs"]:
            each["runOrder"] = 3 - each["runOrder"]
        shown["jobCollectionInfo"]["name"] = "Turned"
        assert client.call("PATCH", MANY, shown)["data"] == number
        again = client.call("GET", f"{MANY}/{number}/Details")["data"]
        assert [each["name"] for each in again["jobCollectionInfo"]["jobs"]] == ["Second", "First"]
        ids = [each["jobInfo"]["jobId"] for each in shown["jobs"]]
        assert [each["jobInfo"]["jobId"] for each in again["jobs"]] == ids[::-1]
        assert client.call("DELETE", "/", params={"jobids": ids[0]}, status=409)["status"] == 1

        again["jobCollectionInfo"] |= {"enabled": True, "schedule": "0 3 * * *"}
        client.call("PATCH", MANY, again)
        until("the next run is known", lambda: client.call("GET", MANY)["data"][0]["nextRun"] is not None)

        run = client.call("POST", f"{MANY}/{number}/Run", {})["data"]
        assert ended(client, number, run)["outCome"] == "Succeeded"
        assert place.people() == {"ada", "bob"}
        assert client.call("DELETE", MANY, params={"jobids": number})["type"] == 7
        assert client.call("GET", f"{MANY}/{number}/Details", status=404)["status"] == 1
        assert client.call("GET", f"/{ids[0]}/Details", status=404)["status"] == 1


def test_jobs_run_in_their_order_and_a_failure_does_what_is_asked(place: Place) -> None:
    """Abort leaves the jobs after the failed one, Continue runs them; the message names what failed."""
    place.write("crew", "bob")
    with place.machine.daemon(*place.flags):
        client = place.client()
        jobs = [job("First", "Staff", 1), job("Second", "Crew", 2)]
        number = client.call("POST", MANY, collection(*jobs))["data"]
        run = ended(client, number, client.call("POST", f"{MANY}/{number}/Run", {})["data"])
        assert (run["outCome"], run["jobs"][1]["run"]) == ("Failed", None)
        assert run["message"] == "First failed. 0 of 2 jobs succeeded. Not run after that: Second."
        assert place.people() == set()

        shown = client.call("GET", f"{MANY}/{number}/Details")["data"]
        shown["jobCollectionInfo"]["jobs"][0]["onFailure"] = "Continue"
        client.call("PATCH", MANY, shown)
        preview = client.call("POST", f"{MANY}/{number}/Run", {"preview": True})["data"]
        assert ended(client, number, preview)["jobs"][1]["run"]["outCome"] == "Succeeded"
        assert place.people() == set()
        run = ended(client, number, client.call("POST", f"{MANY}/{number}/Run", {})["data"])
        assert run["message"] == "First failed. 1 of 2 jobs succeeded."
        first, second = (each["run"] for each in run["jobs"])
        assert first["finished"] < second["started"]
        assert place.people() == {"bob"}
        (found,) = client.call("GET", MANY)["data"]
        assert (found["timesRun"], found["lastOutCome"]) == (2, "Failed")


def test_jobs_that_stand_alone_are_copied_with_their_passwords(place: Place) -> None:
    """A collection may be made of existing jobs by their ids; neither side changes with the other."""
    place.write("staff", "ada")
    with place.machine.daemon(*place.flags):
        client = place.client()
        alone = client.call("POST", "/", job("Alone", "Staff", 0))["data"]
        given = collection()
        given["jobCollectionInfo"]["jobs"] = [{"jobId": alone, "runOrder": 1}]
        number = client.call("POST", MANY, given)["data"]
        (inside,) = client.call("GET", f"{MANY}/{number}/Details")["data"]["jobs"]
        assert inside["jobInfo"]["jobId"] != alone
        client.call("DELETE", "/", params={"jobids": alone})
        run = ended(client, number, client.call("POST", f"{MANY}/{number}/Run", {})["data"])
        assert run["outCome"] == "Succeeded", run
        assert place.people() == {"ada"}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("jobCollectionInfo", {"jobCollectionInfo": None}),
    ("jobCollectionInfo.name", {"jobCollectionInfo": {"name": " "}}),
    ("jobs", {"jobCollectionInfo": {"name": "x"}, "jobs": []}),
    ("jobs", {"jobCollectionInfo": {"name": "x", "jobs": [{"jobId": 77}]}, "jobs": []}),
    (
        "jobCollectionInfo.schedule",
        {"jobCollectionInfo": {"name": "x", "enabled": True, "schedule": "often"}},
    ),
    ("jobInfo.runOrder", {"jobs": [{"jobInfo": {"name": "x", "runOrder": "one"}, "fieldsMap": []}]}),
    ("jobInfo.jobId", {"jobs": [{"jobInfo": {"name": "x", "jobId": 2**70}, "fieldsMap": []}]}),
]
"""What is wrong, and how."""


def test_wrong_requests_are_named_in_the_envelope(place: Place) -> None:
    """What is wrong with a collection is told by field, and nothing of it is kept."""
    with place.machine.daemon(*place.flags):
        client = place.client()
        for field_name, change in WRONG:
            wrong = client.call("POST", MANY, {**collection(job("One", "Staff", 1)), **change}, status=400)
            assert (wrong["status"], wrong["errorCode"]) == (1, "400")
            assert list(wrong["exceptionMessagesAttributeWise"]) == [field_name]
        assert client.call("GET", MANY)["count"] == 0
        assert client.call("GET", "/Names") == []
        absent = collection(job("One", "Staff", 1), id=7)
        assert client.call("PATCH", MANY, absent, status=404)["status"] == 1
        assert client.call("POST", f"{MANY}/7/Run", {}, status=404)["status"] == 1
        for number in ("seven", "7", 7.5, True, 2**70):
            wrong = client.call("PATCH", MANY, collection(job("One", "Staff", 1), id=number), status=400)
            assert list(wrong["exceptionMessagesAttributeWise"]) == ["jobCollectionInfo.id"]
        for other in ("seven", "7", "", 7.5, False, 2**70):
            wrong = client.call("GET", f"{MANY}/Details", {"jobCollectionId": other}, status=400)
            assert list(wrong["exceptionMessagesAttributeWise"]) == ["jobCollectionId"]


@pytest.mark.parametrize("point", ["commit", "committed"])
def test_killed_at_its_commits_a_run_goes_on(place: Place, slapd_server: SlapdServer, point: str) -> None:
    """A daemon that dies at a commit of a run leaves one that the next daemon ends, each job once."""
    place.write("staff", "ada")
    place.write("crew", "bob")
    with place.machine.daemon(*place.flags):
        given = collection(job("First", "Staff", 1), job("Second", "Crew", 2))
        number = place.client().call("POST", MANY, given)["data"]
    killed, jobs = 0, 0
    for count in itertools.count(random.randint(1, EACH), EACH):  # noqa: S311 - no secret
        slapd_server.reset()
        with place.machine.store() as database:
            with database.read() as c:
                held = store.get(c, number)
            assert held is not None
            database.write(lambda c, held=held: store.begin(c, held, now=datetime.now(UTC)))  # type: ignore[misc]  # bound early
        with begun(place.machine, "--once", *place.flags, faultpoint=f"main:{point}:{count}") as process:
            code = process.wait(PATIENCE)
        if code == KILLED:
            killed += 1
            done = place.machine.type("run", "--once", *place.flags)
            assert done.returncode == 0, done.stdout + done.stderr
        with place.machine.store() as database, database.read() as c:
            (run,) = store.runs(c, number, limit=1)
            jobs = c.scalars(sa.select(sa.func.count()).select_from(jobs_table)).one()
        assert run.outcome is Outcome.SUCCEEDED, run.message
        assert len([job for _, job in run.steps if job is not None]) == 2
        assert place.people() == {"ada", "bob"}
        if code == 0:
            break
    assert killed > 1
    assert jobs == 2 * (killed + 1)
