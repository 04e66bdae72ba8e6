"""The API's client: one request in, its JSON or a sentence out.

Imported where a command reaches out, for requests takes longer to load than most commands run.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from runner.cli.refusals import BadUsage, Json, NotThere, RequestRefused, ServerAway, TokenRefused
from runner.cli.transport import UnixAdapter
from runner.errors import RunnerError

TIMEOUT = (5.0, 60.0)
"""Seconds for connecting, and for each wait for bytes."""

PAGE = 500
"""Rows asked for at a time."""

_CHUNK = 65_536  # bytes of a file read at once


class _Token(requests.auth.AuthBase):
    """The token as a header. As the session's own ``auth`` it also keeps netrc files out."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class Client:
    """Requests to one server. ``name`` is what sentences call it."""

    def __init__(self, session: requests.Session, *, base: str, name: str, in_process: bool = False) -> None:
        self._session = session
        self._base = base
        self.name = name
        self.in_process = in_process  # the server ends with this command

    @classmethod
    def over_socket(cls, path: Path, *, in_process: bool = False) -> "Client":
        """A client of the daemon whose Unix socket is at ``path``."""
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", UnixAdapter(path))
        return cls(session, base="http://localhost", name="the daemon", in_process=in_process)

    @classmethod
    def over_network(cls, url: str, token: str) -> "Client":
        """A client of the server at ``url``; clear HTTP is for this machine only."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = (
                f"--url {url!r} is not the address of a server; write for example https://runner.example.org"
            )
            raise BadUsage(msg)
        session = requests.Session()
        session.auth = _Token(token)
        if parts.scheme == "http":
            if not _is_loopback(parts.hostname):
                msg = "The token would travel in clear text; use https:// beyond this machine."
                raise BadUsage(msg)
            session.trust_env = False  # a proxy would see the token
        path = parts.path.rstrip("/").removesuffix("/api/v2")
        return cls(session, base=f"{parts.scheme}://{parts.netloc}{path}", name=parts.netloc)

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def get(self, path: str, *, what: str = "", **params: Any) -> Json:
        """Read ``path``, which begins after ``/api/v2/``. ``what`` names the thing, should it be absent."""
        return self._send("GET", path, what=what, params=params)

    @contextlib.contextmanager
    def stream(self, path: str, **params: Any) -> Iterator[Iterator[bytes]]:
        """Read what is at ``path`` as it comes, whatever its size; a cut answer raises ``ServerAway``."""
        with self._asked("GET", path, params=params, stream=True) as response:
            if response.status_code != 200:  # noqa: PLR2004 - a good answer
                self._read(response, "")
            yield self._chunks(response)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(_CHUNK)
        except (requests.exceptions.RequestException, OSError) as error:
            msg = f"The answer of {self.name} was cut off; what came of it is not all."
            raise ServerAway(msg, detail=str(error)) from error

    def post(self, path: str, body: Json, *, what: str = "") -> Json:
        """Send JSON to ``path``."""
        return self._send("POST", path, what=what, json=body)

    def patch(self, path: str, body: Json, *, what: str = "") -> Json:
        """Change what is at ``path``."""
        return self._send("PATCH", path, what=what, json=body)

    def get_text(self, path: str, *, what: str = "") -> str:
        """Read what is at ``path`` as text, as CSV."""
        with self._asked("GET", path) as response:
            if response.status_code != 200:  # noqa: PLR2004 - a good answer
                self._read(response, what)
            return response.content.decode()

    def put_text(self, path: str, body: bytes, content_type: str, *, what: str = "") -> None:
        """Put text in place of what is at ``path``."""
        with self._asked("PUT", path, data=body, headers={"Content-Type": content_type}) as response:
            if response.status_code != 200:  # noqa: PLR2004 - a good answer
                self._read(response, what)

    def post_stream(self, path: str, body: Any, content_type: str) -> Json:
        """Send a body that is read while it is sent."""
        return self._send("POST", path, data=body, headers={"Content-Type": content_type})

    def delete(self, path: str, *, what: str = "") -> Json:
        """Delete what is at ``path``."""
        return self._send("DELETE", path, what=what)

    def pages(self, path: str, *, what: str = "", **params: Any) -> Iterator[Json]:
        """All rows of a listing, a page at a time; the next page is read when it is needed."""
        answer = self.get(path, what=what, page_size=PAGE, **params)
        while True:
            if not isinstance(answer.get("results"), list):
                msg = f"What answers at {self.name} is not this API; is the address right?"
                raise ServerAway(msg)
            yield from answer["results"]
            following = answer.get("next")
            if not following:
                return
            # Only what follows the prefix: the server may know itself by another name.
            answer = self.get(following.partition("/api/v2/")[2], what=what)

    def _send(self, method: str, path: str, *, what: str = "", **options: Any) -> Json:
        return self._read(self._asked(method, path, **options), what)

    def _asked(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(
                method, f"{self._base}/api/v2/{path}", timeout=TIMEOUT, allow_redirects=False, **options
            )
        except requests.exceptions.SSLError as error:
            msg = f"The certificate of {self.name} can't be trusted."
            raise ServerAway(msg, detail=str(error)) from error
        except requests.exceptions.Timeout as error:
            msg = f"No answer from {self.name} in time."
            raise ServerAway(msg, detail=str(error)) from error
        except (requests.exceptions.RequestException, OSError) as error:
            msg = f"No connection to {self.name}."
            raise ServerAway(msg, detail=str(error)) from error

    def _read(self, response: requests.Response, what: str) -> Json:
        status = response.status_code
        if status == 204:  # noqa: PLR2004 - no content
            return {}
        try:
            answer = response.json()
        except requests.exceptions.JSONDecodeError:
            answer = None
        if 200 <= status < 300 and isinstance(answer, dict):  # noqa: PLR2004 - success, no redirect
            return answer
        raise self._refusal(response, answer, what)

    def _refusal(self, response: requests.Response, answer: object, what: str) -> RunnerError:
        status = response.status_code
        words = _words(answer)
        match status:
            case 401:
                return TokenRefused(f"The token was refused by {self.name}: {words or 'no reason given'}")
            case 403:
                return TokenRefused(f"The token may not do this at {self.name}: {words or 'no reason given'}")
            case 404 if what and answer is not None:
                return NotThere(f"There is no {what}.")
            case 429 | 502 | 503 | 504:
                later = response.headers.get("Retry-After", "")
                again = f" Try again in {later} s." if later.isdecimal() else ""
                return ServerAway(f"Not now, says {self.name}: {words or f'HTTP {status}'}{again}")
        if words:
            return RequestRefused(words)
        if status >= 500:  # noqa: PLR2004 - the server's own fault
            return RequestRefused(f"An error inside {self.name} (HTTP {status}); its log has the details.")
        return ServerAway(
            f"What answers at {self.name} is not this API (HTTP {status}); is the address right?"
        )


def _words(answer: object) -> str:
    """The sentence in an error's body: its detail, or what is wrong with each field."""
    if not isinstance(answer, dict):
        return ""
    if isinstance(answer.get("detail"), str):
        return str(answer["detail"])
    lines = []
    for field, texts in answer.items():
        text = " ".join(map(str, texts)) if isinstance(texts, list) else str(texts)
        lines.append(text if field == "non_field_errors" else f"{field}: {text}")
    return "\n".join(lines)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
