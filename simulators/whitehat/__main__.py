"""``python -m simulators.whitehat``: a Sentinel with sample findings, until it is interrupted."""

import argparse
import contextlib
import signal
import threading
from pathlib import Path

from simulators.whitehat.estate import SAMPLE, Estate
from simulators.whitehat.server import Sentinel


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m simulators.whitehat", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8085", help="address and port (127.0.0.1:8085)")
    parser.add_argument("--estate", type=Path, default=SAMPLE, help="JSON file with key, assets and findings")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    sentinel = Sentinel(Estate.read(arguments.estate), host=host, port=int(port)).start()
    print(f"WhiteHat Sentinel at http://{sentinel.address}/api, key {sentinel.estate.key}", flush=True)  # noqa: T201 - a person reads it
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with contextlib.suppress(KeyboardInterrupt):
        stop.wait()
    sentinel.stop()


main()
