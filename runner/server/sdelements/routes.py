"""The dialect's addresses. What isn't in the original is marked as an extension."""

from functools import partial

from starlette.routing import Router

from runner.server.openapi import Operation as Op
from runner.server.openapi import add
from runner.server.sdelements import (
    agents,
    analyses,
    backup,
    bulk_users,
    connection_changes,
    connection_tests,
    connections,
    connectors,
    deeds,
    group_mappings,
    groups,
    initiate,
    job_events,
    jobs,
    journal,
    mappings,
    notes,
    pausing,
    place_changes,
    places,
    plugins,
    providers,
    reference,
    remote_agents,
    status,
    tasks,
    tokens,
    users,
)
from runner.server.sdelements.analysis_file import post_file

ROOT = "/api/v2"


def add_routes(router: Router) -> None:
    """Add all addresses, the busiest first: they are tried in this order."""
    _add_jobs(router, f"{ROOT}/jobs")
    _add_jobs(router, f"{ROOT}/projects/{{project_id:number}}/jobs")
    agents.add_routes(router, ROOT)
    job_events.add_routes(router, f"{ROOT}/jobs")
    remote_agents.add_routes(router, ROOT)
    mappings.add_routes(router, ROOT)
    _add_journal(router)
    _add_file_import(router)
    _add_connections(router)
    group_mappings.add_routes(router, ROOT)
    connection_tests.add_routes(router, ROOT)
    connectors.add_routes(router, ROOT)
    providers.add_routes(router, ROOT)
    _add_places(router)
    users.add_routes(router, ROOT)
    bulk_users.add_routes(router, ROOT)
    groups.add_routes(router, ROOT)
    _add_tasks(router, f"{ROOT}/projects/{{project_id:number}}")
    analyses.add_routes(router, f"{ROOT}/projects/{{project_id:number}}")
    _add_reference(router)
    plugins.add_routes(router, ROOT)
    _add_administration(router)


def _add_jobs(router: Router, root: str) -> None:
    get, post = partial(add, router, "GET"), partial(add, router, "POST")
    query = (*jobs.FILTERS, "include", "expand")
    shown = ("include", "expand")
    one = f"{root}/{{kind:kind}}/{{job_id:number}}/"
    get(
        f"{root}/{{kind:kind}}/",
        jobs.list_jobs,
        Op(summary="List the jobs of a kind", answer="Job", listing=True, query=query),
    )
    post(
        f"{root}/{{kind:kind}}/",
        initiate.post_job,
        Op(
            summary="Start a job, or record the result of one",
            body="NewJob",
            answer="Job",
            status=201,
            also=(409, 413, 415),
        ),
    )
    get(one, jobs.show_job, Op(summary="Show a job", answer="Job", query=shown))
    get(f"{root}/", jobs.list_jobs, Op(summary="List all jobs", answer="Job", listing=True, query=query))
    get(
        f"{one}changes/",
        journal.list_changes,
        Op(
            summary="List a job's changes",
            answer="Changes",
            query=("after", "page_size"),
            extension=True,
        ),
    )
    post(
        f"{one}cancel/",
        deeds.cancel_job,
        Op(summary="Cancel a job; 202 if it runs", answer="Job", also=(409,), accepted=True, extension=True),
    )
    post(
        f"{one}retry/",
        deeds.retry_job,
        Op(
            summary="Run a finished job again",
            body="Retry",
            answer="Job",
            status=201,
            also=(409, 413, 415),
            extension=True,
        ),
    )
    post(
        f"{one}revert/",
        deeds.revert_job,
        Op(
            summary="Take back what a finished job changed",
            body="Revert",
            answer="Job",
            status=201,
            also=(409, 413, 415),
            extension=True,
        ),
    )


def _add_journal(router: Router) -> None:
    listed = Op(
        summary="List the changes of all jobs, the newest first, or export them",
        answer="JournalEntry",
        listing=True,
        files=("text/csv", "application/x-ndjson"),
        query=(*journal.FILTERS, "include", "format"),
        extension=True,
    )
    add(router, "GET", f"{ROOT}/changes/", journal.list_all_changes, listed)


