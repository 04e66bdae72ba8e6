"""``python -m simulators.rally``: a Rally server with one workspace and one project."""

import argparse
import sys
from pathlib import Path

from simulators.rally import sample
from simulators.rally.server import SERVICE


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m simulators.rally", description=__doc__)
    parser.add_argument("--port", type=int, default=sample.PORT, help="port on 127.0.0.1; 0 = any")
    parser.add_argument("--workspace", default=sample.WORKSPACE)
    parser.add_argument("--project", default=sample.PROJECT)
    parser.add_argument("--user", default=sample.USER)
    parser.add_argument("--password", default=sample.PASSWORD)
    parser.add_argument("--api-key", default=sample.API_KEY, help="a key that may write")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain, PEM; with --tls-key: HTTPS")
    parser.add_argument("--tls-key", type=Path)
    asked = parser.parse_args()
    simulator = sample.sample_server(
        port=asked.port,
        workspace=asked.workspace,
        project=asked.project,
        user=asked.user,
        password=asked.password,
        api_key=asked.api_key,
        certificate=(asked.tls_cert, asked.tls_key) if asked.tls_cert and asked.tls_key else None,
    )
    sys.stdout.write(f"Rally is imitated at {simulator.url}{SERVICE}\n")
    sys.stdout.flush()
    try:
        simulator.serve()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
