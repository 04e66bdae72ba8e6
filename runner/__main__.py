"""Lets ``python -m runner`` do what the installed command does."""

import sys

from runner.cli import main

if __name__ == "__main__":
    sys.exit(main())