def _add_file_import(router: Router) -> None:
    add(
        router,
        "POST",
        f"{ROOT}/jobs/analysis-file/",
        post_file,
        Op(
            summary="Import a scanner's report",
            body="NewFileJob",
            media="multipart/form-data",
            answer="FileJob",
            status=201,
            also=(413, 415),
        ),
    )


def _add_connections(router: Router) -> None:
    get, root = partial(add, router, "GET"), f"{ROOT}/connections"
    one = f"{root}/{{kind:kind}}/{{connection_id:number}}/"
    query = (*connections.FILTERS, "include")
    listed = Op(summary="List the connections of a kind", answer="Connection", listing=True, query=query)
    get(f"{root}/{{kind:kind}}/", connections.list_connections, listed)
    get(
        one,
        connections.show_connection,
        Op(summary="Show a connection", answer="Connection", query=("include",)),
    )
    get(
        f"{root}/",
        connections.list_connections,
        Op(summary="List all connections", answer="Connection", listing=True, query=query, extension=True),
    )
    made = Op(
        summary="Add a connection", body="NewConnection", answer="Connection", status=201, also=(413, 415)
    )
    add(router, "POST", f"{root}/{{kind:kind}}/", connection_changes.create_connection, made)
    for method, handler, what in (
        ("PUT", connection_changes.put_connection, "Change a connection and replace its params"),
        ("PATCH", connection_changes.patch_connection, "Change a connection and merge its params"),
    ):
        changed = Op(summary=what, body="ChangedConnection", answer="Connection", also=(409, 413, 415))
        add(router, method, one, handler, changed)
    for word, handler in (("pause", pausing.pause_connection), ("resume", pausing.resume_connection)):
        set_ = Op(summary=f"{word.capitalize()} a connection", answer="Connection", extension=True)
        add(router, "POST", f"{one}{word}/", handler, set_)
    gone = Op(summary="Remove a connection", status=204, also=(409,))
    add(router, "DELETE", one, connection_changes.delete_connection, gone)


def _add_places(router: Router) -> None:
    get, post = partial(add, router, "GET"), partial(add, router, "POST")
    for path, key, answer, listed, shown, made, changed, gone, filters in (
        (
            "projects",
            "project_id",
            "Project",
            places.list_projects,
            places.show_project,
            places.create_project,
            place_changes.change_project,
            place_changes.delete_project,
            ("name", "slug", "search", "application", "expand"),
        ),
        (
            "applications",
            "application_id",
            "Application",
            places.list_applications,
            places.show_application,
            places.create_application,
            place_changes.change_application,
            place_changes.delete_application,
            ("name", "slug", "search", "business_unit", "expand"),
        ),
        (
            "business-units",
            "business_unit_id",
            "BusinessUnit",
            places.list_business_units,
            places.show_business_unit,
            places.create_business_unit,
            place_changes.change_business_unit,
            place_changes.delete_business_unit,
            ("name", "slug", "search"),
        ),
    ):
        root, name = f"{ROOT}/{path}/", path.replace("-", " ")
        get(root, listed, Op(summary=f"List {name}", answer=answer, listing=True, query=filters))
        get(
            f"{root}{{{key}:number}}/",
            shown,
            Op(summary=f"Show one of the {name}", answer=answer, query=("expand",)),
        )
        post(
            root,
            made,
            Op(
                summary=f"Add to the {name}",
                body=f"New{answer}",
                answer=answer,
                status=201,
                also=(413, 415),
            ),
        )
        one = f"{root}{{{key}:number}}/"
        for method in ("PATCH", "PUT"):
            described = Op(
                summary=f"Change one of the {name}", body=f"Changed{answer}", answer=answer, also=(413, 415)
            )
            add(router, method, one, changed, described)
        removed = Op(summary=f"Remove one of the {name} that nothing belongs to", status=204, also=(409,))
        add(router, "DELETE", one, gone, removed)


