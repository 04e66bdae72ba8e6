"""The dialect's addresses. What isn't in the original is marked as an extension."""

from starlette.routing import Router

from runner.server.groupid import job_collections, jobs, tokens
from runner.server.openapi import Operation, Schema, add, ref
from runner.server.sdelements.schemas.parts import INTEGER, MAYBE_TEXT, OBJECT, TEXT, asked, thing

ROOT = "/GroupIDDataService/api/DataSyncJobs"
TOKEN = "/GroupIDSecurityService/connect/token"  # noqa: S105 - an address

SCHEMAS: dict[str, Schema] = {
    "DataSyncDocument": asked({"jobInfo": OBJECT, "isTemplate": {"type": "boolean"}}, "jobInfo"),
    "DataSyncCollection": asked(
        {"jobCollectionInfo": OBJECT, "jobs": {"type": "array"}}, "jobCollectionInfo"
    ),
    "DataSyncRun": asked({"preview": {"type": "boolean"}}),
    "DataSyncFilter": asked({"filterCriteria": OBJECT, "SearchOption": OBJECT}),
    "DataSyncDone": thing(
        {"status": INTEGER, "message": MAYBE_TEXT, "data": {}, "type": INTEGER, "details": {"type": "array"}},
        more=True,
    ),
    # An address that there isn't is told as everywhere: no handler of the dialect sees it.
    "DataSyncError": {"anyOf": [ref("DataSyncDone"), ref("Error")]},
    "DataSyncData": thing({"count": INTEGER, "data": {}, "status": INTEGER, "message": MAYBE_TEXT}),
    "DataSyncNames": {"type": "array", "items": thing({"name": TEXT, "type": TEXT})},
    "ConnectForm": asked({"grant_type": TEXT, "username": TEXT, "password": TEXT}, "grant_type"),
    "ConnectToken": thing({"access_token": TEXT, "token_type": TEXT, "expires_in": INTEGER}, more=True),
}


def add_groupid_routes(router: Router) -> None:
    """Add all addresses."""
    one = f"{ROOT}/{{job_id:number}}/"
    many = f"{ROOT}/Collections/"
    collection = f"{many}{{collection_id:number}}/"
    for method, path, handler, what, body, answer, extension in (
        ("POST", f"{ROOT}/", jobs.create_job, "Make a datasync job", "DataSyncDocument", "Done", False),
        ("GET", f"{ROOT}/", jobs.list_jobs, "List datasync jobs; the filter is a body", None, "Data", False),
        ("DELETE", f"{ROOT}/", jobs.delete_jobs, "Remove datasync jobs", None, "Done", False),
        ("GET", f"{ROOT}/Names/", jobs.list_names, "List names of datasync jobs", None, "Names", False),
        ("GET", f"{one}Details/", jobs.show_details, "Show a datasync job", None, "Data", False),
        ("PUT", one, jobs.update_job, "Replace a datasync job", "DataSyncDocument", "Done", True),
        (
            "POST",
            f"{one}Run/",
            jobs.run_job,
            "Run or preview a datasync job",
            "DataSyncRun",
            "Done",
            True,
        ),
        ("GET", f"{one}Runs/", jobs.list_runs, "List a datasync job's runs", None, "Data", True),
        (
            "GET",
            f"{one}Runs/{{run_id:number}}/Log/",
            jobs.show_log,
            "Show a run",
            None,
            "Data",
            True,
        ),
        ("POST", f"{one}IgnoreScripts/", jobs.ignore_scripts, "Accept ignored code", None, "Done", True),
        (
            "POST",
            many,
            job_collections.create_collection,
            "Make a collection of datasync jobs",
            "DataSyncCollection",
            "Done",
            False,
        ),
        (
            "PATCH",
            many,
            job_collections.update_collection,
            "Replace a collection",
            "DataSyncCollection",
            "Done",
            False,
        ),
        ("GET", many, job_collections.list_collections, "List collections", None, "Data", False),
        ("DELETE", many, job_collections.delete_collections, "Remove collections", None, "Done", False),
        (
            "GET",
            f"{many}Details/",
            job_collections.list_members,
            "List jobs of collections",
            None,
            "Data",
            False,
        ),
        (
            "GET",
            f"{collection}Details/",
            job_collections.show_collection,
            "Show a collection",
            None,
            "Data",
            False,
        ),
        (
            "POST",
            f"{collection}Run/",
            job_collections.run_collection,
            "Run or preview a collection's jobs, one after the other",
            "DataSyncRun",
            "Done",
            True,
        ),
        (
            "GET",
            f"{collection}Runs/",
            job_collections.list_runs,
            "List a collection's runs",
            None,
            "Data",
            True,
        ),
    ):
        query = ("jobids",) if method == "DELETE" else ()
        add(
            router,
            method,
            path,
            handler,
            Operation(
                summary=what,
                body=body,
                answer=f"DataSync{answer}",
                query=query,
                also=(409,),
                envelope="DataSyncError",
                extension=extension,
            ),
        )
    add(
        router,
        "POST",
        f"{TOKEN}/",
        tokens.connect,
        Operation(
            summary="Log in with e-mail and token",
            body="ConnectForm",
            media="application/x-www-form-urlencoded",
            answer="ConnectToken",
            also=(413,),
        ),
    )
