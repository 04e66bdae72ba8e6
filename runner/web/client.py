"""The client: requests under rules, repeated where that is safe, with errors for operators."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import stamina
from requests.cookies import RequestsCookieJar
from stamina.instrumentation import set_on_retry_hooks

from runner.errors import BadInput, ConfigRejected, ConnectorFailure, Internal, TryLater, Unreachable
from runner.model.network import Network
from runner.secrets import MASK
from runner.web import answers
from runner.web.body import Body, Broken
from runner.web.site import Site, check, origin, tls_context
from runner.web.transport import Adapter, Gate

T = TypeVar("T")

READS = frozenset({"GET", "HEAD", "OPTIONS"})
REPEATABLE = READS | {"PUT", "DELETE"}
"""Methods that do no more when they are repeated."""

MOST_REDIRECTS = 5
LARGEST = 64 * 1024 * 1024
"""Bytes of an answer that is taken into memory at once."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a request is repeated."""

    attempts: int = 5
    first_pause: float = 0.5  # seconds; twice as long before each further attempt, and up to half more
    longest_pause: float = 30.0  # seconds; a server that asks for more is left for a later run
    busy: frozenset[int] = answers.BUSY  # statuses that mean "slow down"


class _Again(Exception):
    """The same request may be made again after ``pause`` seconds; ``failure`` is what it is else."""

    def __init__(self, failure: ConnectorFailure, pause: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.pause = pause


class Client:
    """Speaks with one site. One per thread; close it, or use it in a ``with``.

    While ``network.reads_only`` nothing but ``READS`` leaves it, and POSTs to the paths named
    in ``reading_posts``, for systems that take long questions that way.
    """

    def __init__(
        self,
        site: Site,
        network: Network,
        *,
        patience: Patience | None = None,
        reading_posts: Collection[str] = (),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        check(site, network)
        self.site = site
        self._network = network
        self._patience = patience or Patience()
        self._reading_posts = frozenset(reading_posts)
        self._tell = tell or (lambda _: None)
        self._base = site.url.rstrip("/")
        # As it is sent, and without the word before it: "Token abc" and "abc".
        self._secret = {
            part for value in site.secrets.values() if value for part in (value, value.split()[-1])
        }
        self._session = _session(site, network)
        set_on_retry_hooks(())  # they would log requests as they are, to nobody who asked

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- asking --------------------------------------------------------------------------

    def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        accept: Collection[int] = _SUCCESS,
        repeatable: bool | None = None,
        largest: int = LARGEST,
    ) -> Any:
        """The answer's JSON; None if it is empty. See ``send`` for the rest."""

        def read(answer: Body) -> Any:
            return None if answer.status == HTTPStatus.NO_CONTENT else answer.json()

        return self.send(
            method,
            path,
            read,
            params=params,
            body=body,
            headers={"Accept": "application/json"},
            accept=accept,
            repeatable=repeatable,
            largest=largest,
        )

    def send(
        self,
        method: str,
        path: str,
        read: Callable[[Body], T],
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = _SUCCESS,
        repeatable: bool | None = None,
        largest: int = LARGEST,
        **more: Any,
    ) -> T:
        """Send a request and give its body to ``read``, again if that may be done and helps.

        ``path`` follows the site's URL, or is a whole URL of the same origin. ``body`` is sent
        as JSON. Statuses outside ``accept`` are errors. ``repeatable`` says that a request does
        no more when it is repeated, where its method doesn't tell. ``more`` goes to requests
        (``data``, ``files``).
        """
        method = method.upper()
        self._may(method, path)
        url = self._url(path, params)
        reads = method in READS or path in self._reading_posts
        again = repeatable if repeatable is not None else reads or method in REPEATABLE

        def attempt() -> T:
            until = time.monotonic() + self.site.answer_timeout
            response = self._once(method, url, again=again, json=body, headers=dict(headers or {}), **more)
            answer = Body(response, self.site.place, largest=largest, until=until)
            with answer:
                if response.status_code not in accept:
                    raise self._refused(response, again=again, writes=not reads and not again)
                try:
                    return read(answer)
                except Broken as error:
                    raise self._broken(error, method, url, again=again) from error

        return self._patiently(attempt)

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int,
    ) -> Iterator[Body]:
        """The answer to a GET as a stream. What fails while it is read isn't repeated."""
        url = self._url(path, params)

        def attempt() -> Body:
            until = time.monotonic() + self.site.answer_timeout
            response = self._once("GET", url, again=True, headers=dict(headers or {}))
            if response.status_code in _SUCCESS:
                return Body(response, self.site.place, largest=largest, until=until)
            with response:
                raise self._refused(response, again=True, writes=False)

        with self._patiently(attempt) as answer:
            try:
                yield answer
            except Broken as error:
                raise self._broken(error, "GET", url, again=False) from error

    # --- one attempt ---------------------------------------------------------------------

    def _may(self, method: str, path: str) -> None:
        if self._network.reads_only and method not in READS and path not in self._reading_posts:
            raise Internal(
                f"The connector tried to write ({method} {urlsplit(path).path}) to {self.site.place} while "
                "it was only to read. Nothing was sent. Report it with the details from the daemon's log."
            )

    def _url(self, path: str, params: Mapping[str, Any] | None) -> str:
        whole = path if "://" in path else f"{self._base}/{path.lstrip('/')}" if path else self._base
        if origin(urlsplit(whole)) != origin(self.site.parts):
            raise self._elsewhere(whole)
        # A colon stays as it is: some systems have parameters like page:limit and know no %3A.
        query = urlencode({k: v for k, v in (params or {}).items() if v is not None}, safe=":", doseq=True)
        url = f"{whole}{'&' if '?' in whole else '?'}{query}" if query else whole
        if any(secret in url for secret in self._secret):
            raise Internal(f"A secret would have stood in a URL of {self.site.place}, so it wasn't sent.")
        return url

    def _once(self, method: str, url: str, *, again: bool, **request: Any) -> requests.Response:
        """One request and its redirects; the answer's body isn't read yet."""
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = self._session.request(
                    method,
                    url,
                    allow_redirects=False,
                    stream=True,
                    timeout=(self.site.connect_timeout, self.site.read_timeout),
                    verify=self.site.verify,
                    **request,
                )
            except requests.RequestException as error:
                raise self._silent(error, method, url, again=again) from error
            if response.status_code not in _REDIRECTS:
                return response
            with response:
                url = self._redirected(method, url, response)
        raise ConfigRejected(f"{self.site.place} redirects in a circle. Correct the connection's server.")

    def _redirected(self, method: str, url: str, response: requests.Response) -> str:
        """Where a redirect leads, if it is the same place; credentials never go to another."""
        target = urljoin(url, response.headers.get("Location", ""))
        here, there = origin(urlsplit(url)), _origin(target)
        upgraded = here[:2] == ("http", there[1]) and there[0] == "https" and (here[2], there[2]) == (80, 443)
        if there != here and not upgraded:
            raise self._elsewhere(target)
        if method not in READS:
            raise ConfigRejected(
                f"{self.site.place} redirects {method} requests, and what is written isn't sent on. Set the "
                f"connection's server to where it leads: {_shown(target)}."
            )
        return target

    def _elsewhere(self, url: str) -> ConfigRejected:
        return ConfigRejected(
            f"{self.site.place} sends us to {_shown(url)}, and its credential isn't carried to another "
            "place. If that is right, set it as the connection's server."
        )

    # --- what went wrong -----------------------------------------------------------------

    def _silent(self, error: requests.RequestException, method: str, url: str, *, again: bool) -> Exception:
        what = f"{method} {urlsplit(url).path or '/'}"
        untouched = answers.never_left(error)
        sent = not again and method not in READS and not untouched
        failed = answers.not_answered(error, self.site.place, what=what, sent=sent)
        return _Again(failed) if isinstance(failed, Unreachable) and (again or untouched) else failed

    def _refused(self, response: requests.Response, *, again: bool, writes: bool) -> Exception:
        busy = self._patience.busy
        failed = answers.failure(response, self.site.place, busy=busy, writes=writes, mask=self._masked)
        status = response.status_code
        if (
            isinstance(failed, TryLater)
            and status in busy
            and (again or status == HTTPStatus.TOO_MANY_REQUESTS)
        ):
            return _Again(failed, failed.retry_after)
        return failed

    def _broken(self, error: Broken, method: str, url: str, *, again: bool) -> Exception:
        failed = BadInput(
            f"{self.site.place} gave no whole answer to {method} {urlsplit(url).path}: {error}. Run again."
        )
        return _Again(failed) if again else failed

    def _masked(self, text: str) -> str:
        for secret in sorted(self._secret, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    # --- repeating -----------------------------------------------------------------------

    def _patiently(self, attempt: Callable[[], T]) -> T:
        patience, tried = self._patience, 0

        def pause(error: Exception) -> bool | float:
            if not isinstance(error, _Again):
                return False
            wait = error.pause
            if wait is None:
                wait = min(patience.longest_pause, patience.first_pause * 2.0**tried)
                wait *= random.uniform(1.0, 1.5)  # noqa: S311 - spreads clients, guards nothing
            elif wait > patience.longest_pause:
                return False  # longer than a run should wait: the job is tried again instead
            if tried + 1 < patience.attempts:
                self._tell(f"waiting {wait:.0f} s for {self.site.name}")
            return wait

        try:
            for trial in stamina.retry_context(on=pause, attempts=patience.attempts, timeout=None):
                with trial:
                    tried = trial.num - 1
                    return attempt()
        except _Again as error:
            raise error.failure from error.__cause__
        raise Internal("A request was tried not once.")


def _session(site: Site, network: Network) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # else REQUESTS_CA_BUNDLE, proxies and .netrc of the environment override ours
    parts = site.parts
    gate = Gate(network=network, home_only=parts.scheme == "http" and bool(site.secrets))
    if site.proxy:
        if network.refuses_unresolved(parts.hostname or ""):
            raise ConfigRejected(
                f"{site.place} is a place that [safety] egress_deny or egress_allow doesn't let connections "
                "reach. Correct the connection's server, or the rules."
            )
        session.proxies = {"http": site.proxy, "https": site.proxy}
    adapter = Adapter(gate, tls_context(site, network))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    if not site.keep_cookies:
        session.cookies = _NoCookies()
    if not site.verify:
        _quiet()
    session.headers.update({"User-Agent": "integration-runner", **site.headers, **site.secrets})
    return session


class _NoCookies(RequestsCookieJar):
    """Keeps none."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        """Drop it."""


def _quiet() -> None:
    """Without a warning per request: that the certificate isn't looked at was a person's choice."""
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            return origin(parts)
    except ValueError:
        pass
    return "", "", 0


def _shown(url: str) -> str:
    """An address without whatever may be secret in it."""
    scheme, host, port = _origin(url)
    usual = port in (80, 443)
    return f"{scheme}://{host}{'' if usual else f':{port}'}" if host else "an address that is none"
