"""What a connector prints: lines of its job's log, and so without its secrets.

Standard output and error of a worker would else be main's own, past everything that cleans.
"""

import io
import os
import sys
from collections.abc import Callable

_LONGEST = 2000  # characters of a line that are kept
_MOST = 1000  # lines between two messages of main


class Printed(io.TextIOBase):
    """A text stream whose lines are told; ``tell`` gives one to main."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = ""
        self._left = _MOST

    def begin(self) -> None:
        """Take lines again: main asked for something."""
        self._left = _MOST

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Tell the lines that are complete; the number of characters that were taken."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[-_LONGEST:]
        for line in lines:
            if line.strip() and self._left > 0:
                self._left -= 1
                self._tell(line[:_LONGEST])
        return len(text)


def take_over(tell: Callable[[str], None]) -> Printed:
    """Have all that this process prints told; what native code writes goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    printed = Printed(tell)
    sys.stdout = sys.stderr = printed
    return printed
