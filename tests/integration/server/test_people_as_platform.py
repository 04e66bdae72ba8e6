"""One suite for both platforms whose accounts runs change: the store, and our own server over REST."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from runner.messages import OutcomeRow
from runner.model.changes import ChangeState, Op, StoredChange, Target
from runner.model.jobs import Connection, Frequency, Kind
from runner.model.network import Network
from runner.sdelements.people import Tie
from runner.sdelements.platform import Platform
from runner.sdelements.server import Server
from runner.settings import Remote
from runner.store import accounts, connections, group_mappings, groups, people
from runner.store import platform as store
from runner.store.accounts import Role, Scope
from runner.store.schema import users
from runner.store.values import from_json, to_micros
from tests.integration.server.kit import Running
from tests.servers.sites import Asked, Says, Site

DONE, SKIPPED, FAILED = ChangeState.DONE, ChangeState.SKIPPED, ChangeState.FAILED
JANE = {"email": "jane@example.com", "first_name": "Jane", "last_name": "Doe", "directory_id": "id-jane"}


class Side:
    """A platform under test, with the groups G1 and G2 and the account of an agent."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.devs, self.ops = self._group("devs"), self._group("ops")
        self.agent = server.database.write(
            lambda c: accounts.create_user(
                c, email="agent@example.com", is_superuser=True, now=server.clock()
            )
        )
        self.connection = server.database.write(
            lambda c: connections.create(
                c,
                kind=Kind.LDAP,
                system="ldap",
                alias="Directory",
                command="",
                project_id=None,
                params={},
                now=server.clock(),
            )
        )
        server.database.write(
            lambda c: group_mappings.create(
                c, self.connection, ldap_group="cn=devs", group_id=self.devs, now=server.clock()
            )
        )

    def _group(self, name: str) -> int:
        return self.server.database.write(lambda c: groups.create(c, name=name, now=self.server.clock()))

    def accounts(self) -> dict[str, Any]:
        """All accounts, as a connector reads them, by their address."""
        raise NotImplementedError

    def groups(self) -> list[Any]:
        """All groups, as a connector reads them."""
        raise NotImplementedError

    def mappings(self) -> list[Any]:
        """The connection's mappings, as a connector reads them."""
        raise NotImplementedError

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        """Make a batch."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what was opened."""


class StoreSide(Side):
    """The embedded platform."""

    def accounts(self) -> dict[str, Any]:
        with self.server.database.read() as c:
            rows, _ = people.account_page(c, connection_id=self.connection, author=None, after=0, limit=500)
        return {row["email"]: row for row in rows}

    def groups(self) -> list[Any]:
        with self.server.database.read() as c:
            return people.all_groups(c)

    def mappings(self) -> list[Any]:
        with self.server.database.read() as c:
            return people.mappings_of(c, self.connection)

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        now = self.server.clock()
        return self.server.database.write(
            lambda c: store.apply(c, rows, author=None, now=now, assigned={}, connection_id=self.connection)
        )


class RestSide(Side):
    """The same over REST, with a superuser's token as an agent has it."""

    def __init__(self, server: Running) -> None:
        super().__init__(server)
        token = server.token(Scope.AGENT, email="agent@example.com")
        self.reach = Server("far", Remote(url=server.base, token=token), Network())
        self.ties: dict[int, Tie] = {}

    def platform(self) -> Platform:
        """As a run sees it."""
        return Platform(self.reach, self.connection_there(), run="4f7a" * 8, ties=self.ties.values)

    def connection_there(self) -> Connection:
        """The connection as it is known here."""
        return Connection(
            id=1,
            kind=Kind.LDAP,
            system="ldap",
            alias="Far",
            command="",
            frequency=Frequency.MANUALLY,
            project_id=None,
            params={},
            remote="far",
            remote_id=self.connection,
        )

    def accounts(self) -> dict[str, Any]:
        rows, following = self.platform().people.accounts(after=0, limit=500)
        assert following is None
        return {row["email"]: row for row in rows}

    def groups(self) -> list[Any]:
        return self.platform().people.groups()

    def mappings(self) -> list[Any]:
        return self.platform().people.mappings()

    def apply(self, *rows: StoredChange) -> list[OutcomeRow]:
        return self.keep(self.platform().apply(rows, resolve=lambda row, _known: row))

    def keep(self, outcomes: list[OutcomeRow]) -> list[OutcomeRow]:
        """Remember who accounts are, as a run's journal does."""
        for one in outcomes:
            values = from_json(one.assigned) or {}
            if "directory_id" in values:
                self.ties[values["id"]] = Tie(
                    user=values["id"],
                    directory_id=values["directory_id"],
                    joined=values["joined"],
                    own=True,
                )
        return outcomes

    def close(self) -> None:
        self.reach.close()


