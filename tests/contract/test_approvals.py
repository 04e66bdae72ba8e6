"""Approvals: a person allows one run what it may not do by itself."""

from runner.store import accounts, approvals
from tests.contract.desk import NOW, Desk, at

DAY = 24 * 3600


def in_force(desk: Desk, connection_id: int, *, job_id: int = 1, seconds: float = 1) -> int:
    """How much is allowed to a run."""
    return desk.ask(approvals.in_force, connection_id=connection_id, job_id=job_id, now=at(seconds))


def test_without_an_approval_nothing_is_allowed(desk: Desk) -> None:
    """A run by itself may destroy what the ceilings allow and no more."""
    assert in_force(desk, desk.connection()) == 0


def test_an_approval_is_for_its_connection(desk: Desk) -> None:
    """What a person allowed one connection is no other's."""
    one, other = desk.connection(), desk.connection()
    desk.do(approvals.grant, connection_id=one, allowed=40, user_id=None, now=NOW)
    assert (in_force(desk, one), in_force(desk, other)) == (40, 0)


def test_an_approval_is_used_up_once(desk: Desk) -> None:
    """It holds for the run that used it, when that is resumed, and for no later one."""
    connection = desk.connection()
    desk.do(approvals.grant, connection_id=connection, allowed=40, user_id=None, now=NOW)
    desk.do(approvals.use_up, connection_id=connection, job_id=1)
    assert in_force(desk, connection, job_id=1) == 40
    assert in_force(desk, connection, job_id=1, seconds=2 * DAY) == 40
    assert in_force(desk, connection, job_id=2) == 0


def test_using_up_takes_all_that_is_open(desk: Desk) -> None:
    """The largest counts; two approvals don't allow two runs."""
    one, other = desk.connection(), desk.connection()
    for connection, allowed in ((one, 5), (one, 40), (one, 7), (other, 3)):
        desk.do(approvals.grant, connection_id=connection, allowed=allowed, user_id=None, now=NOW)
    assert in_force(desk, one) == 40
    desk.do(approvals.use_up, connection_id=one, job_id=1)
    assert (in_force(desk, one, job_id=2), in_force(desk, other, job_id=2)) == (0, 3)


def test_an_approval_expires(desk: Desk) -> None:
    """What nobody used within a day is allowed no more."""
    connection = desk.connection()
    desk.do(approvals.grant, connection_id=connection, allowed=40, user_id=None, now=NOW)
    assert in_force(desk, connection, seconds=DAY - 1) == 40
    assert in_force(desk, connection, seconds=DAY) == 0


def test_a_used_approval_is_not_used_by_another(desk: Desk) -> None:
    """The run that used it keeps it, whoever comes after."""
    connection = desk.connection()
    desk.do(approvals.grant, connection_id=connection, allowed=40, user_id=None, now=NOW)
    for job_id in (1, 2):
        desk.do(approvals.use_up, connection_id=connection, job_id=job_id)
    assert (in_force(desk, connection, job_id=1), in_force(desk, connection, job_id=2)) == (40, 0)


def test_an_approval_for_a_run_is_no_other_runs(desk: Desk) -> None:
    """What a person saw in one plan isn't allowed to the run that happens to come first."""
    connection = desk.connection()
    desk.do(approvals.grant, connection_id=connection, allowed=40, user_id=None, now=NOW, job_id=2)
    assert [in_force(desk, connection, job_id=job) for job in (1, 2)] == [0, 40]
    desk.do(approvals.use_up, connection_id=connection, job_id=1)
    assert in_force(desk, connection, job_id=2) == 40
    desk.do(approvals.use_up, connection_id=connection, job_id=2)
    assert [in_force(desk, connection, job_id=job) for job in (1, 2, 3)] == [0, 40, 0]


def test_who_allowed_a_run_is_known(desk: Desk) -> None:
    """Of each job that used approvals the largest is told, with who gave it and when."""
    connection = desk.connection()
    ann = desk.do(accounts.create_user, email="ann@example.org", now=NOW)
    for allowed, user in ((5, None), (40, ann), (7, None)):
        desk.do(approvals.grant, connection_id=connection, allowed=allowed, user_id=user, now=at(allowed))
    desk.do(approvals.use_up, connection_id=connection, job_id=1)
    expected = approvals.Approval(user="ann@example.org", allowed=40, when=at(40))
    assert desk.ask(approvals.used_by, [1, 2]) == {1: expected}
    assert desk.ask(approvals.used_by, []) == {}
