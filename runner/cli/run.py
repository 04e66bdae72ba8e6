"""``runner run``: the daemon itself."""

import contextlib
import signal
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import loaded
from runner.cli.command import DONE, FAILED, STOPPED_EARLY, Config, settled
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
    # Before anything that takes long: systemd may say "reload" as soon as the process is there.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import structlog

    from runner import configuration
    from runner.daemon import Daemon, configure_logging

    load = partial(configuration.load, file=config)
    found = configuration.read(file=config)
    settings = found.settings
    configure_logging(settings)
    if literals := found.literals():
        structlog.get_logger(part="configuration").warning("secrets_stand_in_files", names=literals)
    with Daemon(settings, listen=not once, with_sample=sample, load=load) as daemon:
        loaded()
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
    if daemon.stopped_early:
        return STOPPED_EARLY
    return FAILED if failed else DONE
