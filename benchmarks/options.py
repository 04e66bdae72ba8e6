"""What the command line asked for."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long, how often, and with what."""

    rounds: int
    jobs: int  # in one round of ``jobs``
    connectors: str  # the folder in which the benchmarks' connectors are installed
    say: Callable[[str], None]  # tells a person how far it is
