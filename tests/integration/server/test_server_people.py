"""Users, groups and the group mappings of LDAP connections."""

from typing import Any

import pytest

from runner.store import accounts
from runner.store.accounts import Role, Scope
from tests.integration.server.kit import Client, Running


def superuser(server: Running, *scopes: Scope, email: str = "root@example.com") -> Client:
    """A session of a superuser with a token of these scopes."""
    server.database.write(
        lambda c: accounts.create_user(
            c, email=email, now=server.clock(), role=Role.ADMINISTRATOR, is_superuser=True
        )
    )
    return server.client(*(scopes or (Scope.ADMIN,)), email=email)


def emails(client: Client, query: str = "") -> list[str]:
    """Whom a listing of users tells."""
    return [one["email"] for one in client.get(f"users/?{query}").json()["results"]]


def test_users_are_added_listed_changed_and_removed(server: Running) -> None:
    """A user has the fields of the original; filters narrow; one of whom nothing tells can go."""
    admin = server.admin()
    made = admin.post("users/", json={"email": "jane@example.com", "first_name": "Jane", "last_name": "Doe"})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["role"], shown["is_active"], shown["groups"]) == (
        {"id": "UR5", "name": "No Role"},
        True,
        [],
    )
    path = f"users/{shown['id']}/"
    changed = admin.patch(path, json={"last_name": "Roe", "role": "UR1", "is_active": False}).json()
    assert (changed["first_name"], changed["last_name"], changed["role"]["name"]) == ("Jane", "Roe", "User")
    assert emails(admin, "search=jane roe") == ["jane@example.com"] == emails(admin, "is_active=false")
    assert emails(admin, "email=JANE@example.com") == ["jane@example.com"] == emails(admin, "role=UR1")
    assert emails(admin, "search=jane doe") == []
    assert admin.get(path).json() == changed
    assert admin.delete(path).status_code == 204
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ["email"]),
        ({"email": "no mail"}, ["email"]),
        ({"email": "BOSS@example.com"}, ["email"]),
        ({"email": "a@b", "role": "UR9", "is_active": "perhaps"}, ["role", "is_active"]),
        ({"email": "a@b", "groups": ["G99"]}, ["groups"]),
        ({"email": "a@b", "groups": "G1"}, ["groups"]),
        ({"email": "a@b", "groups": [{"id": 1}, [], None]}, ["groups"]),
    ],
)
def test_what_is_wrong_with_a_user_is_named(server: Running, body: dict[str, Any], names: list[str]) -> None:
    """An e-mail is needed and belongs to one; roles and groups must be there."""
    refused = server.admin().post("users/", json=body)
    assert (refused.status_code, list(refused.json())) == (400, names)


def test_a_user_leaves_and_the_tokens_are_dead(server: Running) -> None:
    """Who is set inactive is shut out at once, and comes back with the same token."""
    admin = server.admin()
    leaver = server.client(Scope.READ, email="leaver@example.com")
    me = leaver.get("users/me/").json()
    assert me["email"] == "leaver@example.com"
    path = f"users/{me['id']}/"
    assert admin.patch(path, json={"is_active": False}).status_code == 200
    refused = leaver.get("users/me/")
    assert (refused.status_code, refused.json()["detail"]) == (401, "User inactive or deleted.")
    assert admin.patch(path, json={"is_active": True}).status_code == 200
    assert leaver.get("users/me/").status_code == 200


def test_power_over_users_is_not_taken(server: Running) -> None:
    """Administrators make no superusers, agents of superusers no administrators, others nobody."""
    root, admin = superuser(server), server.admin()
    agent = server.client(Scope.AGENT, email="root@example.com")
    weak = server.client(Scope.AGENT, email="agent@example.com")
    root_path = f"users/{root.get('users/me/').json()['id']}/"
    assert admin.post("users/", json={"email": "a@b", "is_superuser": True}).status_code == 403
    assert admin.patch(root_path, json={"is_active": False}).status_code == 403
    assert admin.delete(root_path).status_code == 403
    assert root.patch(root_path, json={"is_active": False}).status_code == 409
    assert agent.patch(root_path, json={"first_name": "X"}).status_code == 403
    assert agent.post("users/", json={"email": "a@b", "role": "UR4"}).status_code == 403
    assert agent.post("users/", json={"email": "a@b", "role": "UR1"}).status_code == 201
    assert weak.post("users/", json={"email": "c@d"}).status_code == 403
    assert root.post("users/", json={"email": "e@f", "is_superuser": True}).json()["is_superuser"] is True


