"""A plan's changes of users and memberships, made where they are settled."""

from typing import Any

import pytest

from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, Op, StoredChange, Target
from runner.model.people import address_key
from runner.store import accounts, group_mappings, groups, people, platform
from tests.contract.desk import NOW, Desk, at

DONE, SKIPPED = ChangeState.DONE, ChangeState.SKIPPED
SPELLINGS = [
    ("ÖZGE@EXAMPLE.COM", "özge@example.com"),
    ("İpek@example.com", "i\u0307pek@example.com"),
    ("STRAẞE@example.com", "straße@example.com"),
    ("José@example.com", "jose\u0301@EXAMPLE.com"),
]
"""An address, and another way to write it."""

JANE = {"email": "jane@example.com", "first_name": "Jane", "last_name": "Doe", "directory_id": "id-jane"}


def change(sequence: int, kind: str, key: str, op: Op, **values: Any) -> StoredChange:
    """A change as the journal has it."""
    fields: dict[str, Any] = {"before": None, "after": None, **values}
    return StoredChange(
        sequence=sequence,
        target=Target.PLATFORM,
        op=op,
        kind=kind,
        key=key,
        subject=key,
        state=ChangeState.PLANNED,
        **fields,
    )


def make(desk: Desk, *batch: StoredChange, author: int | None = None) -> list[OutcomeRow]:
    """Make a batch for the connection 7."""
    return desk.do(platform.apply, batch, author=author, connection_id=7, now=at(60), assigned={})


def user(desk: Desk, email: str = "jane@example.com") -> accounts.User:
    """The account with this e-mail."""
    found = desk.ask(accounts.user_by_email, email)
    assert found is not None
    return found


def read(desk: Desk, connection_id: int = 7, author: int | None = None) -> list[dict[str, Any]]:
    """All accounts as a connector reads them, three at a time."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page, after = desk.ask(
            people.account_page, connection_id=connection_id, author=author, after=after, limit=3
        )
        found += page
    return found


@pytest.fixture
def jane(desk: Desk) -> Desk:
    """Give a store in which a run made Jane's account."""
    [row] = make(desk, change(1, "user", "jane@example.com", Op.CREATE, after=JANE))
    assert row.state is DONE
    return desk


def test_an_account_is_made_without_a_role(jane: Desk) -> None:
    """It is active, has the names, belongs to its connection, and may do nothing yet."""
    found = user(jane)
    assert (found.first_name, found.last_name, found.role) == ("Jane", "Doe", "UR5")
    assert (found.is_active, found.is_superuser, found.directory_id) == (True, False, "id-jane")
    assert [row["owned"] for row in read(jane)] == [True]
    assert [row["owned"] for row in read(jane, 8)] == [False]


def test_no_second_account_for_an_address_or_a_person(jane: Desk) -> None:
    """Who is there already, in whatever case, is left alone, and so is a tie that another has."""
    same = {**JANE, "email": "JANE@example.com", "directory_id": "id-other"}
    tied = {**JANE, "email": "joe@example.com"}
    twice = {"email": "ann@example.com", "directory_id": "id-ann"}
    rows = make(
        jane,
        change(1, "user", "JANE@example.com", Op.CREATE, after=same),
        change(2, "user", "joe@example.com", Op.CREATE, after=tied),
        change(3, "user", "ann@example.com", Op.CREATE, after=twice),
        change(4, "user", "ann@example.com", Op.CREATE, after=twice),
    )
    assert [row.state for row in rows] == [SKIPPED, SKIPPED, DONE, SKIPPED]
    assert all(row.message.startswith("conflict: another account") for row in rows if row.message)
    assert len(read(jane)) == 2


@pytest.mark.parametrize(("written", "compared"), SPELLINGS)
def test_an_address_is_one_in_all_scripts(desk: Desk, written: str, compared: str) -> None:
    """In capitals or with an accent set apart, whoever is made is found, and nobody is made twice."""
    group = f"G{desk.do(groups.create, name='Developers', now=NOW)}"
    first = {"email": written, "directory_id": "id-one"}
    rows = make(
        desk,
        change(1, "user", written, Op.CREATE, after=first),
        change(2, "user", compared, Op.CREATE, after={"email": compared, "directory_id": "id-two"}),
        change(3, "membership", f"{written} {group}", Op.ADD_MEMBER, after={"user": written, "group": group}),
    )
    assert [row.state for row in rows] == [DONE, SKIPPED, DONE]
    found = user(desk, compared)
    assert (found.email, found.id) == (written, user(desk, written).id)
    assert desk.ask(accounts.ids_by_email, [written, compared]) == {address_key(written): found.id}
    assert [row["groups"] for row in read(desk)] == [[group]]
    [row] = make(desk, change(1, "user", compared, Op.DEACTIVATE, before=first, after=None))
    assert (row.state, user(desk, written).is_active) == (DONE, False)


@pytest.mark.parametrize(
    ("one", "other"), [("strauß@example.com", "strauss@example.com"), ("i@a.b", "\u0131@a.b")]
)
def test_other_letters_are_other_people(desk: Desk, one: str, other: str) -> None:
    """What only looks alike, or is alike in one language, is another address."""
    rows = make(
        desk,
        *(
            change(n, "user", email, Op.CREATE, after={"email": email})
            for n, email in enumerate((one, other))
        ),
    )
    assert [row.state for row in rows] == [DONE, DONE]
    assert user(desk, one).id != user(desk, other).id


