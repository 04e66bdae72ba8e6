"""The connector against a real Active Directory domain."""

import csv
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.directory.opening import opened
from runner.directory.port import Edit, Modification
from runner.errors import BadInput, ConfigRejected
from runner.model.changes import ChangeState, Op
from tests.integration.datasync.world import (
    CONTAINER,
    JOIN,
    STATIC,
    World,
    document,
    field,
    samba_world,
    seed_fields,
)
from tests.servers import samba
from tests.servers.samba import SambaServer

pytestmark = pytest.mark.xdist_group("samba")

SHEET: list[list[Any]] = [["First", "Last"], ["Ada", "Lovelace"], ["Bob", "Noyce"], ["Cem", "Öz"]]


@pytest.fixture
def world(samba_server: SambaServer, tmp_path: Path) -> Iterator[World]:
    """Give the documented example over a fresh domain."""
    with samba_world(samba_server, tmp_path) as found:
        found.write(SHEET)
        yield found


def updatable() -> dict[str, Any]:
    """A copy of the example with a key of its own and fields that follow the sheet."""
    fields = [
        field("employeeID", "Nr", isKey=True),
        field("cn", transform=JOIN),
        field("sAMAccountName", transform="Left:field={Join:field=First;separator=.;field=Last};length=20"),
        field("givenName", "First", forCreateOnly=False),
        field("sn", "Last", forCreateOnly=False),
        field("telephoneNumber", "Phone", forCreateOnly=False),
        field("otherTelephone", "Others", forCreateOnly=False, delimiter=";"),
        field("manager", transform="Resolve:field=Boss;attribute=employeeID", forCreateOnly=False),
    ]
    return document(fields)


PEOPLE: list[list[Any]] = [
    ["Nr", "First", "Last", "Phone", "Others", "Boss"],
    ["007", "Ada", "Lovelace", "+1", "1;2", "8"],
    ["8", "Bob", "Noyce", None, None, None],
]


def test_the_example_makes_accounts_that_can_log_in(world: World) -> None:
    """The documented job makes its accounts with their password, and a second run plans nothing."""
    planned = world.run()
    assert [(change.op, change.subject) for change in planned] == [
        (Op.CREATE, "Ada_api_Lovelace"),
        (Op.CREATE, "Bob_api_Noyce"),
        (Op.CREATE, "Cem_api_Öz"),
    ]
    assert world.said.startswith("3 accounts share one password")
    for name, entry in world.entries("givenName", "sAMAccountName").items():
        assert entry.text("userAccountControl") == "512"
        assert entry.text("sAMAccountName") == name
        assert world.can_log_in(entry.dn, STATIC)
        assert not world.can_log_in(entry.dn, STATIC + "x")
    assert world.plan() == []


def test_rows_that_change_change_nothing_in_the_example(world: World) -> None:
    """Fields for creation only stay; a changed key makes a new account, and the old one is named."""
    world.run()
    world.write([["First", "Last"], ["Ada", "Lovelace"], ["Bob", "Noyce"], ["Cem", "Ozan"]])
    (change,) = world.plan()
    assert (change.op, change.subject) == (Op.CREATE, "Cem_api_Ozan")
    assert "1 account lost its row" in world.said
    assert "Cem_api_Öz," in world.said


def test_made_passwords_are_announced_before_they_are_set(world: World) -> None:
    """Each account gets a password of its own, which the operator finds in a file of theirs alone."""
    world.document = document(seed_fields(password={"passwordLength": 7, "passwordType": 1}))
    world.run()
    (path,) = (world.folder / "passwords").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len({line["password"] for line in lines}) == 3
    entries = world.entries()
    for line in lines:
        assert world.can_log_in(entries[line["account"]].dn, line["password"])


def test_without_a_password_accounts_are_disabled(world: World) -> None:
    """A job that maps no password makes accounts nobody can log in to."""
    world.document = document([each for each in seed_fields() if each["destinationField"] != "password"])
    world.run()
    assert {entry.text("userAccountControl") for entry in world.entries().values()} == {"514"}
    assert world.plan() == []


def test_updatable_fields_follow_the_sheet(world: World) -> None:
    """With a key of its own, edited rows become updates: changed, added, several, emptied, a manager."""
    world.document = updatable()
    world.write(PEOPLE)
    world.run()
    entries = world.entries("telephoneNumber", "otherTelephone", "manager", "employeeID")
    assert entries["Ada_api_Lovelace"].text("employeeID") == "007"
    assert entries["Ada_api_Lovelace"].text("manager") == entries["Bob_api_Noyce"].dn
    assert sorted(entries["Ada_api_Lovelace"].texts("otherTelephone")) == ["1", "2"]
    assert world.plan() == []
    world.write(
        [PEOPLE[0], ["007", "Ada", "King", None, "2;3", "8"], ["8", "Bob", "Noyce", "+2", None, None]]
    )
    found = {(change.op, change.subject, *(change.after or {})) for change in world.run()}
    assert found == {
        (Op.UPDATE, "Ada_api_King", "sn", "otherTelephone"),
        (Op.UPDATE, "Bob_api_Noyce", "telephoneNumber"),
        (Op.BLANK, "Ada_api_King", "telephoneNumber"),
    }
    entries = world.entries("sn", "telephoneNumber", "otherTelephone")
    assert entries["Ada_api_Lovelace"].text("sn") == "King"
    assert entries["Ada_api_Lovelace"].text("telephoneNumber") == ""
    assert sorted(entries["Ada_api_Lovelace"].texts("otherTelephone")) == ["2", "3"]
    assert world.plan() == []


