"""What systemd is told of the daemon's life: datagrams to the socket that ``NOTIFY_SOCKET`` names.

Without that socket nothing happens. Source: sd_notify(3).
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_LONGEST_STATUS = 200  # characters


class Notifier:
    """Speaks to the service manager that started this process, if one did."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        self.watchdog: float | None = None
        """Seconds within which it wants to hear that all is well; None = it doesn't ask."""
        wanted = environ.get("WATCHDOG_USEC", "")
        if (
            self._address
            and wanted.isdecimal()
            and environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        ):
            self.watchdog = int(wanted) / 1_000_000

    def ready(self) -> None:
        """All is up, or a reload is through."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon takes no more jobs and ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The loops make progress."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """The start or the stop goes on, and will for at most this long before it is told again."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; told when it changes."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # Whoever manages the service may be restarting: the daemon goes on without it.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)
