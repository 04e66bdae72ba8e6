"""Who makes a request, and what they may do."""

import contextlib
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from starlette.requests import Request

from runner.model.jobs import Kind
from runner.server.local import LOCAL
from runner.server.replies import Unauthenticated, forbidden
from runner.server.services import services_of
from runner.store import accounts
from runner.store.accounts import Scope

# Pages of the original print the token in quotes, and sometimes a colon after the scheme. The GroupID
# dialect calls the scheme Bearer.
_HEADER = re.compile(r"\s*(?:token|bearer)(?:\s*:\s*|\s+|$)(.*)", re.IGNORECASE)

ALL = frozenset(Scope)

_AGENT = frozenset({Scope.READ, Scope.VERIFY, Scope.EDIT_ALM, Scope.EDIT_VERIFICATION, Scope.EDIT_LDAP})
"""What an agent may besides: it runs any connection and writes what the run says."""

_EDIT = {
    Kind.ALM: Scope.EDIT_ALM,
    Kind.ANALYSIS: Scope.EDIT_VERIFICATION,
    Kind.LDAP: Scope.EDIT_LDAP,
    Kind.DATASYNC: Scope.EDIT_LDAP,
}


class Credential(NamedTuple):
    """What a request shows to prove who makes it."""

    token_hash: str | None  # None = it came over the Unix socket
    private: bool = False  # nobody between can read the answer: TLS, or this machine alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request."""

    user_id: int | None
    email: str
    scopes: frozenset[Scope]
    superuser: bool = False
    reports: bool = False  # an agent: what it posts was run by the service account
    clear: bool = False  # an agent on a private line: it is shown secrets, which it can't do without
    token_id: int | None = None
    use_is_old: bool = False

    def may(self, *any_of: Scope) -> bool:
        """Whether one of these scopes is theirs."""
        return not self.scopes.isdisjoint(any_of)

    def need(self, *any_of: Scope) -> None:
        """Refuse (403) unless one of these scopes is theirs; none named = anybody known may."""
        if any_of and not self.may(*any_of):
            raise forbidden()

    def need_superuser(self, *any_of: Scope) -> None:
        """Refuse (403) who isn't a superuser, or has none of these scopes."""
        self.need(*any_of)
        if not self.superuser:
            raise forbidden()

    def edits(self, kind: Kind) -> bool:
        """Whether they may change connections of this kind."""
        return _EDIT[kind] in self.scopes

    def sees(self, kind: Kind) -> bool:
        """Whether they may see connections' params of this kind.

        The jobs' pages of the original show LDAP params to those who edit verification.
        """
        return self.edits(kind) or (kind is Kind.LDAP and Scope.EDIT_VERIFICATION in self.scopes)

    def kinds_seen(self) -> tuple[Kind, ...]:
        """The kinds whose params they may see."""
        return tuple(kind for kind in Kind if self.sees(kind))


def credential_of(request: Request) -> Credential:
    """What the request shows; ``Unauthenticated`` if nothing."""
    if LOCAL in request.scope:
        return Credential(None)
    header = request.headers.get("authorization")
    found = None if header is None else _HEADER.fullmatch(header)
    if found is None:
        raise Unauthenticated
    token = found[1].strip().strip("\"'").strip()
    if not token:
        raise Unauthenticated("Invalid token header. No credentials provided.")
    if " " in token:
        raise Unauthenticated("Invalid token header. Token string should not contain spaces.")
    return Credential(accounts.hash_token(token), private=is_private(request))


def is_private(request: Request) -> bool:
    """Whether the answer goes over TLS, or doesn't leave this machine.

    Behind a proxy it is the proxy's word, if the proxy stands on this machine; without that
    setting, what a proxy handed on is taken for what it is: come from elsewhere.
    """
    headers = request.headers
    peer = "" if request.client is None else request.client.host
    here = False
    with contextlib.suppress(ValueError):
        here = ipaddress.ip_address(peer).is_loopback
    if services_of(request).settings.server.behind_proxy:
        return here and headers.get("x-forwarded-proto", "").lower() == "https"
    handed_on = any(name in headers for name in ("x-forwarded-for", "forwarded", "via"))
    return request.url.scheme == "https" or (here and not handed_on)


def authenticate(c: sa.Connection, credential: Credential, *, now: datetime) -> Caller:
    """Find who shows this credential; ``Unauthenticated`` if it isn't good."""
    if credential.token_hash is None:
        return Caller(
            user_id=accounts.find_service_account(c),
            email=accounts.SERVICE_EMAIL,
            scopes=ALL,
            superuser=True,
        )
    holder = accounts.holder(c, token_hash=credential.token_hash, now=now)
    if holder is None:
        raise Unauthenticated("Invalid token.")
    if holder.dead:
        raise Unauthenticated(holder.dead)
    return Caller(
        user_id=holder.user_id,
        email=holder.email,
        scopes=_effective(holder),
        superuser=holder.is_superuser,
        reports=Scope.AGENT in holder.scopes,
        clear=Scope.AGENT in holder.scopes and credential.private,
        token_id=holder.token_id,
        use_is_old=holder.use_is_old,
    )


def _effective(holder: accounts.Holder) -> frozenset[Scope]:
    """The token's scopes with what they imply; ``admin`` dies with its user's role."""
    scopes = holder.scopes
    if Scope.AGENT in scopes:
        scopes |= _AGENT
    if Scope.ADMIN in scopes:
        scopes = ALL if holder.administers else scopes - {Scope.ADMIN}
    return scopes
