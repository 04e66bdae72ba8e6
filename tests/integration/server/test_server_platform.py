"""Projects, applications, business units, tasks, notes, and the fixed lists."""

from tests.integration.server.kit import Running


def test_the_chain_of_names_is_made_and_found(server: Running) -> None:
    """Business unit, application and project are made one under the other and found by name."""
    admin = server.admin()
    unit = admin.post("business-units/", json={"name": "General"}).json()["id"]
    owner = admin.post("applications/", json={"name": "Portal", "business_unit": unit}).json()
    assert (owner["business_unit"], owner["priority"], owner["slug"]) == (unit, "0-none", "portal")
    made = admin.post("projects/", json={"name": "Web Shop!", "application": owner["id"]})
    assert made.status_code == 201
    assert (made.json()["slug"], made.json()["application"]) == ("web-shop", owner["id"])
    for query in (
        "name=Web Shop!",
        "search=shop web",
        f"application={owner['id']}",
        "application=Portal",
        "slug=web-shop",
    ):
        assert [one["id"] for one in admin.get(f"projects/?{query}").json()["results"]] == [made.json()["id"]]
    for query in ("name=Web", "search=shop x", "application=99", "application=Other", "search=%25"):
        assert admin.get(f"projects/?{query}").json() == {"results": []}
    shown = admin.get(f"projects/{made.json()['id']}/?expand=application").json()
    assert shown["application"]["business_unit"]["name"] == "General"
    assert admin.get(f"applications/{owner['id']}/").json() == owner
    assert admin.get(f"business-units/{unit}/").json()["name"] == "General"
    assert admin.get("projects/?page_size=1").json()["count"] == 1


def test_a_name_is_taken_once(server: Running) -> None:
    """The same name in the same place is 400; a place there isn't is named."""
    admin = server.admin()
    for path, body in (
        ("business-units/", {"name": "General"}),
        ("applications/", {"name": "A", "business_unit": 1}),
        ("projects/", {"name": "P", "application": 1}),
    ):
        assert admin.post(path, json=body).status_code == 201
        again = admin.post(path, json=body)
        assert (again.status_code, list(again.json())) == (400, ["name"])
    assert list(admin.post("projects/", json={"application": 9}).json()) == ["name", "application"]
    assert list(
        admin.post("applications/", json={"name": "B", "business_unit": "x", "priority": "9"}).json()
    ) == [
        "business_unit",
        "priority",
    ]


def test_places_are_changed_moved_and_removed(server: Running) -> None:
    """What stands in a place is renamed, moved and removed; what others belong to is not."""
    admin = server.admin()
    for path, body in (
        ("business-units/", {"name": "General"}),
        ("business-units/", {"name": "Special"}),
        ("applications/", {"name": "Portal", "business_unit": 1}),
        ("projects/", {"name": "Shop", "application": 1}),
    ):
        assert admin.post(path, json=body).status_code == 201
    assert admin.patch("business-units/2/", json={"name": "Other"}).json()["slug"] == "other"
    assert admin.patch("business-units/2/", json={"name": "General"}).status_code == 400
    moved = admin.patch("applications/1/", json={"business_unit": 2, "priority": "1-high"}).json()
    assert (moved["business_unit"], moved["priority"], moved["name"]) == (2, "1-high", "Portal")
    changed = admin.patch("projects/1/", json={"archived": True, "description": None, "name": "Web"}).json()
    assert (changed["archived"], changed["slug"]) == (True, "web")
    for path in ("business-units/2/", "applications/1/"):
        assert admin.delete(path).status_code == 409
    for path in ("projects/1/", "applications/1/", "business-units/2/"):
        assert admin.delete(path).status_code == 204
        assert admin.get(path).status_code == admin.delete(path).status_code == 404


def test_a_project_with_a_history_is_archived_only(server: Running) -> None:
    """A project that connections have to do with stays."""
    project = server.project()
    server.connection(project_id=project)
    assert server.admin().delete(f"projects/{project}/").status_code == 409


def test_tasks_are_listed_and_filtered(server: Running) -> None:
    """Ids are "project-task"; the filters narrow; ``include`` and ``expand`` add."""
    project, admin = server.project(), server.admin()

    def found(query: str) -> list[str]:
        return [one["task_id"] for one in admin.get(f"projects/{project}/tasks/?{query}").json()["results"]]

    assert found("") == ["T21", "T38"]
    assert found("search=sql bind") == ["T38"]
    assert found("priority=5") == ["T21"]
    assert found("phase=X3") == found("phase=development") == ["T21", "T38"]
    assert found("phase=testing") == found("status=TS1") == found("verification=fail") == []
    shown = admin.get(
        f"projects/{project}/tasks/{project}-T21/?include=problem,tags&expand=phase,status"
    ).json()
    assert (shown["id"], shown["phase"]["slug"], shown["status"]["meaning"]) == (
        f"{project}-T21",
        "development",
        "TODO",
    )
    assert shown["problem"]["cwe"][0]["id"] == 79
    assert shown["tags"] == ["web"]
    assert admin.get(f"projects/{project}/tasks/T21/").json()["task_id"] == "T21"
    for wrong in (f"{project}-T99", f"{project + 1}-T21", "21", "x%00", "T21'--"):
        assert admin.get(f"projects/{project}/tasks/{wrong}/").status_code == 404
    assert admin.get("projects/99/tasks/").status_code == 404


