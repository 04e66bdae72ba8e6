"""The documented requests, and a client that sends them as the original's clients do."""

import json
from typing import Any

import requests

from tests.integration.datasync.world import CONTAINER, STATIC, document
from tests.servers.waiting import PATIENCE, until

JOBS = "/GroupIDDataService/api/DataSyncJobs"
SKELETON = (
    "Option Strict Off\r\n\r\nImports System\r\n\r\nModule ImanamiExposedCode\r\n\r\n"
    '#Region " User-definable code "\r\n'
    " Sub DTM_RowStarting(ByVal dtmsource As Object, ByVal args As EventArgs) Handles DTM.RowStarting\r\n"
    " ' User-definable script goes here -----------------\r\n\r\n End Sub\r\n#End Region\r\n\r\n"
    "end Module ' ImanamiExposedCode\r\n"
)


def setting(key: str, value: str, kind: str = "System.String") -> dict[str, Any]:
    """One setting as the original's documentation prints it."""
    return {"action": 0, "id": 0, "key": key, "value": value, "dataType": kind, "objectType": None}


def body(**info: Any) -> dict[str, Any]:
    """The documented request: repeated keys of settings, JSON in strings, an empty script."""
    found = document()
    for field in found["fieldsMap"]:
        if field["destinationField"] == "password":
            field["transform"] = f"Static:value={STATIC}"
    del found["static_passwords"]
    found["isTemplate"] = False
    found["hasAccess"] = True
    found["delimiterSchema"] = None
    found["jobInfo"] = {
        "jobId": 0,
        "templateId": None,
        "name": "DataSyncJob",
        "type": 1,
        "sourceProvider": "ExcelOne",
        "destinationProvider": "ADEnt",
        "lastOutCome": "None",
        "timesRun": 7,
        "created": "2024-06-04T09:45:25.373Z",
        "collectionId": 3,
        "schedule": "",
        "enabled": False,
        "onFailure": "Abort",
        "isEnable": True,
        **info,
    }
    found["settings"] = [
        setting("Destination.Type", "24", "System.Int32"),
        setting("Destination.Type", "24"),
        setting("Destination.ContainerDetails", json.dumps({"DistinguishedName": CONTAINER})),
        *(setting(each["key"], each["value"]) for each in document()["settings"]),
        setting("Destination.ExposedScriptCode", SKELETON),
    ]
    return found


class Original:
    """A client of the original's API."""

    def __init__(self, port: int, token: str) -> None:
        self.base = f"http://127.0.0.1:{port}"
        form = {
            "grant_type": "password",
            "username": "admin@example.com",
            "password": token,
            "client_id": "x",
            "client_secret": "y",
            "identity_store_id": "1",
        }
        answer = requests.post(
            f"{self.base}/GroupIDSecurityService/connect/token", data=form, timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["expires_in"] == 1200
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def call(self, method: str, path: str, value: Any = None, *, status: int = 200, **more: Any) -> Any:
        """Call the API and read its JSON."""
        answer = requests.request(
            method, f"{self.base}{JOBS}{path}", json=value, headers=self.headers, timeout=PATIENCE, **more
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def run(self, job: int, *, preview: bool = False) -> dict[str, Any]:
        """Run a job to its end; the run's log."""
        run = self.call("POST", f"/{job}/Run", {"preview": preview})["data"]
        return self.ended(job, run)

    def ended(self, job: int, run: int) -> dict[str, Any]:
        """The log of a run when it has ended."""
        until("the run's end", lambda: self._log(job, run)["state"] == "finished")
        return self._log(job, run)

    def _log(self, job: int, run: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/{job}/Runs/{run}/Log")["data"]
        return found
