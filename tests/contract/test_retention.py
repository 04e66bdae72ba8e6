"""What is over its time goes, little by little, and nothing else does."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runner.engine.retention import Remover
from runner.model.jobs import Job
from runner.settings import Retention
from runner.store import job_log, retention, uploads
from runner.store.schema import changes, jobs, reads
from runner.store.schema import uploads as uploads_table
from tests.contract.desk import NOW, Desk, planned

KEEP = Retention(
    jobs=timedelta(days=400),
    changes=timedelta(days=100),
    logs=timedelta(days=30),
    uploads=timedelta(days=7),
    previews=timedelta(days=7),
)
DAY = 86_400.0  # seconds


def count_in(c: sa.Connection, table: sa.Table) -> int:
    """How many rows a table has."""
    return c.scalar(sa.select(sa.func.count()).select_from(table)) or 0


class House:
    """A store with a remover, whose clock the test moves."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.now = NOW
        self.folder = folder
        self.remover = Remover(desk.database, keep=KEEP, uploads=folder, clock=lambda: self.now)

    def after(self, days: float) -> dict[str, int]:
        """Let it be some days after the beginning, and remove; how much."""
        self.now = NOW + timedelta(days=days)
        return self.remover.turn(spare=0)

    def run(self, connection: int, number: int = 0, *, day: float = 0, **fields: Any) -> Job:
        """A job with ``number`` changes that was finished on a day."""
        self.desk.job(connection, seconds=day * DAY, **fields)
        job = self.desk.claim(seconds=day * DAY).job
        for start in range(0, number, 1000):
            numbers = range(start + 1, min(start + 1000, number) + 1)
            self.desk.plan(job, *(planned(n, after={"text": "x" * 100}) for n in numbers))
        self.desk.finish(job, now=NOW + timedelta(days=day))
        return job

    def left(self, table: sa.Table) -> int:
        """How many rows a table has."""
        with self.desk.database.read() as c:
            return count_in(c, table)

    def ids(self) -> list[int]:
        """The jobs that are left."""
        with self.desk.database.read() as c:
            return list(c.scalars(sa.select(jobs.c.id).order_by(jobs.c.id)))

    def upload(self, name: str, *, day: float = 0) -> int:
        """A file that was received on a day."""
        (self.folder / name).write_text("report", encoding="utf-8")
        received = uploads.Received(name="report.xml", file=name, size=6, sha256="0" * 64)
        return self.desk.do(uploads.add, received, now=NOW + timedelta(days=day))


@pytest.fixture
def house(desk: Desk, tmp_path: Path) -> House:
    """Give an empty store with a remover."""
    (tmp_path / "uploads").mkdir()
    return House(desk, tmp_path / "uploads")


def test_changes_go_before_their_job(house: House) -> None:
    """The journal has a time of its own; a job outlives it, with its readings."""
    connection = house.desk.connection()
    job = house.run(connection, 3)
    house.desk.do(
        lambda c: c.execute(reads.insert().values(job_id=job.id, name="r", attempt=1, complete=True, size=1))
    )
    house.run(connection, 2, day=50)
    assert house.after(100)["changes"] == 0
    assert house.after(101)["changes"] == 3
    assert (house.left(changes), len(house.ids()), house.left(reads)) == (2, 2, 1)
    assert house.after(401) == {"previews": 0, "changes": 2, "jobs": 1, "files": 0}
    assert (house.ids(), house.left(reads)) == ([job.id + 1], 0)


def test_logs_go_long_before_their_job(house: House) -> None:
    """A job's log has a time of its own; the job stays without it."""
    job = house.run(house.desk.connection())
    lines = [job_log.Line(NOW, "looked", {}), job_log.Line(NOW + timedelta(days=5), "found", {})]
    house.desk.do(job_log.add, job=job, lines=lines)
    for day, left in ((30, 2), (31, 1), (36, 0)):
        house.after(day)
        with house.desk.database.read() as c:
            assert job_log.count(c, job.id) == left
    assert house.ids() == [job.id]


def test_the_newest_job_of_each_connection_stays(house: House) -> None:
    """However long ago it ran, a connection shows how its last run went; a preview is no run."""
    one, two = house.desk.connection("One"), house.desk.connection("Two")
    first, second = house.run(one), house.run(one)
    third = house.run(two)
    house.run(two, preview=True)
    removed = house.after(5000)
    assert (removed["jobs"], removed["previews"]) == (1, 1)
    assert house.ids() == [second.id, third.id]
    assert first.id not in house.ids()


