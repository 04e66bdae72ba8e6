"""The wire: Rally's Web Services API v2.0 over HTTP.

Errors nearly always come with status 200, in the envelope; a page where JSON was expected is
maintenance or a gateway, never data. With Basic a write carries a security token that is
bound to the session's cookie and runs out; an API key needs neither.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from runner.connectors.rally.params import RallyParams
from runner.errors import AccessDenied, BadInput, ConfigRejected, IncompleteRead, OutcomeUnknown
from runner.ports import Context
from runner.web.answers import BUSY
from runner.web.body import Body, Broken
from runner.web.client import Client, Patience
from runner.web.site import Site

SERVICE = "/slm/webservice/v2.0"
PAGE = 2000
"""Rows of a page; Rally gives no more at once."""

_LONGEST_URL = 6000  # characters of a query that go into the URL; a longer one is sent as a form
_KILLED = 524  # a gateway's word for a request that took more than five minutes
_INVALID_KEY = "Invalid key"
_INTEGRATION = {
    "X-RallyIntegrationName": "integration-runner",
    "X-RallyIntegrationVendor": "the runner developers",
}


class Rejected(Exception):
    """Rally refused one operation, in its own words; nothing was written."""


def site_of(params: RallyParams) -> Site:
    """Where Rally is and what gets us in; ``ConfigRejected`` names what is missing."""
    server, _, proxy = params.alm_server.partition("|")
    if not server:
        raise ConfigRejected("The connection names no Rally server. Set alm_server, as rally1.rallydev.com.")
    url = server if "://" in server else f"{params.alm_method}://{server}"
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    root = params.alm_context_root.strip("/")
    return Site(
        name="Rally",
        url=url.rstrip("/") + (f"/{root}" if root else ""),
        headers=_INTEGRATION,
        secrets=_credential(params),
        verify=params.alm_validate_cert,
        ca_bundle=params.ca_bundle,
        proxy=proxy,
        read_timeout=params.alm_timeout,
        answer_timeout=330.0,  # Rally's gateway ends a request after five minutes
        keep_cookies=not params.by_key,  # with a key a cookie would be mistaken for a session
    )


def _credential(params: RallyParams) -> Mapping[str, str]:
    if params.by_key:
        key = params.alm_api_token.get_secret_value()
        if not key:
            raise ConfigRejected("The connection has no API key. Set alm_api_token.")
        return {"ZSESSIONID": key}
    password = params.alm_pass.get_secret_value()
    if not params.alm_user or not password:
        raise ConfigRejected("The connection has no user or password for Rally. Set alm_user and alm_pass.")
    pair = base64.b64encode(f"{params.alm_user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


class Rally:
    """Rally, as one run speaks with it. Use it in a ``with``."""

    def __init__(self, ctx: Context) -> None:
        self._by_key = ctx.params.by_key
        self._token: str | None = None
        site = site_of(ctx.params)
        self.url = site.url
        self._types = f"{SERVICE}/"
        self._client = Client(
            site,
            ctx.network,
            patience=Patience(busy=BUSY | {_KILLED}),
            reading_posts=_LONG_QUESTIONS,
            tell=ctx.progress,
        )

    def __enter__(self) -> "Rally":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # --- reading -------------------------------------------------------------------------

    def read(self, path: str, **params: Any) -> dict[str, Any]:
        """One thing: ``/user``, ``/subscription``, or a reference."""
        answer = self._client.json("GET", f"{SERVICE}{path}", params=params)
        content = _content(answer)
        if content.get("Errors"):
            raise Rejected(_told(content))
        return content

    def query(
        self, path: str, *, query: str = "", fetch: str, order: str = "", **scope: Any
    ) -> list[dict[str, Any]]:
        """All rows, page after page; ``IncompleteRead`` if fewer come than there are.

        Rows are told apart by ObjectID, and the order ends with it: else a server may repeat
        some rows on the next page and leave out others.
        """
        rows: dict[str, dict[str, Any]] = {}
        start = 1
        params = {
            **scope,
            "query": query or None,
            "fetch": fetch,
            "order": f"{order},ObjectID" if order else "ObjectID",
            "pagesize": PAGE,
        }
        while True:
            content = self._page(path, {**params, "start": start})
            if content.get("Errors"):
                raise Rejected(_told(content))
            page, total, size = (content.get(name) for name in ("Results", "TotalResultCount", "PageSize"))
            if not isinstance(page, list) or not isinstance(total, int) or not isinstance(size, int):
                raise BadInput("Rally gave an answer without rows or their number. Run again.")
            rows |= {tail(row.get("_ref")): row for row in page}
            start += max(1, min(size, PAGE))  # a server may give less at once than it was asked for
            if start > total:
                break
        if len(rows) < total:
            raise IncompleteRead(
                f"Rally promised {total} rows of {path.strip('/')} and gave {len(rows)}. Run again."
            )
        return list(rows.values())

    def _page(self, path: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        whole = f"{SERVICE}{path}"
        if len(str(params.get("query") or "")) <= _LONGEST_URL:
            return _content(self._client.json("GET", whole, params=params))
        # Too long for a URL: a form that says it is a GET.
        form = {name: str(value) for name, value in params.items() if value is not None}

        def read(answer: Body) -> Any:
            return answer.json()

        answer = self._client.send("POST", whole, read, data={**form, "_method": "GET"}, repeatable=True)
        return _content(answer)

    # --- writing -------------------------------------------------------------------------

    def create(self, type_name: str, values: Mapping[str, Any], *, fetch: str) -> dict[str, Any]:
        """Make a thing; ``OutcomeUnknown`` where it isn't known whether it was made."""
        body = {type_name: dict(values)}
        created = self._write("POST", f"/{type_name.lower()}/create", body, repeatable=False, fetch=fetch)
        found = created.get("Object")
        if not isinstance(found, dict):
            raise OutcomeUnknown("Rally told nothing of what it made.")
        return found

    def update(self, ref: str, type_name: str, values: Mapping[str, Any], *, fetch: str) -> dict[str, Any]:
        """Change a thing; to do it twice is to do it once."""
        body = {type_name: dict(values)}
        found = self._write("POST", ref, body, repeatable=True, fetch=fetch).get("Object")
        return found if isinstance(found, dict) else {}

    def delete(self, ref: str) -> None:
        """Throw a thing into the recycle bin."""
        self._write("DELETE", ref, None, repeatable=True)

    def _write(self, method: str, path: str, body: Any, *, repeatable: bool, **params: Any) -> dict[str, Any]:
        content = self._send(method, path, body, repeatable=repeatable, params=params)
        if _stale(content) and not self._by_key:
            # The token has run out, and nothing was written: once more with another one.
            self._token = None
            content = self._send(method, path, body, repeatable=repeatable, params=params)
        if _stale(content):
            raise AccessDenied(
                "Rally takes no write with this credential (Invalid key). Renew it in the connection."
            )
        if content.get("Errors"):
            raise Rejected(_told(content))
        return content

    def _send(
        self, method: str, path: str, body: Any, *, repeatable: bool, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        def read(answer: Body) -> Any:
            try:
                return json.loads(b"".join(answer.blocks()))
            except (ValueError, Broken) as error:
                if repeatable:
                    raise Broken("it is a page for people, or broke off") from error
                # The write may have been carried out or not.
                raise OutcomeUnknown("Rally gave no answer to a write that could be read.") from error

        answer = self._client.send(
            method,
            f"{SERVICE}{path}",
            read,
            params={**params, "key": self._key()},
            body=body,
            headers={"Accept": "application/json"},
            repeatable=repeatable,
        )
        return _content(answer)

    def _key(self) -> str | None:
        if self._by_key:
            return None
        if self._token is None:
            self._token = str(self.read("/security/authorize").get("SecurityToken") or "")
        return self._token


_LONG_QUESTIONS = tuple(
    f"{SERVICE}/{name}" for name in ("hierarchicalrequirement", "task", "defect", "tag", "recyclebinentry")
)


def _content(answer: Any) -> dict[str, Any]:
    """What stands in an envelope of whatever name."""
    if isinstance(answer, dict) and len(answer) == 1:
        content = next(iter(answer.values()))
        if isinstance(content, dict):
            return content
    raise BadInput("Rally gave an answer that isn't one of its own. Check that alm_server is a Rally server.")


def _stale(content: Mapping[str, Any]) -> bool:
    return any(_INVALID_KEY in str(error) for error in content.get("Errors") or ())


def _told(content: Mapping[str, Any]) -> str:
    """Rally's errors in a line."""
    return " ".join(" ".join(str(error) for error in content["Errors"]).split())[:500]


def tail(ref: Any) -> str:
    """The part of a reference that stays when hosts change: "/hierarchicalrequirement/123"."""
    text = ref.get("_ref") if isinstance(ref, Mapping) else ref
    path = urlsplit(str(text or "")).path
    _, found, after = path.partition(SERVICE)
    return (after if found else path).removesuffix(".js")


# --- the query language ------------------------------------------------------------------


def equals(field: str, value: str | int) -> str:
    """One condition. There is no way to write a double quote inside a value: then the longest
    part without one is looked for, and whoever asks compares what comes."""
    if isinstance(value, int):
        return f"({field} = {value})"
    if '"' not in value:
        return f'({field} = "{value}")'
    return f'({field} contains "{max(value.split(chr(34)), key=len)}")'


def joined(conditions: Sequence[str], word: str) -> str:
    """Conditions in pairs, each in parentheses, balanced so that many don't nest deep."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({joined(conditions[:half], word)} {word} {joined(conditions[half:], word)})"


def chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """``values``, some at a time."""
    for place in range(0, len(values), size):
        yield values[place : place + size]
