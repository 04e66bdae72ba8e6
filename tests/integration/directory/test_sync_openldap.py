"""The directory's people at the platform, with OpenLDAP: by real daemons, workers and searches."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.conformance.daemons import Daemons
from runner.directory.port import Edit, Modification
from runner.model.changes import ChangeState
from runner.store.accounts import Role
from tests.integration.directory.clubs import slapd_administrator
from tests.integration.directory.days import DAYS, live_through
from tests.integration.directory.stage import Stage
from tests.servers import fault_proxy, slapd
from tests.servers.slapd import GROUPS, PEOPLE, LdapEntry, SlapdServer, group, person

pytestmark = pytest.mark.xdist_group("slapd")

DEVS, OPS = f"cn=devs,{GROUPS}", f"cn=ops,{GROUPS}"


def dn(uid: str) -> str:
    """Somebody's name in the directory."""
    return f"uid={uid},{PEOPLE}"


def some(number: int) -> list[str]:
    """That many log-in names."""
    return [f"u{each}" for each in range(number)]


@pytest.fixture
def new_stage(
    tmp_path: Path, forked_daemons: Daemons, slapd_server: SlapdServer
) -> Iterator[Callable[..., Stage]]:
    """Give a function that fills the directory and makes a platform beside it."""
    stages: list[Stage] = []

    def make(*entries: LdapEntry, mappings: dict[str, int] | None = None, **params: Any) -> Stage:
        slapd_server.reset(entries)
        values = {
            "ldap_server": f"127.0.0.1:{slapd_server.port}",
            "ldap_method": "LDAP",
            "bind_dn": slapd.READER,
            "bind_password": slapd.READER_PASSWORD,
            "group_base_dn": GROUPS,
            "page_size": 200,
            "timeout": 2,
            "deactivation": True,
            **params,
        }
        stage = Stage(
            home=tmp_path,
            daemons=forked_daemons,
            params=values,
            mappings={"devs": 1, "ops": 2} if mappings is None else mappings,
        )
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.close()


def small(*more: LdapEntry) -> list[LdapEntry]:
    """Ada and Bob develop, Bob and Cem operate, Dia does neither."""
    people = [person(uid) for uid in ("ada", "bob", "cem", "dia")]
    return [*people, group("devs", [dn("ada"), dn("bob")]), group("ops", [dn("bob"), dn("cem")]), *more]


# --- the life of an account --------------------------------------------------------------


def test_a_first_sync_makes_accounts_and_a_second_finds_nothing(new_stage: Callable[..., Stage]) -> None:
    """Who is in a mapped group has an account and its memberships; then there is nothing to do."""
    stage = new_stage(*small())
    first = stage.sync()
    assert first.outcome == "succeeded"
    assert first.message.startswith("3 users created, 4 members added to groups.")
    assert stage.active() == ["ada@example.com", "bob@example.com", "cem@example.com"]
    assert (stage.members("G1"), stage.members("G2")) == (
        ["ada@example.com", "bob@example.com"],
        ["bob@example.com", "cem@example.com"],
    )
    assert stage.people()["ada@example.com"]["first_name"] == "Ada"
    assert stage.sync().message == "Nothing to change."


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_server_kept_here_gives_its_log_in(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer, by: str
) -> None:
    """A connection that names a kept server is synchronised with that one's address and password.

    Nobody who may change the connection leads that password elsewhere by it.
    """
    stage = new_stage(*small())
    kept = {
        "host": "127.0.0.1",
        "port": str(slapd_server.port),
        "encryption": "none",
        "dn": slapd.BASE,
        "username": slapd.READER,
        "password": slapd.READER_PASSWORD,
    }
    number = stage.keep_server("Head office", kept)
    given = ("ldap_method", "bind_dn", "bind_password")
    stage.params = {name: value for name, value in stage.params.items() if name not in given}
    stage.set(directory=number if by == "id" else "Head office", ldap_server="127.0.0.1:1")
    assert stage.succeed()
    assert stage.active() == ["ada@example.com", "bob@example.com", "cem@example.com"]


