"""``runner run``: the daemon itself."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.command import DONE, FAILED, Config, settled
from runner.cli.follow import read_job
from runner.cli.jobs import print_jobs
from runner.cli.output import note, say
from runner.cli.refusals import Json

if TYPE_CHECKING:
    from runner.daemon import Daemon


@settled
def run(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Do what is pending or due, print a table of it, and end.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Fill in a sample project with connections first.")
    ] = False,
    config: Config = None,
) -> int:
    """Run the daemon in the foreground."""
    from runner import settings as configuration
    from runner.daemon import Daemon, configure_logging

    settings = configuration.load(file=config)
    configure_logging(settings)
    with Daemon(settings, listen=not once, with_sample=sample) as daemon:
        for line in daemon.notes:
            note(line)
        if once:
            return _drain(daemon)
        if settings.server.listen:
            note(f"Listening on http://{settings.server.listen} and {daemon.socket_path}")
        else:
            note(f"Listening on {daemon.socket_path}")
        return daemon.serve_forever()


def _drain(daemon: "Daemon") -> int:
    finished: list[int] = []
    failed = daemon.drain_once(finished.append)
    from runner.cli.client import Client

    with contextlib.closing(Client.over_socket(daemon.socket_path)) as client:
        jobs: list[Json] = [read_job(client, job_id) for job_id in finished]
    if jobs:
        print_jobs(jobs)
    else:
        say("Nothing was pending or due.")
    return FAILED if failed else DONE