def test_previews_go_early(house: House) -> None:
    """A preview goes with its plan after its own time; real runs of that age stay."""
    connection = house.desk.connection()
    house.run(connection, 2)
    house.run(connection, 5, preview=True)
    house.run(connection, 5, preview=True, day=6)
    assert house.after(8)["previews"] == 1
    assert (len(house.ids()), house.left(changes)) == (2, 7)


def test_unfinished_jobs_stay(house: House) -> None:
    """What waits or runs isn't over, however long ago it was asked for."""
    connection = house.desk.connection()
    job = house.desk.running()
    house.desk.plan(job, planned(1))
    for preview in (False, True):
        house.desk.job(connection, preview=preview)
    assert not any(house.after(5000).values())
    assert (len(house.ids()), house.left(changes)) == (3, 1)


def test_a_revert_that_waits_keeps_what_it_reads(house: House) -> None:
    """The journal of a job that is about to be taken back stays until that is done."""
    connection = house.desk.connection()
    job = house.run(connection, 4)
    house.desk.job(connection, seconds=500 * DAY, revert_of=job.id)
    assert not any(house.after(500).values())
    house.desk.finish(house.desk.claim(seconds=500 * DAY).job)
    removed = house.after(501)
    assert (removed["changes"], removed["jobs"]) == (4, 1)


def test_no_write_removes_more_than_a_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is, each write is short, so nobody who writes waits for long."""
    connection = house.desk.connection()
    house.run(connection, 1203)
    house.run(connection)
    sizes: list[int] = []
    write = house.desk.database.write

    def watched(function: Any) -> Any:
        def counted(c: sa.Connection) -> Any:
            before = count_in(c, changes)
            done = function(c)
            sizes.append(before - count_in(c, changes))
            return done

        return write(counted)

    monkeypatch.setattr(house.desk.database, "write", watched)
    assert house.after(500) == {"previews": 0, "changes": 1203, "jobs": 1, "files": 0}
    assert [size for size in sizes if size] == [retention.BATCH, retention.BATCH, 203]


def test_files_of_uploads_go_and_their_rows_stay(house: House) -> None:
    """A file goes some days after the last job on it ended; its row says so as long as a job names it."""
    connection = house.desk.connection()
    for name, day in (("old", 0.0), ("late", 0.0), ("young", 5.0)):
        house.run(connection, upload_id=house.upload(name), day=day)
    house.desk.job(connection, upload_id=house.upload("waiting"))
    house.upload("lone")
    house.run(house.desk.connection("Other"), upload_id=house.upload("new", day=7), day=7)
    assert house.after(8)["files"] == 3
    assert sorted(path.name for path in house.folder.iterdir()) == ["new", "waiting", "young"]
    with house.desk.database.read() as c:
        rows = c.execute(sa.select(uploads_table.c.file, uploads_table.c.removed)).all()
    assert {row.file: row.removed is not None for row in rows} == {
        "old": True,
        "late": True,
        "young": False,
        "waiting": False,
        "new": False,
    }


def test_a_file_that_is_gone_already_is_no_obstacle(house: House) -> None:
    """What somebody removed by hand is recorded as removed."""
    house.run(house.desk.connection(), upload_id=house.upload("gone"))
    (house.folder / "gone").unlink()
    assert house.after(8)["files"] == 1
    assert house.after(8)["files"] == 0


def test_the_file_of_the_store_shrinks(house: House, dialect: str) -> None:
    """Space that the journal no longer needs goes back to the file system, in small steps."""
    if dialect != "sqlite":
        assert house.desk.do(retention.give_back_space, pages=1) == 0  # PostgreSQL does this by itself
        return
    house.run(house.desk.connection(), 5000)
    with house.desk.database.read() as c:
        before = c.exec_driver_sql("PRAGMA page_count").scalar_one()
    house.after(101)
    with house.desk.database.read() as c:
        assert c.exec_driver_sql("PRAGMA freelist_count").scalar_one() == 0
        assert c.exec_driver_sql("PRAGMA page_count").scalar_one() < before / 2


def test_the_thread_ends_at_once(house: House) -> None:
    """Whoever stops the daemon doesn't wait for a remover that sleeps."""
    house.remover.start()
    house.remover.end()
    assert not house.remover.is_alive()
    assert house.after(5000)["jobs"] == 0
