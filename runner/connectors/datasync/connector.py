"""Excel to a directory: the connector."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from runner.connectors.datasync import job as jobs
from runner.connectors.datasync import target, writing
from runner.connectors.datasync.job import Job
from runner.connectors.datasync.params import DatasyncParams, DestinationProvider
from runner.connectors.datasync.passwords import Announcements
from runner.connectors.datasync.planning import Planner
from runner.directory.access import Access, Security, parse_servers
from runner.directory.opening import connection_test, opened
from runner.directory.port import Directory
from runner.errors import ConfigRejected, RunnerError
from runner.model.changes import Change, ChangeOutcome, ChangeState, Op, StoredChange, Values
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo
from runner.reading.workbook.book import open_workbook
from runner.reading.workbook.query import Selection, select


class Datasync:
    """Keeps accounts, contacts and groups of a directory in step with a workbook."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.DATASYNC, name="Excel to directory", short_name="Datasync", command="datasync"
    )
    params: ClassVar[type[Params]] = DatasyncParams
    batch_size: ClassVar[int] = 200
    undo: ClassVar[Mapping[str, Op]] = {"user": Op.DEACTIVATE, "contact": Op.DELETE, "group": Op.DELETE}

    def __init__(self) -> None:
        self._failed: tuple[str, int] | None = None  # the attempt in which a change failed, if its job aborts

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look whether both sides are there and fit the job."""
        try:
            job = jobs.read(ctx.params)
            source = _source(ctx, job)
            for name in job.columns:
                source.find(name)
            source.close()
        except RunnerError as error:
            yield Step(name="workbook", ok=False, message=error.message)
            return
        yield Step(name="workbook", ok=True, message=f"It has all {len(job.columns)} columns of the job.")
        yield from connection_test(_access(ctx))

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Compare the workbook with the directory."""
        job = jobs.read(ctx.params)
        source = _source(ctx, job)
        try:
            with _directory(ctx) as directory:
                yield from Planner(ctx, job, source=source, directory=directory).plan()
        finally:
            source.close()
        if job.ignored_code:
            ctx.say("The job's script code was ignored, as an administrator accepted.")

    def apply(self, ctx: Context, changes: Sequence[StoredChange]) -> Iterable[ChangeOutcome]:
        """Write a batch to the directory."""
        job = jobs.read(ctx.params)
        attempt = (ctx.job.uuid, ctx.job.attempt)
        if self._failed == attempt:
            yield from map(writing.aborted, changes)
            return
        with (
            _directory(ctx) as directory,
            Announcements(ctx.params.password_folder, ctx.job.id) as announcements,
        ):
            writer = writing.Writer(job, directory, target.domain(directory, job.base), announcements)
            left = list(changes)
            for outcome in writer.apply(changes):
                left.pop(0)
                yield outcome
                if outcome.state is ChangeState.FAILED and job.abort:
                    self._failed = attempt
                    yield from map(writing.aborted, left)
                    return

    def current(self, ctx: Context, kind: str, keys: Sequence[str]) -> Mapping[str, Values | None]:
        """What the directory has now."""
        job = jobs.read(ctx.params)
        with _directory(ctx) as directory:
            return writing.current(job, directory, target.domain(directory, job.base), kind, keys)


def _source(ctx: Context, job: Job) -> Selection:
    found = ctx.params.source
    if found is None:
        name = ctx.params.job_info.source_provider or ""
        msg = f"There is no workbook called {name!r}: set up [provider.{name or 'NAME'}], or upload one."
        raise ConfigRejected(msg)
    if found.trouble:
        raise ConfigRejected(found.trouble)
    path = Path(found.path)
    if not path.is_file():
        msg = f"The workbook {path.name!r} of the provider {found.name!r} isn't there."
        raise ConfigRejected(msg)
    return select(open_workbook(path), job.query, default=job.table)


def _destination(ctx: Context) -> DestinationProvider:
    found: DestinationProvider | None = ctx.params.destination
    if found is None:
        name = ctx.params.job_info.destination_provider or ""
        msg = f"There is no directory called {name!r}: set up [provider.{name or 'NAME'}]."
        raise ConfigRejected(msg)
    if found.trouble:
        raise ConfigRejected(found.trouble)
    return found


def _access(ctx: Context) -> Access:
    found = _destination(ctx)
    try:
        security = Security(found.security)
    except ValueError as error:
        msg = f"The provider {found.name!r} can't be used: {error}."
        raise ConfigRejected(msg) from None
    return Access(
        servers=parse_servers(found.servers, security),
        security=security,
        bind_dn=found.bind_dn,
        password=ctx.params.destination_password.get_secret_value(),
        verify=found.verify,
        ca_bundle=found.ca_bundle,
        network=ctx.network,
        page_size=found.page_size,
    )


@contextmanager
def _directory(ctx: Context) -> Iterator[Directory]:
    with opened(_access(ctx)) as directory:
        yield directory
