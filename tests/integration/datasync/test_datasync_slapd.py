"""The connector against a real OpenLDAP server: the same job where the schema allows, and hostile rows."""

import csv
import os
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.directory.access import Access, Security, Server
from runner.directory.opening import opened
from runner.model.changes import ChangeState, Op
from runner.model.network import Network
from runner.reading.workbook.cells import clean
from tests.integration.datasync.world import STATIC, World, document, field
from tests.servers import fault_proxy, slapd
from tests.servers.slapd import SlapdServer
from tests.workbooks import new_book

pytestmark = pytest.mark.xdist_group("slapd")

_numbers = count()


def job(container: str, *more: dict[str, Any]) -> dict[str, Any]:
    """A job that keeps people of a plain directory."""
    fields = [
        field("uid", "Id", isKey=True),
        field("cn", "Name"),
        field("sn", "Last", forCreateOnly=False),
        *more,
    ]
    return document(fields, container=container, on_failure="Continue")


@pytest.fixture
def access(slapd_server: SlapdServer) -> Access:
    """Give the log-in of a fresh server's administrator."""
    slapd_server.reset()
    return Access(
        servers=[Server(host="localhost", port=slapd_server.tls_port)],
        security=Security.LDAPS,
        bind_dn=slapd.ADMIN,
        password=slapd.ADMIN_PASSWORD,
        ca_bundle=slapd_server.certificates.ca.read_text(),
        network=Network(),
    )


@pytest.fixture
def world(access: Access, tmp_path: Path) -> World:
    """Give a job over the people of a fresh server."""
    return World(tmp_path, access, job(slapd.PEOPLE))


def test_people_of_a_plain_directory(world: World) -> None:
    """People are made, log in, follow the sheet, and a revert takes their log-in away."""
    world.document = job(
        slapd.PEOPLE,
        field("userPassword", transform="Static:value=SET"),
        field("mail", "Mail", forCreateOnly=False),
    )
    world.document["static_passwords"] = {"1:userpassword": STATIC}
    header = ["Id", "Name", "Last", "Mail"]
    world.write(
        [header, ["ada", "Ada Lovelace", "Lovelace", "ada@example.com"], ["bob", "Bob", "Noyce", None]]
    )
    made = world.run()
    assert [change.op for change in made] == [Op.CREATE, Op.CREATE]
    dn = f"CN=Ada Lovelace,{slapd.PEOPLE}"
    assert world.can_log_in(dn, STATIC)
    assert world.plan() == []
    world.write([header, ["ada", "Ada Lovelace", "King", None], ["bob", "Bob", "Noyce", "bob@example.com"]])
    assert {change.op for change in world.run()} == {Op.UPDATE, Op.BLANK}
    assert world.plan() == []


def test_accounts_are_disabled_and_enabled_by_a_column(world: World, access: Access) -> None:
    """A disabled account is one without a password; one that is as its row says is left alone."""
    off = field("Disable Account", "Off", forCreateOnly=False)
    world.document = job(slapd.PEOPLE, field("userPassword", transform="Static:value=SET"), off)
    world.document["static_passwords"] = {"1:userpassword": STATIC}
    header = ["Id", "Name", "Last", "Off"]
    world.write([header, ["ada", "Ada", "L", True], ["bob", "Bob", "N", False]])
    world.run()
    ada, bob = (f"CN={name},{slapd.PEOPLE}" for name in ("Ada", "Bob"))
    assert (world.can_log_in(ada, STATIC), world.can_log_in(bob, STATIC)) == (False, True)
    assert world.plan() == []
    world.write([header, ["ada", "Ada", "King", True], ["bob", "Bob", "N", True]])
    assert {change.op for change in world.run()} == {Op.UPDATE, Op.DEACTIVATE}
    assert not world.can_log_in(bob, STATIC)
    assert world.plan() == []
    world.write([header, ["ada", "Ada", "King", False], ["bob", "Bob", "N", True]])
    world.run()
    assert (world.can_log_in(ada, STATIC), world.can_log_in(bob, STATIC)) == (True, False)
    assert world.plan() == []


def test_nobody_is_enabled_without_a_password(world: World) -> None:
    """A job that makes no passwords enables nobody who has none, says so, and plans nothing for that."""
    world.document = job(slapd.PEOPLE, field("Disable Account", "Off", forCreateOnly=False))
    world.write([["Id", "Name", "Last", "Off"], ["ada", "Ada", "L", False], ["bob", "Bob", "N", True]])
    assert [change.op for change in world.run()] == [Op.CREATE, Op.CREATE]
    assert world.plan() == []
    assert "1 account that should be enabled can't be, for want of a password" in world.said
    assert f"cn=Ada,{slapd.PEOPLE}." in world.said


def test_the_runners_own_account_is_never_deleted(world: World, access: Access) -> None:
    """A job that deletes whoever has no row leaves the account alone that it logs in with."""
    with opened(access) as directory:
        for uid in ("me", "bob"):
            entry = {"objectClass": ["inetOrgPerson"], "cn": [uid], "sn": [uid], "userPassword": [STATIC]}
            directory.add(f"uid={uid},{slapd.PEOPLE}", entry)
    world.access = replace(access, bind_dn=f"UID=Me, {slapd.PEOPLE}", password=STATIC)
    world.document["objectsOption"][0]["isDelete"] = True
    world.write([["Id", "Name", "Last"], ["ada", "Ada", "L"]])
    assert [(change.op, change.subject) for change in world.plan()] == [
        (Op.CREATE, "Ada"),
        (Op.DELETE, "bob"),
    ]


