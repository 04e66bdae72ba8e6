"""``runner upload``: hand in a scanner's report."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from runner.cli.command import AsJson, on_server
from runner.cli.connections import finish
from runner.cli.multipart import FormWithFile
from runner.cli.output import console
from runner.cli.reach import Where, reach
from runner.cli.refusals import BadUsage, Json, NotThere, RequestRefused

if TYPE_CHECKING:
    from runner.cli.client import Client

SYSTEMS = ("fortify_file_upload", "webinspect_file_upload", "whitehat_file_upload")
_LOOK = 64 * 1024  # bytes at the start of a file, for a guess at its system


@on_server
def upload(
    where: Where,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The report.")],
    *,
    project: Annotated[str, typer.Option("--project", metavar="P", help="Number or name of the project.")],
    system: Annotated[
        str | None,
        typer.Option(
            "--system", metavar="S", help=f"Where it comes from: {', '.join(SYSTEMS)}. Else the file tells."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is imported; the exit code tells the outcome.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Import a report file into a project."""
    # Opened first: in process, root becomes the owner of the state, who may not read it.
    with _open(file) as report_file:
        named = system or _guess(report_file, file)
        needs = (
            "The import would wait for ever; without --wait it is queued for later. "
            "Start it with `runner run`, or as a service."
        )
        with reach(where, needs_daemon=needs if wait else "") as client:
            fields = {"system": named, "project": str(_project(client, project))}
            queued = _send(client, report_file, file.name, fields)
            return finish(client, queued["id"], kind="analysis", wait=wait, as_json=as_json)


def _open(file: Path) -> BinaryIO:
    try:
        opened = file.open("rb")
    except OSError as error:
        msg = f"{file} can't be read: {error.strerror}."
        raise BadUsage(msg) from error
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        msg = f"{file} is not a file."
        raise BadUsage(msg)
    return opened


def _guess(report_file: BinaryIO, file: Path) -> str:
    start = report_file.read(_LOOK)
    report_file.seek(0)
    if start.startswith(b"PK\x03\x04") or b"<ReportDefinition" in start or b"<FVDL" in start:
        return SYSTEMS[0]
    if b"<Scan>" in start or b"<Sessions>" in start:
        return SYSTEMS[1]
    msg = f"{file} doesn't tell where it comes from; say it with --system: {', '.join(SYSTEMS)}."
    raise BadUsage(msg)


def _project(client: "Client", named: str) -> int:
    if named.isdecimal():
        return int(named)
    found = [project for project in client.pages("projects/", name=named) if project["name"] == named]
    if len(found) == 1:
        return int(found[0]["id"])
    if not found:
        msg = f"There is no project {named!r}."
        raise NotThere(msg)
    numbers = ", ".join(str(project["id"]) for project in found)
    msg = f"{len(found)} projects are named {named!r}; give the number of one: {numbers}."
    raise RequestRefused(msg)


def _send(client: "Client", report_file: BinaryIO, name: str, fields: dict[str, str]) -> Json:
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    size = os.fstat(report_file.fileno()).st_size
    with Progress(
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console(error=True),
        disable=not console(error=True).is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("upload", total=size)
        body = FormWithFile(
            fields,
            field="report_file",
            name=name,
            file=report_file,
            size=size,
            sent=lambda count: bar.advance(task, count),
        )
        return client.post_stream("jobs/analysis-file/", body, body.content_type)