def test_the_service_account_is_left_alone(server: Running) -> None:
    """Nobody changes or removes the account that runs act under."""
    service = server.database.write(lambda c: accounts.service_account(c, now=server.clock()))
    root = superuser(server)
    assert root.patch(f"users/{service}/", json={"is_active": True}).status_code == 409
    assert root.delete(f"users/{service}/").status_code == 409


def test_who_started_jobs_stays_known(server: Running) -> None:
    """A user whom jobs name is deactivated, not removed."""
    runner = server.client(Scope.RUN, Scope.READ, email="runner@example.com")
    connection = server.connection()
    assert (
        runner.post("jobs/alm/", json={"connection": connection, "automatic": False, "ready": False})
    ).status_code == 201
    ident = runner.get("users/me/").json()["id"]
    refused = server.admin().delete(f"users/{ident}/")
    assert (refused.status_code, "deactivate" in refused.json()["detail"]) == (409, True)


def test_groups_have_members_of_both_sorts(server: Running) -> None:
    """Users and groups are members; PUT replaces them; include= tells who is in it in the end."""
    admin = server.admin()
    for name in ("ann", "bob", "eve"):
        admin.post("users/", json={"email": f"{name}@example.com"})
    inner = admin.post("groups/", json={"name": "Writers", "users": [{"email": "ANN@example.com"}]})
    assert inner.status_code == 201
    ident = inner.json()["id"]
    assert ident.startswith("G")
    body = {"name": "All", "users": [{"email": "bob@example.com"}], "groups": [ident], "role": "UR1"}
    outer = admin.post("groups/", json=body).json()
    path = f"groups/{outer['id']}/"
    shown = admin.get(f"{path}?include=all_users,total_user_count,users,groups,sync_connections").json()
    assert [one["email"] for one in shown["users"]] == ["bob@example.com"]
    assert [one["email"] for one in shown["all_users"]] == ["ann@example.com", "bob@example.com"]
    assert (shown["total_user_count"], shown["groups"]) == (2, [{"id": ident, "name": "Writers"}])
    assert emails(admin, f"group={ident}") == ["ann@example.com"]
    changed = admin.put(path, json={"name": "Everybody", "users": [{"email": "eve@example.com"}]}).json()
    assert [one["email"] for one in changed["users"]] == ["eve@example.com"]
    (eve,) = admin.get("users/?email=eve@example.com").json()["results"]
    assert eve["groups"] == [{"id": outer["id"], "name": "Everybody", "role": "UR1"}]
    back = admin.patch(f"users/{eve['id']}/", json={"groups": [ident]}).json()
    assert [one["name"] for one in back["groups"]] == ["Writers"]
    assert admin.delete(path).status_code == 204
    assert [one["name"] for one in admin.get("groups/?search=writ").json()["results"]] == ["Writers"]


def test_what_is_wrong_with_a_group_is_named(server: Running) -> None:
    """Names are taken once, members must be there, and no group is in itself."""
    admin = server.admin()
    one = admin.post("groups/", json={"name": "One"}).json()["id"]
    two = admin.post("groups/", json={"name": "Two", "groups": [one]}).json()["id"]
    assert list(admin.post("groups/", json={"name": "ONE"}).json()) == ["name"]
    assert admin.post("groups/", json={"name": "Österreich"}).status_code == 201
    assert list(admin.post("groups/", json={"name": "Österreich"}).json()) == ["name"]
    circle = admin.patch(f"groups/{one}/", json={"groups": [two]})
    assert (circle.status_code, list(circle.json())) == (400, ["groups"])
    unknown = admin.patch(f"groups/{one}/", json={"users": [{"email": "x@y"}, {"id": 99}, 7]})
    assert (unknown.status_code, len(unknown.json()["users"])) == (400, 3)
    assert admin.get("groups/G99/").status_code == admin.get("groups/x/").status_code == 404


