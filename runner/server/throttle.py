"""Slowing addresses that show bad tokens again and again.

A token has 256 random bits, so nobody guesses one; but a client gone wrong, or somebody who
tries, shall not keep the store busy. Tokens that were good a moment ago are let through:
who shares an address with such a client isn't shut out with it.
"""

import ipaddress
from collections import OrderedDict, deque
from datetime import datetime, timedelta

from starlette.requests import Request

from runner.errors import Refused
from runner.server.services import services_of

REFUSALS = 20
"""Bad tokens from one address within ``WINDOW`` after which further ones aren't looked at."""

WINDOW = timedelta(minutes=1)
_REMEMBERED = timedelta(minutes=10)  # how long a token that was good counts as known
_MOST = 10_000  # addresses and tokens remembered


class Throttle:
    """What each address was refused lately. Used in the event loop only."""

    def __init__(self) -> None:
        self._refusals: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._good: OrderedDict[str, datetime] = OrderedDict()

    def check(self, request: Request, token_hash: str | None) -> None:
        """Refuse (429) an address that showed too many bad tokens, unless this one is known."""
        times = self._refusals.get(address_of(request))
        if times is None or token_hash is None:
            return
        now = services_of(request).clock()
        while times and times[0] <= now - WINDOW:
            times.popleft()
        if len(times) < REFUSALS:
            return
        seen = self._good.get(token_hash)
        if seen is None or seen <= now - _REMEMBERED:
            raise Refused("Request was throttled: too many bad tokens came from this address.", status=429)

    def refused(self, request: Request) -> None:
        """An address showed a bad token."""
        address = address_of(request)
        self._refusals.setdefault(address, deque(maxlen=REFUSALS)).append(services_of(request).clock())
        self._refusals.move_to_end(address)
        if len(self._refusals) > _MOST:
            self._refusals.popitem(last=False)

    def accepted(self, request: Request, token_hash: str | None) -> None:
        """A token was good."""
        if token_hash is not None:
            self._good[token_hash] = services_of(request).clock()
            self._good.move_to_end(token_hash)
            if len(self._good) > _MOST:
                self._good.popitem(last=False)


def throttle_of(request: Request) -> Throttle:
    """The throttle of the application that a request is for."""
    throttle: Throttle = request.app.state.throttle
    return throttle


def address_of(request: Request) -> str:
    """Whose request it is: an address, or the network of an IPv6 subscriber."""
    peer = "" if request.client is None else request.client.host
    if services_of(request).settings.server.behind_proxy:
        peer = request.headers.get("x-forwarded-for", peer).rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if address.version == 6:  # noqa: PLR2004 - the protocol's number
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
