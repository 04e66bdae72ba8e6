"""HTTP with systems that may be slow, wrong or hostile: real servers, real TLS, on loopback."""

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from runner.errors import (
    AccessDenied,
    BadInput,
    ConfigRejected,
    Internal,
    OutcomeUnknown,
    RunnerError,
    TlsFailed,
    TryLater,
    Unreachable,
)
from runner.model.network import Network, Where
from runner.web.client import Client, Patience
from runner.web.site import Site
from tests.servers.sites import Asked, Says, serving

KEY = "0123456789abcdef-key"
QUICK = Patience(first_pause=0.01, longest_pause=2.0)

Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients, closed after the test."""
    made: list[Client] = []

    def make(url: str, network: Network | None = None, *, patience: Patience = QUICK, **more: Any) -> Client:
        posts = more.pop("reading_posts", ())
        site = Site(**{"name": "Acme", "url": url, "secrets": {"Key": KEY}, **more})
        made.append(Client(site, network or Network(), patience=patience, reading_posts=posts))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody trusts by itself."""
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server named localhost shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def says(*answers: Says) -> Callable[[Asked], Says]:
    """These answers one after another, the last one from then on."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def fails(client: Client, method: str = "GET", path: str = "/x", **more: Any) -> RunnerError:
    """The error that a request ends with; the key is in no part of it."""
    with pytest.raises(RunnerError) as caught:
        client.json(method, path, **more)
    assert KEY not in f"{caught.value.message} {caught.value.detail}"
    return caught.value


# --- getting in --------------------------------------------------------------------------


def test_a_key_travels_in_its_header_and_nowhere_else(connect: Connect) -> None:
    """The key is sent as a header; parameters with a colon arrive as they are written."""
    with serving(says(Says(body=b'{"a": 1}'))) as site:
        answer = connect(f"{site.url}/api/").json("GET", "/vuln", params={"page:limit": 5, "none": None})
    assert answer == {"a": 1}
    assert site.asked[0].target == "/api/vuln?page:limit=5"
    assert site.asked[0].headers["Key"] == KEY


def test_a_key_never_gets_into_an_address(connect: Connect) -> None:
    """A request whose URL would hold the secret isn't sent."""
    with serving(says(Says())) as site:
        assert isinstance(fails(connect(site.url), params={"key": KEY}), Internal)
    assert site.asked == []


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AccessDenied, "refused the credential"),
        (403, AccessDenied, "not yours"),
        (404, ConfigRejected, "knows nothing of GET /x"),
        (400, BadInput, "not yours"),
        (500, TryLater, "Run again later"),
    ],
)
def test_refusals_say_what_to_do(connect: Connect, status: int, kind: type, words: str) -> None:
    """Each refusal has its type and names the request; what the server echoes is masked."""
    body = json.dumps({"detail": f"not yours, {KEY}"}).encode()
    with serving(says(Says(status=status, body=body))) as site:
        error = fails(connect(site.url), params={"page": 1})
    assert isinstance(error, kind)
    assert words in error.message
    assert f"Acme (localhost:{site.port})" in error.message
    assert len(site.asked) == 1


# --- planning can't write ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_written_while_only_reading_is_allowed(connect: Connect, method: str) -> None:
    """A client under a reads-only rule sends no writing method, and says so."""
    with serving(says(Says())) as site:
        error = fails(connect(site.url, Network(reads_only=True)), method)
    assert "Nothing was sent" in error.message
    assert site.asked == []


def test_a_post_that_only_asks_can_be_named(connect: Connect) -> None:
    """A named path takes a POST while only reading is allowed, and it may be repeated."""
    with serving(says(Says(status=503), Says(body=b"[1]"))) as site:
        client = connect(site.url, Network(reads_only=True), reading_posts=("/ask",))
        assert client.json("POST", "/ask", body={"q": 1}) == [1]
    assert [asked.method for asked in site.asked] == ["POST", "POST"]


# --- redirects ---------------------------------------------------------------------------


def test_a_redirect_at_the_same_place_is_followed(connect: Connect) -> None:
    """Within one origin a redirect leads to the answer."""
    with serving(says(Says(status=302, headers={"Location": "/b"}), Says(body=b"7"))) as site:
        assert connect(site.url).json("GET", "/a") == 7
    assert [asked.target for asked in site.asked] == ["/a", "/b"]