def test_group_mappings_do_as_the_original(server: Running) -> None:
    """Superusers add, list, search, change and remove them; a mapped group can't be removed."""
    root = superuser(server)
    connection = server.connection("ldap")
    groups = [root.post("groups/", json={"name": name}).json()["id"] for name in ("group_1", "ops team")]
    path = f"connections/ldap/{connection}/group-mappings/"
    first = root.post(path, json={"ldap_group": "developers", "sde_group": groups[0]})
    assert first.status_code == 201
    assert first.json()["sde_group"] == {"id": groups[0], "name": "group_1"}
    second = root.post(path, json={"ldap_group": "second ldap", "sde_group": {"id": groups[1]}}).json()
    assert [one["id"] for one in root.get(path).json()["results"]] == [second["id"], first.json()["id"]]
    found = {
        query: [one["ldap_group"] for one in root.get(f"{path}?search={query}").json()["results"]]
        for query in ("dev group", "second", "team", "dev second", "")
    }
    assert found == {
        "dev group": ["developers"],
        "second": ["second ldap"],
        "team": ["second ldap"],
        "dev second": [],
        "": ["second ldap", "developers"],
    }
    one = f"{path}{second['id']}/"
    changed = root.put(one, json={"id": 1, "ldap_group": "admins", "sde_group": groups[0]}).json()
    assert (changed["id"], changed["ldap_group"], changed["sde_group"]["id"]) == (
        second["id"],
        "admins",
        groups[0],
    )
    assert changed["last_modified"] > second["last_modified"]
    refused = root.delete(f"groups/{groups[0]}/")
    assert (refused.status_code, str(connection) in refused.json()["detail"]) == (409, True)
    assert root.delete(one).status_code == 204
    assert root.get(one).status_code == 404


DIRECTORY = {
    "ldap_server": "ldap.example.com",
    "bind_dn": "cn=reader,dc=example,dc=com",
    "bind_password": "pw",
    "base_dn": "dc=example,dc=com",
}


class Older:
    """A connection that maps groups in the older form, and both forms of what it maps."""

    def __init__(self, root: Client, mapping: dict[str, Any]) -> None:
        self.root = root
        body = {"alias": "Older", "system": "sync_ldap", "params": {**DIRECTORY, "group_mapping": mapping}}
        made = root.post("connections/ldap/", json=body)
        assert made.status_code == 201, made.text
        self.id = made.json()["id"]
        self.path = f"connections/ldap/{self.id}/"

    def rows(self) -> dict[str, str]:
        """What its rows say; none of a name twice."""
        found = self.root.get(f"{self.path}group-mappings/").json()["results"]
        return {one["ldap_group"]: one["sde_group"]["name"] for one in found}

    def parameter(self) -> dict[str, Any]:
        """What its parameter says."""
        told: dict[str, Any] = self.root.get(self.path).json()["params"]["group_mapping"]
        return told

    def say(self, mapping: dict[str, Any]) -> None:
        """Write the parameter anew."""
        changed = self.root.patch(self.path, json={"params": {"group_mapping": mapping}})
        assert changed.status_code == 200, changed.text


@pytest.mark.parametrize("by", ["id", "number", "name"])
def test_a_group_that_a_parameter_maps_cant_be_removed(server: Running, by: str) -> None:
    """The inline ``group_mapping`` of older clients becomes rows, until it is gone, or its connection is."""
    root = superuser(server)
    group = root.post("groups/", json={"name": "Ops team"}).json()["id"]
    value = {"id": group, "number": int(group[1:]), "name": "ops TEAM"}[by]
    older = Older(root, {"operators": value})
    assert older.parameter() == {"operators": value}
    assert older.rows() == {"operators": "Ops team"}
    refused = root.delete(f"groups/{group}/")
    assert (refused.status_code, f"({older.id})" in refused.json()["detail"]) == (409, True)
    older.say({})
    assert older.rows() == {}
    older.say({"operators": value})
    assert root.delete(f"groups/{group}/").status_code == 409
    assert root.delete(older.path).status_code == 204
    assert root.delete(f"groups/{group}/").status_code == 204