def test_a_preview_is_what_the_run_does(new_stage: Callable[..., Stage]) -> None:
    """The changes of the preview are those of the run, and the preview writes nothing."""
    stage = new_stage(*small())
    preview = stage.sync(preview=True)
    assert stage.people() == {}
    assert preview.told(ChangeState.PLANNED) == stage.succeed()


def test_renamed_and_moved_people_keep_their_accounts(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """Neither another mail nor another place in the tree makes somebody a stranger."""
    stage = new_stage(*small((f"ou=far,{slapd.BASE}", {"objectClass": ["organizationalUnit"], "ou": "far"})))
    stage.succeed()
    before = stage.people()["ada@example.com"]["id"]
    with slapd_administrator(slapd_server) as directory:
        directory.modify(dn("ada"), [Modification(Edit.REPLACE, "mail", ["ada.roe@example.com"])])
        moved = directory.move(dn("ada"), rdn="uid=ada2", parent=f"ou=far,{slapd.BASE}")
        # Not every server follows a move in its lists of members.
        directory.modify(DEVS, [Modification(Edit.REPLACE, "member", [moved, dn("bob")])])
    assert stage.succeed() == ["update ada@example.com"]
    assert stage.people()["ada.roe@example.com"]["id"] == before
    assert stage.succeed() == []


def test_who_leaves_and_returns_is_deactivated_and_active_again(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """Out of all mapped groups: inactive. Back in one: active, with the memberships of now."""
    stage = new_stage(*small())
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        directory.modify(DEVS, [Modification(Edit.DELETE, "member", [dn("ada")])])
    assert stage.succeed() == ["deactivate ada@example.com"]
    assert stage.succeed() == []
    with slapd_administrator(slapd_server) as directory:
        directory.modify(OPS, [Modification(Edit.ADD, "member", [dn("ada")])])
    assert sorted(stage.succeed()) == [
        "activate ada@example.com",
        "add_member ada@example.com G2",
        "remove_member ada@example.com G1",
    ]


def test_who_is_deleted_in_the_directory_is_deactivated(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """Gone altogether, while the group still has the dangling name."""
    stage = new_stage(*small())
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        directory.delete(dn("ada"))
    done = stage.sync()
    assert done.told() == ["deactivate ada@example.com"]
    assert "gone" in done.rows[0].why


def test_without_deactivation_leavers_lose_their_groups_only(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """They keep their account, and the check says so."""
    stage = new_stage(*small(), deactivation=False)
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        directory.modify(DEVS, [Modification(Edit.DELETE, "member", [dn("ada")])])
    assert stage.succeed() == ["remove_member ada@example.com G1"]
    assert "ada@example.com" in stage.active()


@pytest.mark.parametrize(
    ("flag", "left", "deleted"),
    [
        ("deactivate_stale_users", "remove_member", "deactivate"),
        ("deactivate_groupless_users", "deactivate", "remove_member"),
    ],
)
def test_the_two_flags_tell_leavers_apart(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer, flag: str, left: str, deleted: str
) -> None:
    """One is for who is gone from the directory, one for who is only gone from the groups."""
    stage = new_stage(*small(), deactivation=False, **{flag: True})
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        directory.modify(DEVS, [Modification(Edit.DELETE, "member", [dn("ada")])])
        directory.delete(dn("cem"))
    told = {line.split()[1]: line.split()[0] for line in stage.succeed()}
    assert told == {"ada@example.com": left, "cem@example.com": deleted}


# --- groups in groups, and large ones ----------------------------------------------------


def test_groups_in_groups_count_and_circles_end(new_stage: Callable[..., Stage]) -> None:
    """Members of members are members, however deep, and a circle is no trouble."""
    inner, deep = f"cn=inner,{GROUPS}", f"cn=deep,{GROUPS}"
    stage = new_stage(
        *(person(uid) for uid in ("ada", "bob", "cem")),
        group("devs", [dn("ada"), inner]),
        group("inner", [dn("bob").upper(), deep]),
        group("deep", [f"uid = cem, {PEOPLE}".replace(",ou", ", ou"), DEVS.upper()]),
        mappings={"devs": 1},
    )
    stage.succeed()
    assert stage.members("G1") == ["ada@example.com", "bob@example.com", "cem@example.com"]


@pytest.mark.parametrize("number", [2_500, 10_000])
def test_large_groups_are_read_whole(new_stage: Callable[..., Stage], number: int) -> None:
    """Each member once, however many; the second run plans nothing."""
    people = (person(uid) for uid in some(number))
    stage = new_stage(
        *people, group("devs", [dn(uid) for uid in some(number)]), mappings={"devs": 1}, page_size=1000
    )
    assert stage.sync().message.startswith(f"{number} users created, {number} members added")
    assert len(stage.members("G1")) == number
    assert stage.succeed() == []


def test_a_group_that_outgrows_a_range_keeps_its_members(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """From 1,498 to 1,501 members, with a server that gives 1,500 at a time and an empty list beside."""
    number = 1501
    stage = new_stage(
        *(person(uid) for uid in some(number)),
        group("devs", [dn(uid) for uid in some(1498)]),
        mappings={"devs": 1},
    )
    with fault_proxy.fault_proxy("127.0.0.1", slapd_server.port) as proxy:
        proxy.fault, proxy.request_fault = fault_proxy.ranged("member", 1500)
        stage.set(ldap_server=f"127.0.0.1:{proxy.port}")
        stage.succeed()
        assert len(stage.members("G1")) == 1498
        with slapd_administrator(slapd_server) as directory:
            more = [dn(uid) for uid in some(number)[1498:]]
            directory.modify(DEVS, [Modification(Edit.ADD, "member", more)])
        done = stage.succeed()
    assert sorted(line.split()[0] for line in done) == ["add_member"] * 3 + ["create"] * 3
    assert len(stage.members("G1")) == number


def test_a_query_of_ones_own_finds_members(new_stage: Callable[..., Stage]) -> None:
    """``group_member_query`` with the group's DN, whatever characters that has."""
    name = 'R&D (core), "x" * \\'
    escaped = 'cn=R&D (core)\\, \\"x\\" * \\\\'
    odd = f"{escaped},{GROUPS}"
    stage = new_stage(
        person("ada", groups=[odd]),
        person("bob"),
        (odd, {"objectClass": ["groupOfNames"], "cn": name, "member": [dn("ada")]}),
        mappings={name: 1},
        group_member_query="(&(objectClass=inetOrgPerson)(memberOf=%s))",
    )
    assert stage.succeed() == ["create ada@example.com", "add_member ada@example.com G1"]


def test_names_of_groups_are_taken_literally(new_stage: Callable[..., Stage]) -> None:
    """A star or a bracket in a mapping finds nobody but a group of that name."""
    for name in ("*", "x)(objectClass=*"):
        stage = new_stage(*small(), mappings={name: 1})
        done = stage.sync()
        assert (done.outcome, done.reason, done.rows) == ("failed", "bad_params", [])
        assert f"no group {name!r}" in done.message
        stage.close()
        (stage.home / "state").rename(stage.home / f"state of {len(name)}")


def test_old_spellings_and_inline_mappings_are_understood(new_stage: Callable[..., Stage]) -> None:
    """A connection as older servers have it: group_query, gn, and the mapping among the parameters."""
    stage = new_stage(
        *small(),
        mappings={},
        group_base_dn="",
        group_query=GROUPS,
        user_schema={"first_name": "gn", "last_name": "sn", "email": "mail", "full_name": "cn"},
        group_mapping={"devs": "developers", "ops": "G2"},
        ldap_filter={"groups": ["devs"], "users": []},
    )
    assert sorted(stage.succeed()) == [
        "add_member ada@example.com G1",
        "add_member bob@example.com G1",
        "create ada@example.com",
        "create bob@example.com",
    ]
    assert stage.people()["ada@example.com"]["first_name"] == "Ada"
    assert stage.members("G2") == []


# --- who may be touched ------------------------------------------------------------------


def test_nobody_is_taken_over(new_stage: Callable[..., Stage], slapd_server: SlapdServer) -> None:
    """A mail address that somebody chose for himself opens no account that is worth anything."""
    stage = new_stage(*small())
    stage.user("ada@example.com", is_superuser=True)
    stage.user("bob@example.com", role=Role.ADMINISTRATOR)
    ordinary = stage.user("cem@example.com")
    done = stage.sync()
    assert done.told() == ["update cem@example.com", "add_member cem@example.com G2"]
    assert "ada@example.com: the account with this address is a superuser" in done.message
    assert "bob@example.com: the account with this address has a role above User" in done.message
    people = stage.people()
    assert people["cem@example.com"]["id"] == ordinary
    assert not people["ada@example.com"]["directory_id"]
    # Dia gives herself Cem's address; it is his already.
    with slapd_administrator(slapd_server) as directory:
        directory.modify(dn("dia"), [Modification(Edit.REPLACE, "mail", ["cem@example.com"])])
        directory.modify(DEVS, [Modification(Edit.ADD, "member", [dn("dia")])])
    done = stage.sync()
    assert done.told() == []
    assert "cem@example.com: several people in the directory have this address" in done.message
    # Cem leaves, Dia still has the address: it opens nothing.
    with slapd_administrator(slapd_server) as directory:
        directory.delete(dn("cem"))
    done = stage.sync()
    assert done.told() == ["deactivate cem@example.com"]
    assert "belongs to another person of the directory" in done.message


def test_an_address_in_another_case_is_nobody_new(new_stage: Callable[..., Stage]) -> None:
    """In whatever script it is written: the account is found, and who is made is made once."""
    stage = new_stage(
        person("ada", mail="ÖZGE@EXAMPLE.COM"),
        person("bob", mail="Çağla.İpek@example.com"),
        group("devs", [dn("ada"), dn("bob")]),
        mappings={"devs": 1},
    )
    there = stage.user("özge@example.com")
    assert sorted(stage.succeed()) == [
        "add_member Çağla.İpek@example.com G1",
        "add_member özge@example.com G1",
        "create Çağla.İpek@example.com",
        "update özge@example.com",
    ]
    assert stage.people()["özge@example.com"]["id"] == there
    assert stage.succeed() == []


def test_superusers_are_not_locked_out(new_stage: Callable[..., Stage], slapd_server: SlapdServer) -> None:
    """Somebody who became a superuser meanwhile stays active when the directory loses him."""
    stage = new_stage(*small())
    stage.succeed()
    stage.database.write(
        lambda c: c.exec_driver_sql("UPDATE users SET is_superuser = 1 WHERE email = 'ada@example.com'")
    )
    with slapd_administrator(slapd_server) as directory:
        directory.delete(dn("ada"))
    assert stage.succeed() == []
    assert "ada@example.com" in stage.active()


def test_people_without_an_address_are_named(new_stage: Callable[..., Stage]) -> None:
    """Nobody can be told without one; the others are done."""
    stage = new_stage(
        person("ada"),
        person("bob", mail=""),
        person("cem", mail="not an address"),
        person("dia", mail="ADA@example.com"),
        group("devs", [dn(uid) for uid in ("ada", "bob", "cem", "dia")]),
        mappings={"devs": 1},
    )
    done = stage.sync()
    assert (done.outcome, done.told()) == ("succeeded", [])
    for named in ("uid=bob", "not an address", "several people"):
        assert named in done.message


# --- one person at once ------------------------------------------------------------------


def test_one_person_can_be_synchronised_at_once(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """Nobody else is touched, not even those who left."""
    stage = new_stage(*small())
    assert stage.succeed(only="Bob@example.com") == [
        "create bob@example.com",
        "add_member bob@example.com G1",
        "add_member bob@example.com G2",
    ]
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        for uid in ("ada", "cem"):
            directory.delete(dn(uid))
    assert stage.succeed(only="ada@example.com") == ["deactivate ada@example.com"]
    assert stage.active() == ["bob@example.com", "cem@example.com"]


# --- bad days: nobody is locked out ------------------------------------------------------


@pytest.mark.parametrize("query", ["", "(&(objectClass=inetOrgPerson)(memberOf=%s))"])
@pytest.mark.parametrize("day", DAYS)
def test_a_bad_day_locks_nobody_out(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer, day: str, query: str
) -> None:
    """Whatever cuts a reading short, the run fails with its reason and writes nothing."""
    number = 300
    stage = new_stage(
        *(person(uid, groups=[DEVS]) for uid in some(number)),
        group("devs", [dn(uid) for uid in some(number)]),
        mappings={"devs": 1},
        group_member_query=query,
    )
    stage.succeed()
    with fault_proxy.fault_proxy("127.0.0.1", slapd_server.port) as proxy:
        stage.set(ldap_server=f"127.0.0.1:{proxy.port}")
        live_through(DAYS[day], stage, proxy, secret=slapd.READER_PASSWORD)


def test_a_referral_sends_nobody_away(new_stage: Callable[..., Stage], slapd_server: SlapdServer) -> None:
    """A part of the people is elsewhere: nobody goes there, and nobody is deactivated for it."""
    with fault_proxy.fault_proxy("127.0.0.1", slapd_server.port) as foreign:
        elsewhere = {
            "objectClass": ["referral", "extensibleObject"],
            "ou": "elsewhere",
            "ref": f"ldap://127.0.0.1:{foreign.port}/{PEOPLE}",
        }
        stage = new_stage(*small(), page_size=200)
        stage.succeed()
        people = stage.people()
        slapd_server.reset([*small()[1:], (f"ou=elsewhere,{PEOPLE}", elsewhere)])
        stage.set(group_member_query="(&(objectClass=inetOrgPerson)(memberOf=%s))")
        done = stage.sync()
        assert (done.outcome, done.reason) == ("failed", "incomplete_read"), done.message
        assert foreign.connections == 0
    assert stage.people() == people


def test_an_empty_answer_is_not_believed(new_stage: Callable[..., Stage], slapd_server: SlapdServer) -> None:
    """Nobody in any group any more: only a person can confirm that."""
    stage = new_stage(*small())
    stage.succeed()
    slapd_server.reset([*small()[:4], group("devs", []), group("ops", [])])
    done = stage.sync()
    assert (done.outcome, done.reason, done.told()) == ("failed", "incomplete_read", [])
    stage.set(confirm_empty=True)
    assert len(stage.succeed()) == 3


def test_too_many_leavers_stop_the_run_before_its_first_write(
    new_stage: Callable[..., Stage], slapd_server: SlapdServer
) -> None:
    """Three in ten are gone: nothing is written until a person allows it, once."""
    number = 40
    people = [person(uid) for uid in some(number)]
    stage = new_stage(*people, group("devs", [dn(uid) for uid in some(number)]), mappings={"devs": 1})
    stage.succeed()
    with slapd_administrator(slapd_server) as directory:
        gone = [dn(uid) for uid in some(12)]
        directory.modify(DEVS, [Modification(Edit.DELETE, "member", gone)])
    done = stage.sync()
    assert (done.outcome, done.reason, done.told()) == ("failed", "ceiling", [])
    assert "12 of 40" in done.message
    assert len(stage.active()) == number
    stage.allow(12)
    assert len(stage.succeed()) == 12


def test_a_run_can_be_taken_back(new_stage: Callable[..., Stage], slapd_server: SlapdServer) -> None:
    """Deactivated accounts are active again, memberships are back, what was made is inactive."""
    stage = new_stage(*small())
    first = stage.sync()
    with slapd_administrator(slapd_server) as directory:
        directory.modify(DEVS, [Modification(Edit.ADD, "member", [dn("dia")])])
        directory.modify(DEVS, [Modification(Edit.DELETE, "member", [dn("ada"), dn("bob")])])
    second = stage.sync()
    assert sorted(second.told()) == [
        "add_member dia@example.com G1",
        "create dia@example.com",
        "deactivate ada@example.com",
        "remove_member bob@example.com G1",
    ]
    stage.succeed(revert_of=second.id)
    assert stage.active() == ["ada@example.com", "bob@example.com", "cem@example.com"]
    assert stage.members("G1") == ["ada@example.com", "bob@example.com"]
    stage.safety = {"destructive_floor": 100}
    stage.succeed(revert_of=first.id)
    assert stage.active() == []