def test_a_redirect_elsewhere_carries_no_credential(connect: Connect) -> None:
    """The other place isn't even spoken with, and the message names it."""
    with serving(says(Says())) as other:
        with serving(says(Says(status=307, headers={"Location": f"{other.url}/b?secret=1"}))) as site:
            error = fails(connect(site.url))
        assert f"http://localhost:{other.port}," in error.message
        assert "secret" not in error.message
        assert other.asked == []


def test_a_redirect_to_clear_text_is_refused(
    connect: Connect, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    """From https nothing leads to http, though the host is the same."""
    with serving(says(Says())) as plain:
        with serving(says(Says(status=301, headers={"Location": f"{plain.url}/b"})), tls) as site:
            pem = authority.cert_pem.bytes().decode()
            assert isinstance(fails(connect(site.url, ca_bundle=pem)), ConfigRejected)
        assert plain.asked == []


def test_what_is_written_follows_no_redirect(connect: Connect) -> None:
    """A POST that is redirected stops there."""
    with serving(says(Says(status=307, headers={"Location": "/b"}))) as site:
        assert "redirects POST" in fails(connect(site.url), "POST", body={}).message
    assert len(site.asked) == 1


def test_a_circle_of_redirects_ends(connect: Connect) -> None:
    """After five redirects it is over."""
    with serving(says(Says(status=302, headers={"Location": "/a"}))) as site:
        assert "in a circle" in fails(connect(site.url)).message
    assert len(site.asked) == 6


# --- repeating ---------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["0", "date"])
def test_a_busy_server_is_asked_again_when_it_says(connect: Connect, after: str) -> None:
    """503 with Retry-After, as seconds or as a date, is waited for."""
    now = datetime.now(UTC)
    wait = after if after == "0" else format_datetime(now + timedelta(seconds=1), usegmt=True)
    busy = Says(status=503, headers={"Retry-After": wait})
    with serving(says(busy, busy, Says(body=b"1"))) as site:
        assert connect(site.url).json("GET", "/x") == 1
    assert len(site.asked) == 3


def test_a_long_pause_is_left_to_a_later_run(connect: Connect) -> None:
    """A server that asks for more than a run should wait is asked once, and its wish is handed on."""
    with serving(says(Says(status=429, headers={"Retry-After": "120"}))) as site:
        error = fails(connect(site.url))
    assert isinstance(error, TryLater)
    assert error.retry_after == 120
    assert len(site.asked) == 1


def test_repeating_ends(connect: Connect) -> None:
    """After as many attempts as allowed the run is over for now."""
    with serving(says(Says(status=503))) as site:
        error = fails(connect(site.url))
    assert isinstance(error, TryLater)
    assert "too much to do" in error.message
    assert len(site.asked) == QUICK.attempts


def test_the_caller_says_what_means_slow_down(connect: Connect) -> None:
    """Where 500 means overload it is repeated."""
    patience = Patience(first_pause=0.01, busy=frozenset({500}))
    with serving(says(Says(status=500), Says(body=b"1"))) as site:
        assert connect(site.url, patience=patience).json("GET", "/x") == 1


@pytest.mark.parametrize("broken", [Says(silent=True), Says(body=b'{"a": ', cut=20), Says(body=b'{"a": ')])
def test_a_reading_that_broke_off_is_repeated(connect: Connect, broken: Says) -> None:
    """No answer, half an answer, and JSON that ends early are asked for again."""
    with serving(says(broken, Says(body=b'{"a": 2}'))) as site:
        assert connect(site.url).json("GET", "/x") == {"a": 2}
    assert len(site.asked) == 2


def test_json_that_never_gets_whole_is_named(connect: Connect) -> None:
    """In the end the message says how far the answer went."""
    with serving(says(Says(body=b'{"a": '))) as site:
        assert "no JSON from byte 6 on" in fails(connect(site.url)).message


@pytest.mark.parametrize("broken", [Says(silent=True), Says(status=502), Says(status=500)])
def test_a_write_of_unknown_outcome_is_not_repeated(connect: Connect, broken: Says) -> None:
    """A POST that may have been carried out is made once, and its error says that nobody knows."""
    with serving(says(broken)) as site:
        error = fails(connect(site.url), "POST", body={"a": 1})
    assert isinstance(error, OutcomeUnknown)
    assert len(site.asked) == 1


def test_nobody_there_is_said(connect: Connect) -> None:
    """A port where nothing listens, and a name that leads nowhere, are told apart."""
    with serving(says(Says())) as site:
        url = site.url
    error = fails(connect(url), "POST")
    assert type(error) is Unreachable
    assert "refused the connection" in error.message
    error = fails(connect("https://nowhere.invalid", patience=Patience(attempts=1)))
    assert "can't be resolved" in error.message


def test_silence_ends(connect: Connect) -> None:
    """A server that takes a request and says nothing is given up."""
    import threading

    free = threading.Event()

    def hang(_: Asked) -> Says:
        free.wait(30)
        return Says()

    with serving(hang) as site:
        error = fails(connect(site.url, read_timeout=0.2, patience=Patience(attempts=1)))
        free.set()
    assert "did not answer in time" in error.message


# --- bodies ------------------------------------------------------------------------------


def test_an_answer_has_a_size_at_the_most(connect: Connect) -> None:
    """More than is taken ends the request instead of filling memory."""
    with serving(says(Says(body=b"[" + b"1," * 500_000 + b"1]"))) as site:
        assert "more than 0 MiB" in fails(connect(site.url), largest=100_000).message


def test_a_page_for_people_is_no_answer(connect: Connect) -> None:
    """A maintenance page with status 200 is told from data."""
    page = Says(body=b"<html>back soon</html>", headers={"Content-Type": "text/html"})
    with serving(says(page)) as site:
        assert "page for people" in fails(connect(site.url)).message


def test_a_body_can_be_read_as_a_stream(connect: Connect) -> None:
    """A stream gives the bytes in pieces of the size asked for."""
    page = Says(body=b"<a/>" * 1000, headers={"Content-Type": "text/xml; x"})
    with serving(says(page)) as site, connect(site.url).stream("/x", largest=10_000) as body:
        pieces = [body.read(1500) for _ in range(4)]
        assert body.content_type == "text/xml"
    assert [len(piece) for piece in pieces] == [1500, 1500, 1000, 0]


# --- TLS ---------------------------------------------------------------------------------


def test_an_unknown_authority_is_not_trusted(connect: Connect, tls: ssl.SSLContext) -> None:
    """A certificate nobody vouches for ends the request before the key is sent."""
    with serving(says(Says()), tls) as site:
        error = fails(connect(site.url))
    assert isinstance(error, TlsFailed)
    assert "ca_bundle" in error.message
    assert site.asked == []


@pytest.mark.parametrize("form", ["file", "text"])
def test_a_private_authority_is_trusted_where_it_is_named(
    connect: Connect,
    tls: ssl.SSLContext,
    authority: trustme.CA,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    """``ca_bundle`` is a file or PEM text, and the environment's bundle and proxies change nothing."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    bundle = str(pem) if form == "file" else pem.read_text()
    with serving(says(Says(body=b"3")), tls) as site:
        assert connect(site.url, ca_bundle=bundle).json("GET", "/x") == 3


def test_a_certificate_of_another_host_is_not_trusted(connect: Connect, authority: trustme.CA) -> None:
    """The name in the certificate has to be the one that was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with serving(says(Says()), context) as site:
        error = fails(connect(site.url, ca_bundle=authority.cert_pem.bytes().decode()))
    assert isinstance(error, TlsFailed)
    assert site.asked == []


@pytest.mark.parametrize("bundle", ["/nowhere/ca.pem", "-----BEGIN CERTIFICATE-----\nnonsense"])
def test_a_bundle_that_is_none_is_named(connect: Connect, bundle: str) -> None:
    """A ca_bundle that can't be used is the connection's fault, said before any request."""
    with pytest.raises(ConfigRejected, match="ca_bundle of Acme"):
        connect("https://localhost:1", ca_bundle=bundle)


def test_unverified_tls_is_never_silent(connect: Connect, tls: ssl.SSLContext) -> None:
    """Without a look at the certificate nothing is reached unless the settings allow it."""
    with serving(says(Says(body=b"4")), tls) as site:
        assert connect(site.url, verify=False).json("GET", "/x") == 4  # loopback
        with pytest.raises(ConfigRejected, match="unverified_tls"):
            connect(site.url, Network(unverified_tls=Where.REFUSE), verify=False)
        with pytest.raises(ConfigRejected, match="ca_bundle"):
            connect("https://acme.example.com", verify=False)
        connect("https://acme.example.com", Network(unverified_tls=Where.ALLOW), verify=False)


def test_a_server_without_tls_is_told_from_one_with_a_bad_certificate(connect: Connect) -> None:
    """https to a port that speaks http is said in those words."""
    with serving(says(Says())) as site:
        error = fails(connect(f"https://localhost:{site.port}"))
    assert isinstance(error, TlsFailed)
    assert "doesn't speak TLS" in error.message


# --- where to ----------------------------------------------------------------------------


@pytest.mark.parametrize("deny", ["127.0.0.0/8", "localhost", "*.1", "127.0.0.1"])
def test_denied_places_are_not_reached(connect: Connect, deny: str) -> None:
    """Rules hold for the address a name leads to as well as for the name itself."""
    with serving(says(Says())) as site:
        host = "127.0.0.1" if deny == "*.1" else "localhost"
        url = f"http://{host}:{site.port}"
        error = fails(connect(url, Network(deny=(deny, "::1"))))
    assert isinstance(error, ConfigRejected)
    assert "egress_deny" in error.message
    assert site.asked == []


def test_only_allowed_places_are_reached(connect: Connect) -> None:
    """With a list of what is allowed nothing else is reached."""
    with serving(says(Says(body=b"1"))) as site:
        assert connect(site.url, Network(allow=("localhost",))).json("GET", "/x") == 1
        assert connect(site.url, Network(allow=("127.0.0.0/8",))).json("GET", "/x") == 1
        assert "egress_allow" in fails(connect(site.url, Network(allow=("10.0.0.0/8",)))).message
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"],
)
def test_metadata_of_clouds_is_out_of_reach(connect: Connect, url: str) -> None:
    """The places where clouds hand out credentials are denied by default, however they are written."""
    assert "egress_deny" in fails(connect(url, secrets={})).message


@pytest.mark.parametrize("url", ["http://acme.example.com", "http://10.1.2.3:8080"])
def test_no_key_crosses_the_network_in_clear_text(connect: Connect, url: str) -> None:
    """http beyond this machine is refused where there is a key."""
    with pytest.raises(ConfigRejected, match="Use https"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("acme.example.com", "with its scheme"),
        ("ftp://acme.example.com", "with its scheme"),
        ("https://me:secret@acme.example.com", "without a user and password"),
        ("https://acme.example.com:99999", "not a URL"),
    ],
)
def test_addresses_are_checked_first(connect: Connect, url: str, words: str) -> None:
    """An address that can't be used is refused with what is wrong about it."""
    with pytest.raises(ConfigRejected, match=words) as caught:
        connect(url)
    assert "secret" not in caught.value.message


