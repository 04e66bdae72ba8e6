"""Connect to a Unix socket, however long its path."""

import os
import socket
from pathlib import Path

LONGEST_PATH = 107
"""Bytes that a socket's address holds on Linux; a longer path goes through its folder's descriptor."""


def connect(path: Path, *, timeout: float) -> socket.socket:
    """Connect to the socket at ``path``; ``timeout``, in seconds, holds for what follows too."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        if len(os.fsencode(path)) <= LONGEST_PATH:
            connection.connect(str(path))
        else:
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection
