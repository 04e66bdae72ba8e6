"""``python -m simulators COMMAND…``: run a command with the imitated systems beside it.

The command's environment tells where they are: ``RUNNER_SAMPLE_RALLY`` is host and port. A
system whose port is taken isn't there, and the command goes on without it.
"""

import os
import signal
import subprocess
import sys

from simulators.rally.sample import PORT as RALLY_PORT
from simulators.rally.sample import sample_server


def main() -> int:
    """Start all of them, run the command, and end as it ends."""
    environment = dict(os.environ)
    try:
        rally = sample_server(port=RALLY_PORT).start()
    except OSError as error:
        sys.stderr.write(f"No Rally is imitated: port {RALLY_PORT} of 127.0.0.1: {error.strerror}\n")
    else:
        environment["RUNNER_SAMPLE_RALLY"] = f"127.0.0.1:{rally.port}"
        sys.stderr.write(f"A Rally is imitated at {rally.url}\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to handle
    process = subprocess.Popen(sys.argv[1:], env=environment)  # noqa: S603 - it is what we were called with
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGHUP, lambda *_: process.send_signal(signal.SIGHUP))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
