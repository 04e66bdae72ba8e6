"""One remote server over HTTP: what is sent, what comes back, and what either means here."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from runner import __version__
from runner.errors import AccessDenied, BadInput, Refused
from runner.log import redactor
from runner.model.network import Network
from runner.secrets import read_reference
from runner.settings import Remote
from runner.web.body import Body
from runner.web.client import Client, Patience
from runner.web.site import Site

ROOT = "/api/v2/"
PAGE = 100
"""Rows asked for at once."""

_PATIENCE = Patience(attempts=4, first_pause=0.2, longest_pause=10.0)
_WHOLE = 10  # times the timeout, from a request to the last byte of its answer
_LONGEST_TEXT = 300  # characters of what a server says went wrong

# Answers that mean something here. All others mean that the server is away or busy.
_MEANT = frozenset(range(200, 300)) | frozenset({400, 401, 403, 404, 405, 409, 410, 413, 415, 422})

Json = dict[str, Any]


class TokenRefused(AccessDenied):
    """The server doesn't know the token, or not any more."""


class Wire:
    """A session with one server. Not for two threads at once."""

    def __init__(self, name: str, settings: Remote, network: Network) -> None:
        self.name = name
        self.host = urlsplit(settings.url).netloc
        self._settings = settings
        self._network = network
        self._token = ""
        self._client: Client | None = None

    def close(self) -> None:
        """Let go of its connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- reading --------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> Json:
        """Read one thing, trying again a few times if that may help."""
        return self._call("GET", path, query=query)

    def rows(self, path: str, **query: Any) -> Iterator[Json]:
        """Read a listing to its proven end, whole or in pages, whichever the server does."""
        answer = self.get(path, **{"page_size": PAGE, **query})
        seen = {""}
        while True:
            rows = answer.get("results")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise BadInput(f"{self.host} answered {path} with something that is no listing.")
            yield from rows
            # The end is null, "" or no such key; one that names itself would go on forever.
            following = str(answer.get("next") or "")
            if following in seen:
                return
            seen.add(following)
            answer = self.get(self._below_root(following))

    def _below_root(self, url: str) -> str:
        """Path and query of a link to the next page, whatever name the server knows itself by."""
        parts = urlsplit(url)
        at = parts.path.find(ROOT)
        if at < 0:
            raise BadInput(f"{self.host} names a next page that isn't below {ROOT}.")
        return parts.path[at + len(ROOT) :] + (f"?{parts.query}" if parts.query else "")

    # --- writing --------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        key: str | None = None,
        repeatable: bool = False,
    ) -> Json:
        """Write something, once unless it is ``repeatable``.

        ``key`` lets a server that knows such keys recognise a repetition.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(method, path, body=body, headers=headers, repeatable=repeatable)

    # --- a request ------------------------------------------------------------------------

    def _call(self, method: str, path: str, **request: Any) -> Json:
        try:
            return self._exchange(method, path, **request)
        except TokenRefused:
            before = self._token
            self.close()
            self._open()
            if self._token == before:
                raise  # else it was renewed in its file
            return self._exchange(method, path, **request)

    def _open(self) -> Client:
        settings = self._settings
        self._token = read_reference(settings.token)
        redactor.learn([self._token])
        timeout = settings.timeout.total_seconds()
        site = Site(
            name=f"the remote server {self.name}",
            url=settings.url.rstrip("/") + ROOT,
            headers={"User-Agent": f"integration-runner/{__version__}"},
            secrets={"Authorization": f"Token {self._token}"},
            ca_bundle=settings.ca_bundle,
            proxy=settings.proxy,
            connect_timeout=min(timeout, 10.0),
            read_timeout=timeout,
            answer_timeout=_WHOLE * timeout,
        )
        self._client = Client(site, self._network, patience=_PATIENCE)
        return self._client

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Json | None = None,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        repeatable: bool = False,
    ) -> Json:
        client = self._client or self._open()

        def read(answer: Body) -> tuple[int, Any]:
            empty = answer.status == HTTPStatus.NO_CONTENT
            return answer.status, None if empty else answer.json()

        status, told = client.send(
            method,
            path,
            read,
            params=query,
            body=body,
            headers={"Accept": "application/json", **(headers or {})},
            accept=_MEANT,
            repeatable=repeatable or method == "GET",
        )
        if status >= HTTPStatus.BAD_REQUEST:
            raise self._refused(status, _said(told), path)
        if isinstance(told, list):
            return {"results": told}
        if told is not None and not isinstance(told, dict):
            raise BadInput(f"{self.host} answered {path} with something that is no object.")
        return told or {}

    def _refused(self, status: int, said: str, path: str) -> Exception:
        if status == HTTPStatus.UNAUTHORIZED:
            return TokenRefused(
                f"{self.host} refused the token. Make a new one there and put it where "
                f"[remote.{self.name}] token says; it is read again by itself.",
                detail=said,
            )
        if status == HTTPStatus.FORBIDDEN:
            return AccessDenied(
                f"{self.host} doesn't let the token's user do this ({path.partition('?')[0]}): {said} "
                f"Give that user the permission, or take the kind of jobs out of [remote.{self.name}] kinds."
            )
        return Refused(f"{self.host} answered with HTTP {status}: {said}", status=status)


def _said(told: Any) -> str:
    """What the server says went wrong, in one line."""
    if not isinstance(told, dict):
        return str(told)[:_LONGEST_TEXT]
    for name in ("detail", "error", "message"):
        if isinstance(told.get(name), str):
            return str(told[name])[:_LONGEST_TEXT]
    return "; ".join(f"{name}: {problem}" for name, problem in told.items())[:_LONGEST_TEXT]