def test_what_somebody_changed_meanwhile_is_left_alone(world: World) -> None:
    """A change is compared with what is there inside its write, and skipped where somebody was quicker."""
    world.document = updatable()
    world.write(PEOPLE)
    world.run()
    world.write([PEOPLE[0], ["007", "Ada", "King", "+1", "1;2", "8"], PEOPLE[2]])
    planned = world.plan()
    with opened(world.access) as directory:
        steps = [Modification(Edit.REPLACE, "sn", ["Byron"])]
        directory.modify(world.entries()["Ada_api_Lovelace"].dn, steps)
    (outcome,) = world.make(planned)
    assert outcome.state is ChangeState.SKIPPED
    assert "sn was changed meanwhile" in outcome.message
    assert world.entries("sn")["Ada_api_Lovelace"].text("sn") == "Byron"


def test_accounts_move_are_disabled_and_enabled_by_columns(world: World) -> None:
    """The container and whether an account is disabled may come from columns."""
    with opened(world.access) as directory:
        directory.add(f"OU=New,{CONTAINER}", {"objectClass": ["organizationalUnit"]})
    fields = [*seed_fields(), field("Disable Account", "Off", forCreateOnly=False)]
    world.document = document(fields, containerOption="2", containerOptionValue="Where")
    header = ["First", "Last", "Where", "Off"]
    world.write([header, ["Ada", "L", CONTAINER, False], ["Bob", "N", CONTAINER, None]])
    world.run()
    world.write([header, ["Ada", "L", f"ou=new,{CONTAINER}", False], ["Bob", "N", CONTAINER, True]])
    assert {change.op for change in world.run()} == {Op.MOVE, Op.DEACTIVATE}
    entries = world.entries()
    assert entries["Ada_api_L"].dn.lower() == f"cn=ada_api_l,ou=new,{CONTAINER}".lower()
    assert entries["Bob_api_N"].text("userAccountControl") == "514"
    world.write([header, ["Ada", "L", f"OU=New,{CONTAINER}", False], ["Bob", "N", CONTAINER, False]])
    assert [change.op for change in world.run()] == [Op.ACTIVATE]
    assert world.plan() == []


def test_delete_is_for_jobs_that_ask_for_it(world: World) -> None:
    """A lost row deletes its account only where the job says so, and then with the proof of a whole read."""
    world.run()
    world.write(SHEET[:3])
    assert world.plan() == []
    world.document = document(isDelete=True)
    (change,) = world.plan()
    assert (change.op, change.subject) == (Op.DELETE, "Cem_api_Öz")
    assert change.proof is not None
    world.run()
    assert set(world.entries()) == {"Ada_api_Lovelace", "Bob_api_Noyce"}


def test_groups_with_members(world: World) -> None:
    """Groups are made with members, which come and go with the sheet."""
    world.run()
    fields = [
        field("cn", "Group", isKey=True),
        field("sAMAccountName", "Group"),
        field("description", "About", forCreateOnly=False),
        field("member", "People", delimiter=",", forCreateOnly=False),
    ]
    world.document = document(fields, displayName="Group")
    header = ["Group", "About", "People"]
    world.write([header, ["Maths", "Numbers", "Ada_api_Lovelace, Bob_api_Noyce"]])
    assert [change.op for change in world.run()] == [Op.CREATE, Op.ADD_MEMBER, Op.ADD_MEMBER]
    assert len(world.entries("member")["Maths"].texts("member")) == 2
    assert world.plan() == []
    world.write([header, ["Maths", "Numbers", "Bob_api_Noyce,Cem_api_Öz"]])
    assert [change.op for change in world.run()] == [Op.ADD_MEMBER, Op.REMOVE_MEMBER]
    members = world.entries("member")["Maths"].texts("member")
    assert sorted(dn.split(",")[0] for dn in members) == ["CN=Bob_api_Noyce", "CN=Cem_api_Öz"]