@pytest.fixture(params=[StoreSide, RestSide])
def side(server: Running, request: pytest.FixtureRequest) -> Iterator[Side]:
    """Give one of the two platforms, on which a run made Jane's account."""
    kind: Callable[[Running], Side] = request.param
    made = kind(server)
    [row] = made.apply(change(1, "user", "jane@example.com", Op.CREATE, after=JANE))
    assert row.state is DONE, row.message
    yield made
    made.close()


def change(sequence: int, kind: str, key: str, op: Op, **values: Any) -> StoredChange:
    """A planned change."""
    return StoredChange(
        sequence=sequence,
        target=Target.PLATFORM,
        op=op,
        kind=kind,
        key=key,
        subject=key,
        before=values.get("before"),
        after=values.get("after"),
        state=ChangeState.PLANNED,
    )


def test_accounts_are_read_alike(side: Side) -> None:
    """Who was made, for whom, in which groups, and whom no run may change."""
    side.server.token(Scope.READ, email="chief@example.com", role=Role.ADMINISTRATOR)
    found = side.accounts()
    jane, chief, agent = (found[f"{name}@example.com"] for name in ("jane", "chief", "agent"))
    assert (jane["first_name"], jane["last_name"], jane["is_active"]) == ("Jane", "Doe", True)
    assert (jane["directory_id"], jane["owned"], jane["elevated"], jane["protected"]) == (
        "id-jane",
        True,
        False,
        "",
    )
    assert (jane["groups"], chief["elevated"], chief["directory_id"], chief["owned"]) == ([], True, "", False)
    assert agent["protected"] == "is a superuser"
    assert side.groups() == [{"id": "G1", "name": "devs"}, {"id": "G2", "name": "ops"}]
    assert side.mappings() == [{"ldap_group": "cn=devs", "group_id": "G1"}]


def test_no_second_account_for_an_address_or_a_person(side: Side) -> None:
    """Who is there already, in whatever case, is left alone, and so is who has an account."""
    same = {**JANE, "email": "JANE@example.com", "directory_id": "id-other"}
    twice = {"email": "ann@example.com", "directory_id": "id-ann"}
    again = {"email": "ann.roe@example.com", "directory_id": "id-ann"}
    rows = side.apply(
        change(1, "user", "JANE@example.com", Op.CREATE, after=same),
        change(2, "user", "ann@example.com", Op.CREATE, after=twice),
        change(3, "user", "ann@example.com", Op.CREATE, after={**twice, "directory_id": "id-3"}),
        change(4, "user", "ann.roe@example.com", Op.CREATE, after=again),
        change(5, "user", "nobody", Op.CREATE, after={"directory_id": "id-nobody"}),
    )
    assert [row.state for row in rows] == [SKIPPED, DONE, SKIPPED, SKIPPED, FAILED]
    assert rows[0].message == "conflict: another account has the e-mail JANE@example.com."
    assert rows[3].message == "conflict: another account is tied to this person of the directory."
    assert rows[4].message == "an account needs an e-mail address."


