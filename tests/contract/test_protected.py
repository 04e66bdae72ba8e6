"""What no run may touch is left alone, whoever planned to touch it."""

import pytest
import sqlalchemy as sa

from runner.model import protected
from runner.model.changes import ChangeState, Op, StoredChange, Target
from runner.store import accounts, people, platform
from tests.contract.desk import NOW, Desk


def change(sequence: int, kind: str, key: str) -> StoredChange:
    """A change of an account as a directory sync would plan it."""
    return StoredChange(
        sequence=sequence,
        target=Target.PLATFORM,
        op=Op.DEACTIVATE,
        kind=kind,
        key=key,
        subject=key,
        before={"is_active": True},
        after={"is_active": False},
        state=ChangeState.PLANNED,
    )


@pytest.fixture
def admins(desk: Desk) -> Desk:
    """Give a store with a superuser, the service account and somebody else."""
    desk.do(accounts.create_user, email="Ada@example.org", is_superuser=True, now=NOW)
    desk.do(accounts.create_user, email="Äda@example.org", is_superuser=True, now=NOW)
    desk.do(accounts.create_user, email="eve@example.org", now=NOW)
    desk.do(accounts.service_account, now=NOW)
    return desk


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("user", "ada@EXAMPLE.org", "Ada@example.org is a superuser"),
        ("user", "äda@example.org", "is a superuser"),
        ("user", accounts.SERVICE_EMAIL, "is the service account"),
        ("membership", "Ada@example.org administrators", "is a superuser"),
        ("membership", "ada@example.org", "is a superuser"),
    ],
)
def test_superusers_and_the_service_account_are_left_alone(
    admins: Desk, kind: str, key: str, said: str
) -> None:
    """A run changes neither them nor their memberships, in whatever case they are named."""
    [row] = admins.do(platform.apply, [change(1, kind, key)], author=None, now=NOW, assigned={})
    assert row.state is ChangeState.SKIPPED
    assert row.message.startswith("protected: ")
    assert said in row.message


def test_others_are_not_protected(admins: Desk) -> None:
    """The rest of a batch goes to whoever handles it, and outcomes keep the batch's order."""
    batch = [
        change(1, "user", "eve@example.org"),
        change(2, "user", "ada@example.org"),
        change(3, "nonsense", "ada@example.org"),
        change(4, "membership", "eve@example.org administrators"),
    ]
    rows = admins.do(platform.apply, batch, author=None, now=NOW, assigned={})
    assert [row.sequence for row in rows] == [1, 2, 3, 4]
    assert [row.message.startswith("protected") for row in rows] == [False, True, False, False]


def test_a_key_names_one_account() -> None:
    """A membership's key begins with the account; other kinds name none."""
    assert protected.account_of("membership", "Ada@example.org the admins") == "ada@example.org"
    assert protected.account_of("task", "ada@example.org") is None


def test_they_are_found_without_looking_through_all_accounts(admins: Desk, dialect: str) -> None:
    """Each batch asks for them, so that must not take the longer the more accounts there are."""
    explain = "EXPLAIN QUERY PLAN" if dialect == "sqlite" else "EXPLAIN"

    def ways(c: sa.Connection) -> str:
        if dialect == "postgresql":
            c.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which it prefers for a handful of rows
        return str(c.exec_driver_sql(f"{explain} {people.SHIELDED.compile(c)}").all())

    assert "users_shielded" in admins.do(ways)
