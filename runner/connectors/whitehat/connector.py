"""The systems ``whitehat``, asked over its API, and ``whitehat_file_upload``, fed with saved answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from runner.connectors.whitehat.choice import choose
from runner.connectors.whitehat.client import NAME, WALKS, Asset, Sentinel
from runner.connectors.whitehat.files import File
from runner.connectors.whitehat.findings import Translation
from runner.connectors.whitehat.params import WhiteHatFileParams, WhiteHatParams
from runner.errors import BadInput, RunnerError
from runner.findings.plan import plan_import
from runner.findings.scan import Scan
from runner.findings.tally import Tally
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Attachment, Context, Params, Step, SystemInfo
from runner.web.walk import GroundMoved

SCANNER = "whitehat"
ACTIVE = frozenset({"", "active"})
"""What the status of an asset is while it is looked after; anything else passes nothing."""

PROGRESS_EVERY = 1000
"""Records of a file between two words about progress."""


@dataclass(frozen=True, slots=True)
class _Read:
    """All findings of one reading, and what left some out; "" = nothing did."""

    tally: Tally
    translation: Translation
    shortfall: str


class WhiteHat:
    """Asks for an asset's findings, then tells what they change."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS, name="WhiteHat Sentinel", short_name="Whitehat", command="sync_whitehat"
    )
    params: ClassVar[type[Params]] = WhiteHatParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Try the key, look for the asset, ask for its scans and one page of findings."""
        params: WhiteHatParams = ctx.params
        step = "server"
        try:
            with Sentinel(params, ctx.network) as sentinel:
                yield Step(name=step, ok=True, message=f"{sentinel.place} knows us as {sentinel.whoami()}.")
                step = "asset"
                asset = choose(sentinel.assets(), params)
                yield Step(name=step, ok=True, message=f'It is {asset}, "{asset.name}".')
                step = "scans"
                ended = sentinel.last_scan(asset)
                yield Step(
                    name=step,
                    ok=True,
                    message="None has completed yet, so nothing can pass."
                    if ended is None
                    else f"The newest one ended {ended:%F %R} UTC.",
                )
                step = "findings"
                total = sentinel.findings(asset, params.statuses).fetch(0, 1).total
                yield Step(name=step, ok=True, message=f"There are {total}.")
        except RunnerError as error:
            yield Step(name=step, ok=False, message=error.message)

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read all pages first: what fails in between has planned nothing."""
        params: WhiteHatParams = ctx.params
        with Sentinel(params, ctx.network, tell=ctx.progress) as sentinel:
            asset = choose(sentinel.assets(), params)
            # Before the findings: a scan that ends while they are read belongs to the next run.
            completed = sentinel.last_scan(asset)
            read = _read_pages(ctx, sentinel, asset, params)
        scan = Scan(
            scanner=SCANNER,
            name=NAME,
            ref=asset.name,
            noun=asset.type,
            clues={"asset": asset.name},
            listed=read.translation.listed,
            suppressed=read.translation.left_out.total(),
            suppressed_as=read.translation.left_out_as,
            shortfall=_retired(asset) or read.shortfall,
            live=True,
            completed=completed,
        )
        yield from plan_import(ctx, scan, read.tally, params)


def _retired(asset: Asset) -> str:
    if asset.status in ACTIVE:
        return ""
    return f"The {asset.type} is {asset.status} at WhiteHat, so nobody looks for weaknesses there any more."


def _read_pages(ctx: Context, sentinel: Sentinel, asset: Asset, params: WhiteHatParams) -> _Read:
    """All findings; begun again when they moved, and then taken as they are, without proof."""
    tally, translation = Tally(), Translation(params.statuses)
    for _ in range(WALKS):
        tally, translation = Tally(), Translation(params.statuses)
        walk = sentinel.findings(asset, params.statuses)
        try:
            for rows in walk.pages():
                for finding in filter(None, map(translation.finding, rows)):
                    tally.add(finding)
                ctx.progress("reading findings", done=walk.seen + len(rows), total=walk.total)
        except GroundMoved:
            ctx.log("findings_moved", seen=walk.seen)
            continue
        return _Read(tally, translation, translation.shortfall or walk.shortfall)
    return _Read(tally, translation, "Its findings changed while they were read, time and again.")


class WhiteHatFileUpload:
    """Reads a saved answer of the API that somebody uploaded."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS,
        name="WhiteHat Sentinel (file)",
        short_name="Whitehat",
        command="import_whitehat",
        file_upload=True,
    )
    params: ClassVar[type[Params]] = WhiteHatFileParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Say that there is nothing online to test."""
        yield Step(
            name="server",
            ok=True,
            message="There is none to test: findings come from the file that is uploaded with each job.",
        )

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the whole file first: a bad one fails before anything is planned."""
        params: WhiteHatFileParams = ctx.params
        if ctx.attachment is None:
            raise BadInput("This job has no file. Upload one: `runner upload FILE --project P`.")
        tally, translation = Tally(), Translation(params.statuses)
        scan = _read_file(ctx, ctx.attachment, tally, translation)
        yield from plan_import(ctx, scan, tally, params)


def _read_file(ctx: Context, attachment: Attachment, tally: Tally, translation: Translation) -> Scan:
    name = attachment.name
    try:
        stream = attachment.path.open("rb")
    except FileNotFoundError:
        raise BadInput(f"{name} isn't kept any more. Upload it again.") from None

    def progress(bytes_read: int) -> None:
        if translation.listed % PROGRESS_EVERY == 0:
            ctx.progress(f"reading {name}", done=bytes_read, total=attachment.size)

    with stream:
        file = File(stream, name=name, translation=translation, progress=progress)
        for finding in file.findings():
            tally.add(finding)
    if file.replaced:
        ctx.say(f"{file.replaced} characters of {name} that XML doesn't allow were read as question marks.")
    return Scan(
        scanner=SCANNER,
        name=NAME,
        ref=name[:200],
        clues={"asset": " ".join(translation.places)} if translation.places else {},
        listed=translation.listed,
        suppressed=translation.left_out.total(),
        suppressed_as=translation.left_out_as,
        shortfall=file.shortfall,
    )
