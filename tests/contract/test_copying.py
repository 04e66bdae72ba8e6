"""A store goes to another database whole: from each to each."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.errors import StoreError
from runner.model.jobs import Kind
from runner.store import copying, migrate, queue, work
from runner.store.database import Database, open_database
from runner.store.schema import jobs, metadata
from tests.contract.desk import NOW, Desk


@pytest.fixture
def target(new_empty_url: Callable[[], str]) -> Iterator[Database]:
    """An empty database of the dialect under test."""
    with contextlib.closing(open_database(new_empty_url())) as database:
        yield database


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with database.read() as c:
        return {
            table.name: sorted((tuple(row) for row in c.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.fixture
def source(desk: Desk) -> Database:
    """A store with two jobs, and a third that is gone again."""
    connection = desk.connection()
    for _ in range(3):
        last, _ = desk.do(queue.enqueue, connection_id=connection, kind=Kind.ALM, now=NOW, automatic=True)
    desk.do(work.create_business_unit, name="Ünit", now=NOW)
    desk.database.write(lambda c: c.execute(jobs.delete().where(jobs.c.id == last)))
    return desk.database


def test_all_rows_are_there_with_their_numbers(source: Database, target: Database) -> None:
    """Every table is the same afterwards, and no number that was given is given again."""
    told: list[int] = []
    number = copying.copy(source, target, told=told.append)
    assert contents(target) == contents(source)
    assert number == sum(told) == copying.rows(source) == sum(map(len, contents(source).values()))
    with target.read() as c:
        newest, connection = c.execute(
            sa.select(sa.func.max(jobs.c.id), sa.func.max(jobs.c.connection_id))
        ).one()
    made, _ = target.write(lambda c: queue.enqueue(c, connection_id=connection, kind=Kind.ALM, now=NOW))
    assert made == newest + 2


def test_it_goes_to_the_other_dialect_and_back(source: Database, tmp_path: Path, target: Database) -> None:
    """By way of an SQLite file nothing changes."""
    with contextlib.closing(open_database(f"sqlite:///{tmp_path / 'between.db'}")) as between:
        copying.copy(source, between)
        copying.copy(between, target)
    assert contents(target) == contents(source)


def test_what_isn_t_empty_is_left_alone(source: Database, target: Database) -> None:
    """A target with a row, or with somebody's table, is refused as it is."""
    migrate.upgrade(target)
    target.write(lambda c: work.create_business_unit(c, name="Theirs", now=NOW))
    before = contents(target)
    with pytest.raises(StoreError, match="isn't empty"):
        copying.copy(source, target)
    assert contents(target) == before
    target.write(lambda c: c.execute(sa.text("DELETE FROM business_units")))
    target.write(lambda c: c.execute(sa.text("CREATE TABLE theirs (x INTEGER)")))
    with pytest.raises(StoreError, match="isn't empty"):
        copying.copy(source, target)


def test_a_copy_that_breaks_off_leaves_nothing(source: Database, target: Database) -> None:
    """Whatever ends it, no row is there, and it can be begun again."""

    def broken(_number: int) -> None:
        raise OSError("enough")

    with pytest.raises(OSError, match="enough"):
        copying.copy(source, target, told=broken)
    assert copying.rows(target) == 0
    assert copying.copy(source, target) == copying.rows(source)
