"""``python -m benchmarks``."""

import sys


def main() -> int:
    """Run the command line; its exit code."""
    from benchmarks.command import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
