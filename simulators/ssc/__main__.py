"""``python -m simulators.ssc``: a Software Security Center with sample issues, until it is interrupted."""

import argparse
import contextlib
import signal
import threading

from simulators.ssc.server import sample


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m simulators.ssc", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8086", help="address and port (127.0.0.1:8086)")
    center = sample()
    center.host, _, port = parser.parse_args().listen.rpartition(":")
    center.port = int(port)
    center.start()
    print(f"Fortify SSC at http://{center.address}/ssc, token {center.token}", flush=True)  # noqa: T201 - a person reads it
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with contextlib.suppress(KeyboardInterrupt):
        stop.wait()
    center.stop()


main()