def test_a_status_is_set(server: Running) -> None:
    """PATCH sets a status by id and dates it; its note is kept; an unknown one is named."""
    project, admin = server.project(), server.admin()
    path = f"projects/{project}/tasks/{project}-T21/"
    shown = admin.patch(path, json={"status": "TS1", "status_note": "Seen to.", "tags": ["a"]}).json()
    assert (shown["status"], shown["note_count"], shown["tags"]) == ("TS1", 1, ["a"])
    dated = shown["status_updated"]
    assert dated is not None
    assert admin.patch(path, json={"status": "TS1"}).json()["status_updated"] == dated
    for wrong in ({"status": "DONE"}, {"status": None}, {"status": ["TS1"]}):
        assert list(admin.patch(path, json=wrong).json()) == ["status"]
    assert list(admin.patch(path, json={"tags": [1]}).json()) == ["tags"]


def test_notes_are_written_listed_and_removed(server: Running) -> None:
    """Plain and analysis notes stand in one list; analyses' alone have theirs as well."""
    project, admin = server.project(), server.admin()
    path = f"projects/{project}/tasks/{project}-T21/notes/"
    made = admin.post(path, json={"text": "Look at this.", "automatic": True})
    assert made.status_code == 201
    assert made.json()["task"] == f"{project}-T21"
    assert made.json()["updater"]["email"] == "boss@example.com"
    server.analysis_note(1, "2 findings")
    assert [one["text"] for one in admin.get(path).json()["results"]] == ["Look at this.", "2 findings"]
    (analysis,) = admin.get(path.replace("notes/", "analysis-notes/")).json()["results"]
    assert (analysis["status"], analysis["findings"][0]["count"]) == ("fail", 2)
    assert analysis["analysis_type"]["slug"] == "fortify"
    (session,) = admin.get(f"projects/{project}/analysis-sessions/").json()["results"]
    assert (session["id"], session["analysis_ref"]) == (analysis["analysis_session"], "Build 7")
    ident = made.json()["id"]
    assert admin.get(f"{path}{ident}/").json() == made.json()
    other = f"projects/{project}/tasks/{project}-T38/notes/{ident}/"
    assert admin.get(other).status_code == admin.delete(other).status_code == 404
    assert admin.delete(f"{path}{ident}/").status_code == 204
    assert admin.get(f"{path}{ident}/").status_code == 404
    assert list(admin.post(path, json={"text": "", "automatic": "x"}).json()) == ["text", "automatic"]


def test_the_fixed_lists(server: Running) -> None:
    """Statuses, verification statuses, phases and systems, with their filters."""
    admin = server.admin()

    def ids(path: str) -> list[str]:
        return [one["id"] for one in admin.get(path).json()["results"]]

    assert ids("task-statuses/") == ["TS1", "TS2", "TS3"]
    assert ids("task-statuses/?meaning=NA") == ["TS3"]
    assert ids("verification-statuses/") == ["fail", "partial", "pass", "none"]
    assert ids("phases/") == ["X1", "X2", "X3", "X4"]
    assert ids("phases/?slug=testing") == ["X4"]
    assert ids("systems/?kind=alm") == ["rally"]
    assert admin.get("systems/?kind=x").status_code == 400
    torn = next(one for one in admin.get("systems/").json()["results"] if one["id"] == "torn")
    assert torn["broken"] == "no module"


def test_the_status_tells_what_is_wrong(server: Running) -> None:
    """Counts by state, the last failures and the engine's trouble, at a glance."""
    connection = server.connection()
    server.finished_jobs(connection, 3)
    server.finished_jobs(connection, 1, outcome="failed", reason="auth", result_message="Renew the key.")
    admin = server.admin()
    admin.post("jobs/alm/", json={"connection": connection, "automatic": False, "ready": False})
    server.engine.told |= {"trouble": "The disk is full.", "claiming": False}
    shown = admin.get("status/").json()
    assert shown["jobs"] == {"behind": 0, "pending": 1, "running": 0, "finished": 4, "unsuccessful": 1}
    assert [one["reason"] for one in shown["failures"]] == ["auth"]
    assert shown["not_ready"] == ["The disk is full."]
    assert shown["broken_systems"] == {"torn": "no module"}