def test_a_proxy_is_used_where_it_is_named(
    connect: Connect, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    """Requests go through the connection's proxy, in a tunnel it can't look into."""
    pem = authority.cert_pem.bytes().decode()
    with serving(says(Says())) as proxy, serving(says(Says(body=b"5")), tls) as site:
        via = f"http://127.0.0.1:{proxy.port}"
        assert connect(site.url, proxy=via, ca_bundle=pem).json("GET", "/x") == 5
        assert proxy.tunnels == [f"localhost:{site.port}"]
        assert proxy.asked == []
        with pytest.raises(ConfigRejected, match="Use https"):
            connect("http://localhost:1", proxy=via)
        with pytest.raises(ConfigRejected, match="egress_deny"):
            connect(site.url, Network(deny=("localhost",)), proxy=via, ca_bundle=pem)
        error = fails(connect(site.url, Network(deny=("127.0.0.1",)), proxy=via, ca_bundle=pem))
        assert "egress_deny" in error.message
    assert isinstance(fails(connect(site.url, proxy=via, patience=Patience(attempts=1))), Unreachable)


def test_cookies_are_kept_where_that_is_wanted(connect: Connect) -> None:
    """A system's cookies come back to it only if the site is said to need them."""
    with serving(says(Says(headers={"Set-Cookie": "s=1; Path=/"}))) as site:
        for keep in (False, True):
            client = connect(site.url, keep_cookies=keep)
            client.json("GET", "/a")
            client.json("GET", "/b")
    assert [asked.headers.get("Cookie") for asked in site.asked] == [None, None, None, "s=1"]


def test_a_key_with_a_line_break_is_named(connect: Connect) -> None:
    """A key that was copied with its line's end is refused without being shown."""
    with pytest.raises(ConfigRejected, match="without line breaks") as caught:
        connect("https://acme.example.com", secrets={"Key": "hidden\n"})
    assert "hidden" not in caught.value.message