def test_cells_that_are_no_blanks_leave_their_rows_out(world: World) -> None:
    """Formulas never calculated, errors, merged cells and long numbers are named; other rows are made."""
    book, page = new_book("TTSheet1")
    page.append(["Id", "Name", "Last", "Not mapped"])
    for number, uid in enumerate(["a", "b", "c", "d", "e", "f"], start=2):
        page.append([uid, uid.upper(), "Last", None])
        page[f"C{number}"].data_type = "s"
    page["C2"] = "=1+1"
    page["C3"] = "#N/A"
    page["C3"].data_type = "e"
    page["C4"] = 123456789012345678
    page["D5"] = "=1/0"  # nobody asks for this column
    page.merge_cells("C6:C7")
    page["A7"], page["B7"] = "f", "F"
    book.save(world.book)
    os.utime(world.book, (1_700_000_000, 1_700_000_000))
    assert [change.subject for change in world.plan()] == ["D", "E"]
    assert world.said.startswith("4 rows were left out: ")
    for told in (
        "row 2: C2 holds a formula without a stored value",
        "row 3: C3 holds an error",
        "row 4: C4 holds a number of more than 15 digits",
        "row 7: C7 is part of merged cells",
    ):
        assert told in world.said


def test_accents_are_one_letter_however_they_are_written(world: World, access: Access) -> None:
    """José in one character and in two is the same person, in the sheet and in the directory."""
    with opened(access) as directory:
        there = {"objectClass": ["inetOrgPerson"], "uid": ["jos\u00e9"], "sn": ["Old"], "cn": ["José"]}
        directory.add(f"cn=José,{slapd.PEOPLE}", there)
    world.write([["Id", "Name", "Last"], ["jose\u0301", "José", "New"]])
    (change,) = world.run()
    assert (change.op, change.after) == (Op.UPDATE, {"sn": "New"})
    world.write([["Id", "Name", "Last"], ["jose\u0301", "José", "New"], ["JOS\u00c9", "Josefa", "X"]])
    assert world.plan() == []
    assert "its key stands in row 2 as well" in world.said


HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("\"'\\,;+=<>#*()&|!%$[]{}@-/:?._~^`\u202e\u200f\u0301\u0308\u00a0éßİ𝄞א"),
        st.characters(codec="utf-8", exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=6))
def test_hostile_strings_come_back_as_they_are(
    access: Access, tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    """Whatever the cells hold, it is in the directory afterwards, or its row is named; nothing else is."""
    container = f"ou=n{next(_numbers)},{slapd.PEOPLE}"
    with opened(access) as directory:
        directory.add(container, {"objectClass": ["organizationalUnit"]})
    world = World(tmp_path, access, job(container))
    world.document["syncQuery"][0]["query"] = "SELECT * FROM [rows$]"
    world.book = tmp_path / "rows.csv"
    with world.book.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Id", "Name", "Last"])
        writer.writerows([f"u{number}", name, last] for number, (name, last) in enumerate(rows))
    os.utime(world.book, (1_700_000_000, 1_700_000_000))
    planned = world.plan()
    outcomes = world.make(planned)
    made = {
        str((change.after or {})["uid"]): change
        for change, outcome in zip(planned, outcomes, strict=True)
        if outcome.state is ChangeState.DONE
    }
    with opened(access) as directory:
        found = {
            entry.text("uid"): entry
            for entry in directory.search(container, "(objectClass=person)", ["uid", "cn", "sn"])
        }
    assert found.keys() == made.keys()
    for number, (name, last) in enumerate(rows):
        entry = found.get(f"u{number}")
        if entry is None:
            refused = [
                o for c, o in zip(planned, outcomes, strict=True) if (c.after or {})["uid"] == f"u{number}"
            ]
            assert f"row {number + 2}:" in world.said or (refused and refused[0].message)
        else:
            assert entry.text("cn") == clean(name)
            assert entry.text("sn") == clean(last)
    if len(made) == len(planned):
        assert world.plan() == []


def test_members_that_come_in_portions_are_compared_whole(
    world: World, access: Access, slapd_server: SlapdServer
) -> None:
    """Where the server gives a large group's members in portions, as Windows does, none is overlooked."""
    people = [f"p{number:02}" for number in range(20)]
    with opened(access) as directory:
        for uid in people:
            directory.add(
                f"uid={uid},{slapd.PEOPLE}", {"objectClass": ["inetOrgPerson"], "cn": [uid], "sn": [uid]}
            )
        members = [f"uid={uid},{slapd.PEOPLE}" for uid in people]
        directory.add(f"cn=crew,{slapd.GROUPS}", {"objectClass": ["groupOfNames"], "member": members})
    fields = [field("cn", "Team", isKey=True), field("member", "People", delimiter=",", forCreateOnly=False)]
    world.document = document(fields, container=slapd.GROUPS, displayName="Group")
    with fault_proxy.fault_proxy("127.0.0.1", slapd_server.port) as proxy:
        proxy.fault, proxy.request_fault = fault_proxy.ranged("member", 7)
        server = Server(host="127.0.0.1", port=proxy.port)
        world.access = replace(access, servers=[server], security=Security.CLEAR)
        world.write([["Team", "People"], ["crew", ",".join(people)]])
        assert world.plan() == []
        world.write([["Team", "People"], ["crew", ",".join([*people[2:], "p00"])]])
        (change,) = world.plan()
        assert (change.op, change.subject) == (Op.REMOVE_MEMBER, "p01 in crew")
        found = world.connector.current(world.context(), change.kind, [change.key])
        assert found == {change.key: {"member": members[1]}}