@pytest.mark.parametrize(
    ("written", "compared"),
    [("ÖZGE@EXAMPLE.COM", "özge@example.com"), ("İpek@example.com", "i\u0307pek@example.com")],
)
def test_an_address_is_one_in_all_scripts(side: Side, written: str, compared: str) -> None:
    """Whoever was made under an address is found by it in any case, and isn't made again."""
    first, second = {"email": written, "directory_id": "id-1"}, {"email": compared, "directory_id": "id-2"}
    joined = {"user": written, "group": "G1"}
    [made] = side.apply(change(1, "user", written, Op.CREATE, after=first))
    rows = side.apply(
        change(2, "membership", f"{written} G1", Op.ADD_MEMBER, after=joined),
        change(3, "user", compared, Op.CREATE, after=second),
    )
    assert [row.state for row in (made, *rows)] == [DONE, DONE, SKIPPED]
    assert side.accounts()[written]["groups"] == ["G1"]
    [undone] = side.apply(change(1, "user", compared, Op.DEACTIVATE, before=first, after=None))
    assert (undone.state, side.accounts()[written]["is_active"]) == (DONE, False)


def test_an_account_is_renamed_by_its_number_and_stays_the_same_person(side: Side) -> None:
    """The number says whose it is, so that the address can change."""
    number = side.accounts()["jane@example.com"]["id"]
    new = {"id": number, "email": "jane.roe@example.com", "last_name": "Roe"}
    old = {"id": number, "email": "jane@example.com", "last_name": "Doe"}
    [row] = side.apply(change(1, "user", "jane@example.com", Op.UPDATE, before=old, after=new))
    assert row.state is DONE
    jane = side.accounts()["jane.roe@example.com"]
    assert (jane["id"], jane["last_name"], jane["directory_id"]) == (number, "Roe", "id-jane")


def test_an_account_that_was_there_is_tied_and_untied(side: Side) -> None:
    """Somebody who has an account becomes a person of the directory, and a revert takes that back."""
    side.server.token(Scope.READ, email="joe@example.com")
    number = side.accounts()["joe@example.com"]["id"]
    loose, tied = {"id": number, "directory_id": None}, {"id": number, "directory_id": "id-joe"}
    side.apply(change(1, "user", "joe@example.com", Op.UPDATE, before=loose, after=tied))
    assert (joe := side.accounts()["joe@example.com"])["directory_id"] == "id-joe"
    assert joe["owned"]
    side.apply(change(2, "user", "joe@example.com", Op.UPDATE, before=tied, after=loose))
    assert side.accounts()["joe@example.com"]["directory_id"] == ""


def test_what_others_changed_meanwhile_is_left_alone(side: Side) -> None:
    """A field that isn't what was read is named, and nothing is written."""
    number = side.accounts()["jane@example.com"]["id"]
    before, after = {"id": number, "first_name": "Joan"}, {"id": number, "first_name": "J."}
    gone = {"id": 999, "first_name": "X"}
    rows = side.apply(
        change(1, "user", "jane@example.com", Op.UPDATE, before=before, after=after),
        change(2, "user", "gone@example.com", Op.UPDATE, before=gone, after=gone),
    )
    assert [(row.state, row.message) for row in rows] == [
        (SKIPPED, "conflict: first_name is 'Jane' now, 'Joan' was expected."),
        (SKIPPED, "conflict: there is no such account any more."),
    ]
    assert side.accounts()["jane@example.com"]["first_name"] == "Jane"


def test_a_creation_taken_back_leaves_the_account_inactive(side: Side) -> None:
    """Accounts are never deleted by a run; taken back again, the account is as it was."""
    [undone] = side.apply(change(1, "user", "jane@example.com", Op.DEACTIVATE, before=JANE, after=None))
    assert (undone.state, side.accounts()["jane@example.com"]["is_active"]) == (DONE, False)
    active = {**JANE, "is_active": True}
    [redone] = side.apply(change(1, "user", "jane@example.com", Op.ACTIVATE, before=None, after=active))
    assert (redone.state, side.accounts()["jane@example.com"]["is_active"]) == (DONE, True)


def test_members_come_and_go(side: Side) -> None:
    """By e-mail for an account just made, by number else; what is so already is named."""
    number = side.accounts()["jane@example.com"]["id"]
    key = "jane@example.com G1"
    outcomes = [
        side.apply(change(1, "membership", key, op, before=before, after=after))[0]
        for op, before, after in [
            (Op.ADD_MEMBER, None, {"user": "Jane@example.com", "group": "G1"}),
            (Op.ADD_MEMBER, None, {"user": number, "group": "G1"}),
            (Op.REMOVE_MEMBER, {"user": number, "group": "G1"}, None),
            (Op.REMOVE_MEMBER, {"user": number, "group": "G1"}, None),
            (Op.ADD_MEMBER, None, {"user": 999, "group": "G1"}),
            (Op.ADD_MEMBER, None, {"user": number, "group": "G999"}),
        ]
    ]
    assert [row.state for row in outcomes] == [DONE, SKIPPED, DONE, SKIPPED, SKIPPED, SKIPPED]
    assert outcomes[1].message == "conflict: the account is a member already."
    both = [
        change(
            each,
            "membership",
            f"jane@example.com G{each}",
            Op.ADD_MEMBER,
            after={"user": number, "group": f"G{each}"},
        )
        for each in (1, 2)
    ]
    assert [row.state for row in side.apply(*both)] == [DONE, DONE]
    assert side.accounts()["jane@example.com"]["groups"] == ["G1", "G2"]


def test_many_accounts_are_changed_in_one_batch(side: Side) -> None:
    """A batch larger than what is read one by one ends as a small one does."""
    people = [f"p{number}@example.com" for number in range(30)]
    made = [
        change(number, "user", email, Op.CREATE, after={"email": email, "directory_id": f"id-{email}"})
        for number, email in enumerate(people)
    ]
    assert {row.state for row in side.apply(*made)} == {DONE}
    joined = [
        change(number, "membership", f"{email} G2", Op.ADD_MEMBER, after={"user": email, "group": "G2"})
        for number, email in enumerate(people)
    ]
    assert {row.state for row in side.apply(*joined)} == {DONE}
    found = side.accounts()
    assert all((found[email]["groups"], found[email]["owned"]) == (["G2"], True) for email in people)


def test_superusers_are_left_alone(side: Side) -> None:
    """Those who would put things right are changed by no run."""
    off = {"id": side.agent, "is_active": False}
    rows = side.apply(
        change(1, "user", "agent@example.com", Op.DEACTIVATE, before={"id": side.agent}, after=off),
        change(
            2, "membership", "agent@example.com G1", Op.ADD_MEMBER, after={"user": side.agent, "group": "G1"}
        ),
    )
    assert [row.state for row in rows] == [SKIPPED, SKIPPED]
    assert all(row.message.startswith("protected: agent@example.com is a superuser") for row in rows)
    assert side.accounts()["agent@example.com"]["is_active"]


def test_an_interrupted_run_finds_out_what_became_of_its_accounts(server: Running) -> None:
    """What was made is told as done, with who it is; what wasn't is told as not made."""
    side = RestSide(server)
    made = change(1, "user", "jane@example.com", Op.CREATE, after=JANE)
    joined = change(
        2,
        "membership",
        "jane@example.com G1",
        Op.ADD_MEMBER,
        after={"user": "jane@example.com", "group": "G1"},
    )
    assert [row.state for row in side.platform().settle([made, joined])] == [SKIPPED, SKIPPED]
    side.platform().apply([made, joined], resolve=lambda row, _known: row)
    assert side.accounts()["jane@example.com"]["directory_id"] == ""
    rows = side.keep(side.platform().settle([made, joined]))
    assert [row.state for row in rows] == [DONE, DONE]
    assert side.accounts()["jane@example.com"]["directory_id"] == "id-jane"
    side.close()


