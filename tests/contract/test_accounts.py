"""Users and tokens: who is asking, and what they may do."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from runner.store import accounts
from runner.store.accounts import Role, Scope
from runner.store.pages import Cut
from runner.store.schema import tokens, users
from tests.contract.desk import NOW, Desk, at

ALL = Cut(limit=100)


def user(desk: Desk, email: str = "ann@example.org", **fields: object) -> int:
    """Add a user."""
    return desk.do(accounts.create_user, email=email, now=NOW, **fields)  # type: ignore[arg-type]  # as one


def token(desk: Desk, user_id: int, *scopes: Scope, seconds: float | None = None) -> str:
    """Make a token that is good for so many seconds."""
    expires = None if seconds is None else at(seconds)
    made = desk.do(accounts.create_token, user_id=user_id, scopes=scopes, expires=expires, now=NOW)
    return made[1]


def holder(desk: Desk, shown: str, *, seconds: float = 1) -> accounts.Holder | None:
    """Who shows a token."""
    return desk.ask(accounts.holder, token_hash=accounts.hash_token(shown), now=at(seconds))


# --- users -------------------------------------------------------------------------------


def test_a_user_is_found_by_e_mail_in_any_case(desk: Desk) -> None:
    """People write their address as they like."""
    made = user(desk, "Ann@Example.org", first_name="Ann", last_name="Lee", role=Role.USER)
    found = desk.ask(accounts.user_by_email, "aNN@example.ORG")
    assert found is not None
    assert (found.id, found.email, found.first_name, found.last_name) == (
        made,
        "Ann@Example.org",
        "Ann",
        "Lee",
    )
    assert (found.is_active, found.administers, found.date_joined) == (True, False, NOW)
    assert desk.ask(accounts.user_by_email, "bob@example.org") is None


def test_an_e_mail_belongs_to_one_user(desk: Desk) -> None:
    """Two accounts that differ by case only can't be made."""
    user(desk, "ann@example.org")
    with pytest.raises(sa.exc.IntegrityError):
        user(desk, "ANN@example.org")


def test_users_are_found_by_their_ids(desk: Desk) -> None:
    """Those that exist are found, and nobody else."""
    ann, bob = user(desk, "ann@example.org"), user(desk, "bob@example.org")
    found = desk.ask(accounts.users_by_id, {ann, bob, 98765})
    assert {key: value.email for key, value in found.items()} == {
        ann: "ann@example.org",
        bob: "bob@example.org",
    }
    assert desk.ask(accounts.users_by_id, set()) == {}


@pytest.mark.parametrize(
    ("role", "is_superuser", "administers"),
    [
        (Role.NONE, False, False),
        (Role.USER, False, False),
        (Role.ADMINISTRATOR, False, True),
        (Role.NONE, True, True),
    ],
)
def test_who_administers(desk: Desk, role: Role, is_superuser: bool, administers: bool) -> None:
    """An administrator is one by role or by being a superuser, as a user and as a holder of tokens."""
    made = user(desk, role=role, is_superuser=is_superuser)
    found = desk.ask(accounts.users_by_id, [made])[made]
    held = holder(desk, token(desk, made, Scope.ADMIN))
    assert held is not None
    assert (found.administers, held.administers) == (administers, administers)


def test_there_is_one_service_account(desk: Desk) -> None:
    """It is made when first needed, found afterwards, and nobody can log in as it."""
    assert desk.ask(accounts.find_service_account) is None
    made = desk.do(accounts.service_account, now=NOW)
    assert desk.do(accounts.service_account, now=at(5)) == made == desk.ask(accounts.find_service_account)
    found = desk.ask(accounts.users_by_id, [made])[made]
    assert (found.email, found.is_service, found.is_active) == (accounts.SERVICE_EMAIL, True, False)


# --- tokens ------------------------------------------------------------------------------


