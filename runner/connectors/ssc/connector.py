"""The system ``fortify_ssc``: the issues of a version in Software Security Center."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from runner.connectors.ssc.client import WALKS, Center, Version
from runner.connectors.ssc.issues import Translation
from runner.connectors.ssc.params import SscParams
from runner.errors import RunnerError
from runner.findings.plan import plan_import
from runner.findings.scan import Scan
from runner.findings.tally import Tally
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.ports import Context, Params, Step, SystemInfo
from runner.web.walk import GroundMoved

SCANNER = "fortify"
"""The same as for files: whichever way Fortify's results come, they replace each other."""


class FortifySsc:
    """Asks for a version's issues, then tells what they change."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.ANALYSIS, name="Fortify SSC", short_name="Fortify SSC", command="import_fortify_ssc"
    )
    params: ClassVar[type[Params]] = SscParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Look for the version with the token, then for its uploads and one page of issues."""
        params: SscParams = ctx.params
        step = "version"
        try:
            with Center(params, ctx.network) as center:
                version = center.version(params)
                yield Step(
                    name=step, ok=True, message=f"{center.place} knows it: {version}, id {version.id}."
                )
                step = "uploads"
                uploads = center.uploads(version)
                ended = uploads.completed
                told = "There is none yet." if ended is None else f"The newest scan is of {ended:%F %R} UTC."
                yield Step(name=step, ok=True, message=uploads.trouble or told)
                step = "issues"
                total = center.issues(version).fetch(0, 1).total
                yield Step(name=step, ok=True, message=f"There are {total}.")
        except RunnerError as error:
            yield Step(name=step, ok=False, message=error.message)

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read all pages first: what fails in between has planned nothing."""
        params: SscParams = ctx.params
        with Center(params, ctx.network, tell=ctx.progress) as center:
            version = center.version(params)
            # Before the issues: an upload that comes while they are read belongs to the next run.
            uploads = center.uploads(version)
            tally, translation, shortfall = _read(ctx, center, version, params)
        scan = Scan(
            scanner=SCANNER,
            name="Fortify",
            ref=str(version),
            noun="version",
            clues={"version": str(version)},
            listed=translation.listed,
            suppressed=translation.left_out.total(),
            suppressed_as=translation.left_out_as,
            shortfall=_left_behind(version) or uploads.trouble or translation.shortfall or shortfall,
            live=True,
            completed=uploads.completed,
        )
        yield from plan_import(ctx, scan, tally, params)


def _left_behind(version: Version) -> str:
    return "" if version.active else "The version is not active in SSC, so nobody looks after it any more."


def _read(
    ctx: Context, center: Center, version: Version, params: SscParams
) -> tuple[Tally, Translation, str]:
    """All issues; begun again when they moved, and then taken as they are, without proof."""
    tally, translation = Tally(), Translation(params.import_blacklist)
    for _ in range(WALKS):
        tally, translation = Tally(), Translation(params.import_blacklist)
        walk = center.issues(version)
        try:
            for rows in walk.pages():
                for finding in filter(None, map(translation.finding, rows)):
                    tally.add(finding)
                ctx.progress("reading issues", done=walk.seen + len(rows), total=walk.total)
        except GroundMoved:
            ctx.log("issues_moved", seen=walk.seen)
            continue
        return tally, translation, walk.shortfall
    return tally, translation, "Its issues changed while they were read, time and again."
