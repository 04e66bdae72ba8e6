"""Settings of a remote server, each by what it does between two machines."""

import contextlib
from typing import Any

from tests.servers.bad_network import BadNetwork
from tests.servers.certificates import issue
from tests.servers.pair import Over, Pair
from tests.servers.sites import Says, serving
from tests.servers.waiting import until


def test_a_private_authority_and_a_proxy(pair: Pair) -> None:
    """A server with TLS of the company's own authority is reached through the proxy that is set."""
    files = issue(pair.folder / "tls", "localhost", "127.0.0.1")
    pair.there.settings |= {
        "RUNNER__SERVER__TLS_CERT": str(files.certificate),
        "RUNNER__SERVER__TLS_KEY": str(files.key),
    }
    with pair.there.daemon("--sample"), serving(lambda _asked: Says(status=405)) as proxy:
        pair.over(verify=files.ca)
        pair.set(url=f"https://localhost:{pair.port}", ca_bundle=str(files.ca), proxy=proxy.url)
        with contextlib.closing(pair.there.client()) as client:
            project = next(client.pages("projects/"))["id"]
            body = {"alias": "Far", "system": "acme_noop", "project": project, "inaccessible": True}
            connection = client.post("connections/alm/", {**body, "params": {}})["id"]
            asked = {"connection": connection, "automatic": False, "ready": False}
            job = client.post("jobs/alm/", asked)["id"]
            with pair.here.daemon():
                until("the result is there", lambda: client.get(f"jobs/alm/{job}/")["ready"])
            assert client.get(f"jobs/alm/{job}/")["succeeded"]
    assert set(proxy.tunnels) == {f"localhost:{pair.port}"}


def test_kinds_and_systems_are_those_that_are_named(pair: Pair, over: Over) -> None:
    """Jobs of another kind aren't looked for, and those of another system aren't run."""
    pair.set(kinds='["alm"]', systems='["acme_noop"]')
    other_kind = over.ask(
        over.connection("acme_door", kind="ldap", project=None, params={"password": "x", "lock": "/x"}),
        kind="ldap",
    )
    other_system = over.ask(over.connection("acme_folder", params={"source": "/a", "folder": "/b"}))
    ours = over.ask(over.connection())
    with pair.here.daemon():
        until("the result is there", lambda: over.job(ours)["ready"])
        [told] = pair.here.status()["remotes"]
    assert not over.job(other_system)["ready"]
    assert not over.job(other_kind, kind="ldap")["ready"]
    assert told["taken"] == 1


def test_who_says_nothing_is_given_up_in_time(pair: Pair, over: Over) -> None:
    """A server that takes requests and is silent is away after the timeout, long before it lets go."""
    over.connection()
    with BadNetwork(pair.port).serving() as network:
        network.choose = lambda _method, _path: "hang"
        pair.set(url=f"http://127.0.0.1:{network.port}", timeout="250ms")
        with pair.here.daemon():
            told: list[Any] = []

            def away() -> bool:
                told[:] = pair.here.status()["remotes"]
                return told[0]["away"] is not None

            until("that it is away", away)
            assert network.met["hang"] > 1  # it was tried again, and none of them waited to the end
