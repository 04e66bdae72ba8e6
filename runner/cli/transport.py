"""HTTP over a Unix socket, for requests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from runner.cli.sockets import connect


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        # Each request sets ``timeout`` first; the fallback is for urllib3's "not given".
        timeout = self.timeout if isinstance(self.timeout, int | float) else 60.0
        self.sock = connect(self._path, timeout=timeout)


class _Pool(HTTPConnectionPool):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> _Connection:
        return _Connection(self._path)


class UnixAdapter(HTTPAdapter):
    """Sends every request of a session to one Unix socket, whatever host its URL names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._pool = _Pool(path)

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> HTTPConnectionPool:
        """The one pool there is; a socket has neither TLS nor proxies."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Path and query alone, for no proxy stands between."""
        return request.path_url

    def close(self) -> None:
        """Close the connections that are kept for further requests."""
        self._pool.close()