def test_a_number_that_was_handed_out_again_is_another_account(server: Running) -> None:
    """Somebody to whom a restored server gave a number isn't taken for who had it before."""
    side = RestSide(server)
    side.apply(change(1, "user", "jane@example.com", Op.CREATE, after=JANE))
    number = side.accounts()["jane@example.com"]["id"]
    other = {"email": "joe@example.com", "directory_id": None, "date_joined": to_micros(server.clock())}
    server.database.write(lambda c: c.execute(sa.update(users).where(users.c.id == number).values(other)))
    assert side.accounts()["joe@example.com"]["directory_id"] == ""
    side.close()


class Doorway:
    """Stands before a server and notes what is asked; it may take the filters out of the questions."""

    def __init__(self, server: Running, *, filters: bool = True) -> None:
        self._server = server
        self._filters = filters
        self.site = Site(self._answer)

    def _answer(self, asked: Asked) -> Says:
        root, _, query = asked.target.partition("?")
        if not self._filters:
            query = "&".join(part for part in query.split("&") if not part.startswith("email="))
        origin = self._server.base.removesuffix("/")
        headers = {name: asked.headers[name] for name in ("Authorization", "Accept")}
        told = requests.get(f"{origin}{root}", params=query, headers=headers, timeout=30)
        return Says(status=told.status_code, body=told.content, headers={"Content-Type": "application/json"})

    def listings(self) -> int:
        """How often a page of all accounts was asked for."""
        return sum("/users/?" in asked.target and "email=" not in asked.target for asked in self.site.asked)


@contextmanager
def seen_through(side: RestSide, doorway: Doorway) -> Iterator[Platform]:
    """The same platform, asked through the doorway."""
    with contextlib.closing(doorway.site):
        settings = Remote(
            url=doorway.site.url, token=side.server.token(Scope.AGENT, email="agent@example.com")
        )
        reach = Server("far", settings, Network())
        yield Platform(reach, side.connection_there(), run="4f7a" * 8, ties=side.ties.values)
        reach.close()


def fill(server: Running, number: int) -> None:
    """Have that many more accounts."""
    emails = [f"p{each}@example.com" for each in range(number)]
    rows = [
        {"email": email, "email_key": email, "date_joined": to_micros(server.clock())} for email in emails
    ]
    server.database.write(lambda c: c.execute(sa.insert(users), rows))


def test_few_of_many_accounts_are_read_one_by_one(server: Running) -> None:
    """A run that changes some accounts of a large server doesn't read all of them again for each batch."""
    side = RestSide(server)
    fill(server, 2000)
    doorway = Doorway(server)
    with seen_through(side, doorway) as platform:
        after: int | None = 0
        while after is not None:
            _, after = platform.people.accounts(after=after, limit=500)
        read = doorway.listings()
        gone = [
            change(n, "user", f"x{n}@example.com", Op.UPDATE, after={"id": 10_000 + n}) for n in range(30)
        ]
        assert len(platform.people.conflicts(gone)) == 30
        assert doorway.listings() == read
    side.close()


def test_accounts_are_found_where_a_server_knows_no_filters(server: Running) -> None:
    """It answers each question with all that it has; they are read once for a batch, not for each account."""
    side = RestSide(server)
    fill(server, 150)
    doorway = Doorway(server, filters=False)
    with seen_through(side, doorway) as platform:
        rows = [
            change(n, "user", f"p{n}@example.com", Op.CREATE, after={"email": f"p{n}@example.com"})
            for n in (1, 2)
        ]
        assert [row.message for row in platform.people.conflicts(rows)] == [
            "conflict: another account has the e-mail p1@example.com.",
            "conflict: another account has the e-mail p2@example.com.",
        ]
        before = len(doorway.site.asked)
        assert len(platform.people.conflicts(rows)) == 2
        assert len(doorway.site.asked) - before == doorway.listings() / 2 == 2
    side.close()