def _add_tasks(router: Router, root: str) -> None:
    get = partial(add, router, "GET")
    one = f"{root}/tasks/{{task_id}}/"
    get(
        f"{root}/tasks/",
        tasks.list_tasks,
        Op(summary="List tasks", answer="Task", listing=True, query=(*tasks.FILTERS, "include", "expand")),
    )
    get(one, tasks.show_task, Op(summary="Show a task", answer="Task", query=("include", "expand")))
    own = Op(
        summary="Add a task of the project alone", body="NewTask", answer="Task", status=201, also=(413, 415)
    )
    add(router, "POST", f"{root}/tasks/", tasks.create_task, own)
    gone = Op(summary="Remove a task of the project alone", status=204, also=(409,))
    add(router, "DELETE", one, tasks.delete_task, gone)
    changed = Op(summary="Change a task", body="ChangedTask", answer="Task", also=(413, 415))
    add(router, "PATCH", one, tasks.patch_task, changed)
    get(f"{one}notes/", notes.list_notes, Op(summary="List a task's notes", answer="Note", listing=True))
    written = Op(summary="Write a note", body="NewNote", answer="Note", status=201, also=(413, 415))
    add(router, "POST", f"{one}notes/", notes.create_note, written)
    get(f"{one}notes/{{note_id:number}}/", notes.show_note, Op(summary="Show a note", answer="Note"))
    changed = Op(summary="Change a note", body="ChangedNote", answer="Note", also=(409, 413, 415))
    add(router, "PATCH", f"{one}notes/{{note_id:number}}/", notes.patch_note, changed)
    gone = Op(summary="Remove a note", status=204)
    add(router, "DELETE", f"{one}notes/{{note_id:number}}/", notes.delete_note, gone)
    get(
        f"{one}analysis-notes/",
        notes.list_analysis_notes,
        Op(summary="List what analyses said of a task", answer="AnalysisNote", listing=True),
    )
    get(
        f"{root}/analysis-sessions/",
        notes.list_sessions,
        Op(summary="List a project's imports", answer="AnalysisSession", listing=True),
    )


def _add_reference(router: Router) -> None:
    for path, handler, answer, query in (
        ("task-statuses", reference.list_task_statuses, "TaskStatus", ("meaning",)),
        ("verification-statuses", reference.list_verification_statuses, "VerificationStatus", ()),
        ("phases", reference.list_phases, "Phase", ("name", "slug")),
        ("systems", reference.list_systems, "System", ("kind",)),
    ):
        listed = Op(
            summary=f"List {path.replace('-', ' ')}", answer=answer, listing=True, paged=False, query=query
        )
        add(router, "GET", f"{ROOT}/{path}/", handler, listed)


def _add_administration(router: Router) -> None:
    root = f"{ROOT}/tokens/"
    listed = Op(summary="List tokens", answer="Token", listing=True, extension=True)
    add(router, "GET", root, tokens.list_tokens, listed)
    made = Op(
        summary="Make a token",
        body="NewToken",
        answer="MadeToken",
        status=201,
        also=(413, 415),
        extension=True,
    )
    add(router, "POST", root, tokens.create_token, made)
    gone = Op(summary="Revoke a token", status=204, extension=True)
    add(router, "DELETE", f"{root}{{token_id:number}}/", tokens.delete_token, gone)
    stop = Op(summary="Take no job", body="Pause", answer="Paused", also=(413, 415), extension=True)
    add(router, "POST", f"{ROOT}/pause/", pausing.pause, stop)
    again = Op(summary="Take jobs again", answer="Paused", extension=True)
    add(router, "POST", f"{ROOT}/resume/", pausing.resume, again)
    whole = Op(
        summary="Back the state up; over the Unix socket only",
        query=("with_key",),
        produces=backup.TYPE,
        extension=True,
    )
    add(router, "GET", f"{ROOT}/backup/", backup.make_backup, whole)
    shown = Op(summary="Show how the daemon is", answer="Status", extension=True)
    add(router, "GET", f"{ROOT}/status/", status.show_status, shown)
    compared = Op(summary="Compare with a remote server's history", answer="Reconciled", extension=True)
    add(router, "GET", f"{ROOT}/remotes/{{name}}/reconcile/", status.reconcile, compared)