def test_the_parameter_and_the_rows_say_the_same(server: Running) -> None:
    """Whoever changes one of them, or a group's name, changes what the other says."""
    root = superuser(server)
    ops, devs = (root.post("groups/", json={"name": name}).json()["id"] for name in ("Ops", "Devs"))
    older = Older(root, {"operators": "ops", "developers": devs, "later": "Nobody yet"})
    rows = f"{older.path}group-mappings/"
    assert older.rows() == {"operators": "Ops", "developers": "Devs"}

    one = root.post(rows, json={"ldap_group": "admins", "sde_group": ops}).json()
    assert root.post(rows, json={"ldap_group": "admins", "sde_group": devs}).status_code == 201
    assert older.parameter() == {
        "operators": "ops",
        "developers": devs,
        "later": "Nobody yet",
        "admins": "Ops",
    }
    older.say(older.parameter())  # as a client does that sends back what it was shown
    assert len(root.get(rows).json()["results"]) == 4
    root.put(f"{rows}{one['id']}/", json={"ldap_group": "root", "sde_group": ops})
    assert older.parameter()["admins"] == "Devs"
    assert root.delete(f"{rows}{one['id']}/").status_code == 204
    assert "root" not in older.parameter()

    assert root.patch(f"groups/{ops}/", json={"name": "Operations"}).status_code == 200
    assert older.parameter()["operators"] == "Operations"
    assert root.post("groups/", json={"name": "nobody YET"}).status_code == 201
    assert older.rows() == {
        "operators": "Operations",
        "developers": "Devs",
        "later": "nobody YET",
        "admins": "Devs",
    }
    older.say({"developers": "Devs"})
    assert older.rows() == {"developers": "Devs"}


def test_group_mappings_are_for_superusers(server: Running) -> None:
    """Neither an administrator nor an agent who is no superuser sees them; what is wrong is named."""
    root, connection = superuser(server), server.connection("ldap")
    path = f"connections/ldap/{connection}/group-mappings/"
    for client in (server.admin(), server.client(Scope.AGENT, email="agent@example.com")):
        assert client.get(path).status_code == client.post(path, json={}).status_code == 403
    weak = server.client(Scope.READ, email="root@example.com")
    assert weak.get(path).status_code == 403
    assert server.client(Scope.AGENT, email="root@example.com").get(path).json() == {"results": []}
    group = root.post("groups/", json={"name": "g"}).json()["id"]
    for body, names in (
        ({}, ["ldap_group", "sde_group"]),
        ({"ldap_group": " ", "sde_group": "G99"}, ["ldap_group", "sde_group"]),
        ({"ldap_group": "a", "sde_group": 7}, ["sde_group"]),
    ):
        refused = root.post(path, json=body)
        assert (refused.status_code, list(refused.json())) == (400, names)
    assert root.post(path, json={"ldap_group": "a", "sde_group": group}).status_code == 201
    assert root.post(path, json={"ldap_group": "a", "sde_group": group}).status_code == 400
    alm = server.connection("rally")
    assert root.get(f"connections/ldap/{alm}/group-mappings/").status_code == 404
    assert root.get("connections/ldap/99/group-mappings/").status_code == 404


def test_jobs_tell_the_groups_of_who_ran_them(server: Running) -> None:
    """``expand=user`` shows a user with their groups."""
    admin, connection = server.admin(), server.connection()
    group = admin.post("groups/", json={"name": "g", "users": [{"email": "boss@example.com"}]}).json()
    admin.post("jobs/alm/", json={"connection": connection, "automatic": False, "ready": False})
    (job,) = admin.get("jobs/?expand=user,triggered_by").json()["results"]
    assert (
        job["user"]["groups"]
        == job["triggered_by"]["groups"]
        == [{"id": group["id"], "name": "g", "role": None}]
    )
