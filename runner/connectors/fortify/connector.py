"""The systems ``fortify_file_upload`` and ``webinspect_file_upload``: findings from an uploaded file."""

from collections.abc import Collection, Iterable, Iterator
from typing import ClassVar

from runner.connectors.fortify.external import KEY, remembered, to_json
from runner.connectors.fortify.kinds import Kind as FileKind
from runner.connectors.fortify.kinds import accepted, open_file
from runner.connectors.fortify.params import FortifyParams, WebInspectParams
from runner.errors import BadInput
from runner.findings.params import AnalysisParams
from runner.findings.plan import plan_import
from runner.findings.scan import Scan
from runner.findings.tally import Tally
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Attachment, Context, Params, Step, SystemInfo
from runner.reading.xml import Malformed

PROGRESS_EVERY = 1000
"""Findings between two words about progress."""


class FortifyFileUpload:
    """Reads the file of a job, then tells what its findings change."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS,
        name="Fortify Software Security Center",
        short_name="Fortify",
        command="import_fortify",
        file_upload=True,
    )
    params: ClassVar[type[Params]] = FortifyParams

    def check(self, _ctx: Context) -> Iterable[Step]:
        """Say that there is nothing online to test."""
        return _nothing_online()

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the whole file first: a bad one fails before anything is planned."""
        params: FortifyParams = ctx.params
        return plan_file(ctx, params, wanted=accepted(params.report_type), blacklist=params.import_blacklist)


class WebInspectFileUpload:
    """The same for WebInspect's exports."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS,
        name="Fortify WebInspect",
        short_name="WebInspect",
        command="import_webinspect",
        file_upload=True,
    )
    params: ClassVar[type[Params]] = WebInspectParams

    def check(self, _ctx: Context) -> Iterable[Step]:
        """Say that there is nothing online to test."""
        return _nothing_online()

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the whole file first: a bad one fails before anything is planned."""
        return plan_file(ctx, ctx.params, wanted=[FileKind.WEBINSPECT])


def _nothing_online() -> Iterator[Step]:
    yield Step(name="parameters", ok=True, message="They are valid.")
    yield Step(
        name="server",
        ok=True,
        message="There is none to test: findings come from the file that is uploaded with each job.",
    )


def plan_file(
    ctx: Context, params: AnalysisParams, *, wanted: Collection[FileKind], blacklist: Collection[str] = ()
) -> Iterator[Change]:
    """The changes that the file of the job makes; ``BadInput`` before the first of them if it is bad."""
    if ctx.attachment is None:
        raise BadInput("This job has no file. Upload one: `runner upload FILE --project P`.")
    tally = Tally()
    scan = read_file(ctx, ctx.attachment, tally, wanted=wanted, blacklist=blacklist)
    yield from plan_import(ctx, scan, tally, params)


def read_file(
    ctx: Context, file: Attachment, tally: Tally, *, wanted: Collection[FileKind], blacklist: Collection[str]
) -> Scan:
    """Read ``file`` into ``tally``, whole."""
    try:
        return _read(ctx, file, tally, wanted=wanted, blacklist=blacklist, skip=True)
    except Malformed:
        # That may be so because of what was left out; and lines are counted without it.
        tally.clear()
        return _read(ctx, file, tally, wanted=wanted, blacklist=blacklist, skip=False)


def _read(
    ctx: Context,
    file: Attachment,
    tally: Tally,
    *,
    wanted: Collection[FileKind],
    blacklist: Collection[str],
    skip: bool,
) -> Scan:
    name = file.name
    cwes = remembered(ctx.memory)
    try:
        stream = file.path.open("rb")
    except FileNotFoundError:
        raise BadInput(f"{name} isn't kept any more. Upload it again.") from None
    with (
        stream,
        open_file(stream, name=name, wanted=wanted, blacklist=blacklist, cwes=cwes, skip=skip) as reader,
    ):
        for number, finding in enumerate(reader.findings()):
            tally.add(finding)
            if number % PROGRESS_EVERY == 0:
                ctx.progress(f"reading {name}", done=stream.tell(), total=file.size)
        scan = reader.scan()
    if reader.replaced:
        ctx.say(f"{reader.replaced} characters of {name} that XML doesn't allow were read as question marks.")
    for sentence in reader.sentences:
        ctx.say(sentence)
    if reader.cwes != cwes:
        ctx.remember(KEY, to_json(reader.cwes))
    return scan
