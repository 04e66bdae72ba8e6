"""The system ``fortify_file_upload``: findings from a file that somebody uploaded."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from runner.connectors.fortify.kinds import open_report
from runner.connectors.fortify.params import FortifyParams
from runner.connectors.fortify.report import Report
from runner.errors import BadInput
from runner.findings.plan import plan_import
from runner.findings.scan import Scan
from runner.findings.tally import Tally
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Attachment, Context, Params, Step, SystemInfo

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

    def check(self, ctx: Context) -> Iterable[Step]:
        """Say that there is nothing online to test."""
        yield Step(name="parameters", ok=True, message="They are valid.")
        yield Step(
            name="server",
            ok=True,
            message="There is none to test: findings come from the file that is uploaded with each job.",
        )

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the whole file first: a bad one fails before anything is planned."""
        params: FortifyParams = ctx.params
        if ctx.attachment is None:
            raise BadInput("This job has no file. Upload one: `runner upload FILE --project P`.")
        tally = Tally()
        scan = _read(ctx, ctx.attachment, params, tally)
        yield from plan_import(ctx, scan, tally, params)


def _read(ctx: Context, attachment: Attachment, params: FortifyParams, tally: Tally) -> Scan:
    name = attachment.name
    try:
        stream = attachment.path.open("rb")
    except FileNotFoundError:
        raise BadInput(f"{name} isn't kept any more. Upload it again.") from None
    with stream:
        document = open_report(stream, name=name, wanted=params.report_type)
        report = Report(document, blacklist=params.import_blacklist)
        for number, finding in enumerate(report.findings()):
            tally.add(finding)
            if number % PROGRESS_EVERY == 0:
                ctx.progress(f"reading {name}", done=document.bytes_read, total=attachment.size)
    if document.replaced:
        ctx.say(
            f"{document.replaced} characters of {name} that XML doesn't allow were read as question marks."
        )
    return report.scan()