def test_contacts_are_made(world: World) -> None:
    """Contacts have a name and no log-in."""
    fields = [field("cn", transform=JOIN, isKey=True), field("mail", "Mail", forCreateOnly=False)]
    world.document = document(fields, displayName="Contact")
    world.write([["First", "Last", "Mail"], ["Ada", "L", "ada@example.com"]])
    world.run()
    assert world.entries("mail")["Ada_api_L"].text("mail") == "ada@example.com"
    assert world.plan() == []


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["A" * 15, "B"], "has 21 characters, and Windows takes 20"),
        (["A/", "B"], "has '/', which account names can't have"),
        (["A", "B."], "ends with a point"),
        (["ada", "LOVELACE"], "key stands in row 2 as well"),
        (["Ád\u0101", "Lovelace"], "key stands in row 2 as well"),
        ([None, None], None),
        (["A\nx", "B"], "control character"),
    ],
)
def test_bad_rows_are_named_and_spoil_no_other(world: World, row: list[Any], sentence: str | None) -> None:
    """What Windows wouldn't take is said for its row; the others are made if the job continues."""
    world.document = document(on_failure="Continue")
    world.write([*SHEET[:3], row])
    subjects = {change.subject for change in world.plan()}
    assert "Bob_api_Noyce" in subjects
    if sentence is None:
        assert world.said.count("left out") == 0
    else:
        assert "row 4" in world.said
        assert sentence in world.said
        world.document = document()
        with pytest.raises(BadInput, match="nothing was written"):
            world.plan()


def test_clash_names_the_other_object(world: World) -> None:
    """A name in use elsewhere in the domain is refused with the DN of who has it; others are made."""
    with opened(world.access) as directory:
        directory.add(
            f"CN=Elsewhere,CN=Users,{samba.BASE}",
            {"objectClass": ["user"], "sAMAccountName": ["bob_API_noyce"]},
        )
    world.document = document(on_failure="Continue")
    outcomes = world.make(world.plan())
    assert [outcome.state for outcome in outcomes].count(ChangeState.DONE) == 2
    (failed,) = [outcome for outcome in outcomes if outcome.state is ChangeState.FAILED]
    assert f"CN=Elsewhere,CN=Users,{samba.BASE}" in failed.message
    world.document = document()
    states = [outcome.state for outcome in world.make(world.plan())]
    assert states == [ChangeState.FAILED]


def test_abort_makes_nothing_after_a_failure(world: World) -> None:
    """A job that aborts leaves what follows its first failure, and says so."""
    with opened(world.access) as directory:
        directory.add(
            f"CN=Elsewhere,CN=Users,{samba.BASE}",
            {"objectClass": ["user"], "sAMAccountName": ["Ada_api_Lovelace"]},
        )
    outcomes = world.make(world.plan())
    assert [outcome.state for outcome in outcomes] == [ChangeState.FAILED, *[ChangeState.SKIPPED] * 2]
    assert world.entries() == {}


def test_broken_off_account_is_finished_by_the_next_run(world: World) -> None:
    """An account that never got its password counts as absent, and the next run makes the rest of it."""
    planned = world.plan()
    with opened(world.access) as directory:
        directory.add(
            f"CN=Ada_api_Lovelace,{CONTAINER}",
            {"objectClass": ["user"], "sAMAccountName": ["Ada_api_Lovelace"], "userAccountControl": ["514"]},
        )
    context = world.context()
    assert world.connector.current(context, "user", [planned[0].key]) == {planned[0].key: None}
    assert world.plan() == planned
    world.run()
    assert world.can_log_in(world.entries()["Ada_api_Lovelace"].dn, STATIC)


def test_policy_is_known_before_the_first_row(world: World) -> None:
    """A static password that the domain refuses stops the job before anything is made."""
    world.document["static_passwords"] = {"1:password": "webdir"}
    with pytest.raises(ConfigRejected, match="shorter than the domain's 7"):
        world.plan()
    world.document["static_passwords"] = {"1:password": "webdirwebdir"}
    with pytest.raises(ConfigRejected, match="too simple"):
        world.plan()


def test_missing_column_stops_before_the_first_row(world: World) -> None:
    """A mapped column that the sheet lacks is named with the nearest."""
    world.write([["First", "Lastname"], ["Ada", "Lovelace"]])
    with pytest.raises(ConfigRejected, match=r"no column 'Last'.*mean 'Lastname'"):
        world.plan()


def test_time_stamp_takes_new_rows_only(world: World) -> None:
    """A job with a time-stamp field looks at rows that are newer than the last run's."""
    world.document = updatable()
    world.document["syncQuery"][0] |= {"timeStampField": "At", "updateAll": False}
    header = [*PEOPLE[0], "At"]
    world.write([header, [*PEOPLE[1], "2026-01-01 10:00:00"], [*PEOPLE[2], "2026-01-02"]])
    world.run()
    world.write(
        [
            header,
            ["007", "X", "Y", None, None, None, "2026-01-01"],
            ["8", "B", "N", None, None, None, "2026-01-03"],
        ]
    )
    (change,) = world.plan()
    assert (change.op, change.key) == (Op.UPDATE, "(employeeID=8)")