def test_an_account_is_renamed_by_its_id(jane: Desk) -> None:
    """The id says whose it is, so that the address can change, and be taken back."""
    number = user(jane).id
    old, new = {"id": number, "email": "jane@example.com"}, {"id": number, "email": "jane.roe@example.com"}
    make(jane, change(1, "user", "jane@example.com", Op.UPDATE, before=old, after=new))
    assert user(jane, "jane.roe@example.com").id == number
    make(jane, change(1, "user", "jane@example.com", Op.UPDATE, before=new, after=old))
    assert user(jane).id == number


def test_what_others_changed_meanwhile_is_left_alone(jane: Desk) -> None:
    """A field that isn't what was read is named, and nothing is written."""
    number = user(jane).id
    before, after = {"id": number, "first_name": "Joan"}, {"id": number, "first_name": "J."}
    [row] = make(jane, change(1, "user", "jane@example.com", Op.UPDATE, before=before, after=after))
    assert (row.state, row.message) == (
        SKIPPED,
        "conflict: first_name is 'Jane' now, 'Joan' was expected.",
    )
    assert user(jane).first_name == "Jane"


def test_tokens_die_with_their_user(jane: Desk) -> None:
    """An account that a run deactivated lets nobody in by a token that it had."""
    number = user(jane).id
    _, token = jane.do(accounts.create_token, user_id=number, scopes=[], expires=None, now=NOW)
    off = change(
        1,
        "user",
        "jane@example.com",
        Op.DEACTIVATE,
        before={"id": number, "is_active": True},
        after={"id": number, "is_active": False},
    )
    make(jane, off)
    holder = jane.ask(accounts.holder, token_hash=accounts.hash_token(token), now=NOW)
    assert holder is not None
    assert holder.dead == "User inactive or deleted."


def test_a_creation_taken_back_leaves_the_account_inactive(jane: Desk) -> None:
    """Accounts are never deleted by a run; taken back again, the account is as it was."""
    undo = change(1, "user", "jane@example.com", Op.DEACTIVATE, before=JANE, after=None)
    assert [row.state for row in make(jane, undo)] == [DONE]
    assert not user(jane).is_active
    redo = change(1, "user", "jane@example.com", Op.ACTIVATE, before=None, after={**JANE, "is_active": True})
    assert [row.state for row in make(jane, redo)] == [DONE]
    assert user(jane).is_active


def test_members_come_and_go(jane: Desk) -> None:
    """By e-mail for an account just made, by id else; what is so already is named."""
    group = f"G{jane.do(groups.create, name='Developers', now=NOW)}"
    key = f"jane@example.com {group}"
    named, numbered = {"user": "Jane@example.com", "group": group}, {"user": user(jane).id, "group": group}
    outcomes = [
        make(jane, change(1, "membership", key, op, before=before, after=after))[0]
        for op, before, after in [
            (Op.ADD_MEMBER, None, named),
            (Op.ADD_MEMBER, None, numbered),
            (Op.REMOVE_MEMBER, numbered, None),
            (Op.REMOVE_MEMBER, numbered, None),
            (Op.ADD_MEMBER, None, {"user": 999, "group": group}),
            (Op.ADD_MEMBER, None, {"user": user(jane).id, "group": "G999"}),
        ]
    ]
    assert [row.state for row in outcomes] == [DONE, SKIPPED, DONE, SKIPPED, SKIPPED, SKIPPED]
    assert [row["groups"] for row in read(jane)] == [[]]


def test_a_run_leaves_its_own_account_alone(jane: Desk) -> None:
    """Whoever a run works for can't be locked out by it."""
    number = user(jane).id
    off = change(1, "user", "jane@example.com", Op.DEACTIVATE, before={"id": number}, after={"id": number})
    [row] = make(jane, off, author=number)
    assert row.message.startswith("protected: jane@example.com is the account that the run works under")


def test_accounts_are_read_to_the_end_with_what_protects_them(desk: Desk) -> None:
    """Page after page each account once, with its groups, its role's weight and why no run changes it."""
    desk.do(accounts.service_account, now=NOW)
    desk.do(accounts.create_user, email="root@example.com", is_superuser=True, now=NOW)
    desk.do(accounts.create_user, email="boss@example.com", role=accounts.Role.ADMINISTRATOR, now=NOW)
    own = desk.do(accounts.create_user, email="own@example.com", now=NOW)
    names = [desk.do(groups.create, name=name, now=NOW) for name in ("A", "B")]
    desk.do(groups.set_groups_of, own, names)
    found = read(desk, author=own)
    assert [row["protected"] for row in found] == [
        "is the service account",
        "is a superuser",
        "",
        "is the account that the run works under",
    ]
    assert [row["elevated"] for row in found] == [False, False, True, False]
    assert found[3]["groups"] == [f"G{number}" for number in names]


def test_mappings_are_those_of_the_connection(desk: Desk) -> None:
    """A run sees its own connection's group mappings, and all groups."""
    one, other = desk.connection("one"), desk.connection("other")
    group = desk.do(groups.create, name="Developers", now=NOW)
    desk.do(group_mappings.create, one, ldap_group="devs", group_id=group, now=NOW)
    desk.do(group_mappings.create, other, ldap_group="ops", group_id=group, now=NOW)
    assert desk.ask(people.mappings_of, one) == [{"ldap_group": "devs", "group_id": f"G{group}"}]
    assert desk.ask(people.all_groups) == [{"id": f"G{group}", "name": "Developers"}]