def test_a_token_tells_its_holder_and_scopes(desk: Desk) -> None:
    """What a token allows is what it was made with."""
    ann = user(desk)
    held = holder(desk, token(desk, ann, Scope.RUN, Scope.READ))
    assert held is not None
    assert (held.user_id, held.email, held.scopes) == (
        ann,
        "ann@example.org",
        frozenset({Scope.RUN, Scope.READ}),
    )
    assert held.dead == ""


def test_a_token_itself_is_kept_nowhere(desk: Desk) -> None:
    """Who reads the database can't act with what stands there."""
    shown = token(desk, user(desk), Scope.READ)
    row = desk.ask(lambda c: c.execute(sa.select(tokens)).one())
    assert not any(shown in str(value) for value in row)
    assert row.hash == accounts.hash_token(shown)
    assert holder(desk, row.hash) is None


def test_an_unknown_token_has_no_holder(desk: Desk) -> None:
    """Nor has one with bytes that are no text."""
    token(desk, user(desk), Scope.READ)
    assert holder(desk, "guess") is None
    assert holder(desk, "\udcff") is None


def test_a_token_expires(desk: Desk) -> None:
    """At its end a token is good no more, and the answer says why."""
    shown = token(desk, user(desk), Scope.READ, seconds=60)
    held = [holder(desk, shown, seconds=seconds) for seconds in (59, 60)]
    assert [h.dead for h in held if h] == ["", "Token has expired."]


def test_a_token_dies_with_its_user(desk: Desk) -> None:
    """Of somebody inactive it is refused; of somebody removed it is gone."""
    ann = user(desk)
    shown = token(desk, ann, Scope.READ)
    desk.do(lambda c: c.execute(sa.update(users).values(is_active=False)))
    held = holder(desk, shown)
    assert held is not None
    assert "inactive" in held.dead
    desk.do(lambda c: c.execute(sa.delete(users)))
    assert holder(desk, shown) is None


def test_a_scope_of_a_later_version_is_passed_over(desk: Desk) -> None:
    """After a downgrade tokens keep what this version knows."""
    shown = token(desk, user(desk), Scope.READ)
    desk.do(lambda c: c.execute(sa.update(tokens).values(scopes='["read","teleport"]')))
    held = holder(desk, shown)
    assert held is not None
    assert held.scopes == {Scope.READ}


def test_a_tokens_use_is_noted_now_and_then(desk: Desk) -> None:
    """Its last use is known to the minute, at the price of one write a minute."""
    ann = user(desk)
    token_id, shown = desk.do(accounts.create_token, user_id=ann, scopes=[Scope.READ], expires=None, now=NOW)

    def last_used() -> object:
        return desk.ask(accounts.token_page, ALL)[0].last_used

    assert last_used() is None
    old = []
    for seconds in (0, 59, 60):
        held = holder(desk, shown, seconds=seconds)
        assert held is not None
        old.append(held.use_is_old)
        desk.do(accounts.used, token_id=token_id, now=at(seconds))
    assert old == [True, False, True]
    assert last_used() == NOW + timedelta(seconds=60)


def test_tokens_are_listed_without_themselves(desk: Desk) -> None:
    """A listing shows whose they are, what they may and until when, a page at a time."""
    ann = user(desk)
    for number in range(3):
        token(desk, ann, Scope.RUN, Scope.ADMIN, seconds=60 + number)
    first, second = desk.ask(accounts.token_page, Cut(limit=2))
    assert (first.user, first.scopes, first.created, first.expires) == (
        "ann@example.org",
        ["admin", "run"],
        NOW,
        at(60),
    )
    assert [t.expires for t in desk.ask(accounts.token_page, Cut(limit=2, key=second.id))] == [at(62)]
    assert desk.ask(accounts.token_count) == 3


def test_a_revoked_token_is_gone(desk: Desk) -> None:
    """Who revokes a token learns whether there was one."""
    ann = user(desk)
    shown = token(desk, ann, Scope.READ)
    (listed,) = desk.ask(accounts.token_page, ALL)
    assert desk.do(accounts.delete_token, listed.id) is True
    assert desk.do(accounts.delete_token, listed.id) is False
    assert holder(desk, shown) is None
