"""The port on ldap3, in the one configuration that neither loses entries nor leaks passwords.

What ldap3 does by itself and must not do here: verify no certificate; wait for ever; follow
referrals and send them the password; end a search that a limit cut short as if it were whole
(results 3 and 4 raise nothing, and the others nothing either unless asked); reconnect in the
middle of a paged search and go on with a cookie that means nothing there; guess at types by
a schema. So: its plain synchronous strategy, no schema, no referrals, own look at each
result code, own TLS context, and entries taken as bytes.
"""

import ssl
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from runner.directory import names, refusals
from runner.directory.access import Access, Security, Server
from runner.directory.port import Edit, Entry, Modification, Scope, Values
from runner.errors import (
    BadInput,
    ConfigRejected,
    ConnectorFailure,
    IncompleteRead,
    Internal,
    TlsFailed,
    TryLater,
    Unreachable,
)

with warnings.catch_warnings():
    # Version 2.9.1 asks pyasn1 for names that it has meanwhile spelled otherwise.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core import exceptions as trouble

_PAGES = "1.2.840.113556.1.4.319"
_SUCCESS = 0
_NO_SUCH_OBJECT = 32
_SEARCH_ENTRY = 4  # the protocol's number of a search's result
_RECEIVED_AT_ONCE = 16384  # bytes; ldap3's own 4096 costs a fifth more
_SCOPES = {Scope.BASE: ldap3.BASE, Scope.ONE: ldap3.LEVEL, Scope.SUBTREE: ldap3.SUBTREE}
_EDITS = {
    Edit.ADD: ldap3.MODIFY_ADD,
    Edit.DELETE: ldap3.MODIFY_DELETE,
    Edit.REPLACE: ldap3.MODIFY_REPLACE,
}
_OWN_PARTS = ("cn=configuration,", "dc=domaindnszones,", "dc=forestdnszones,")
"""Where an Active Directory domain refers to at each search from its root: no people are there."""

_UNREADABLE = (KeyError, IndexError, ValueError, TypeError, AttributeError)
"""What ldap3 raises over an answer that isn't LDAP, or not the LDAP it knows."""


class Address(NamedTuple):
    """One address of a server, as ``socket.getaddrinfo`` tells it."""

    family: int
    type: int
    proto: int
    canonical: str
    socket_address: Any


class _Search(NamedTuple):
    """What a search wants, in ldap3's terms."""

    base: str
    filter: str
    attributes: list[str]
    scope: str


class _Host(ldap3.Server):
    """A server at one address, already looked up: what was judged is what is connected to."""

    def __init__(self, server: Server, address: Address, **more: Any) -> None:
        super().__init__(server.host, port=server.port, allowed_referral_hosts=[], **more)
        self._address = [*address, None, None]

    def candidate_addresses(self) -> list[Any]:
        return [self._address]

    def update_availability(self, address: Any, available: bool) -> None:
        """Nothing: there is only one."""


class _Tls(ldap3.Tls):
    """TLS with the standard library's own checks, which know addresses in certificates too."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._host = host
        self.error: Exception | None = None  # ldap3 hands on its text only

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        try:
            connection.socket = self._context.wrap_socket(
                connection.socket, server_hostname=self._host, do_handshake_on_connect=do_handshake
            )
        except Exception as error:
            self.error = error
            raise


def _context(access: Access) -> ssl.SSLContext:
    pem = access.ca_bundle.strip()
    try:
        if pem.startswith("-----"):
            context = ssl.create_default_context(cadata=pem)
        else:
            context = ssl.create_default_context(cafile=pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigRejected("ca_bundle holds no certificates in PEM form.", detail=str(error)) from error
    except OSError as error:
        raise ConfigRejected(f"ca_bundle can't be read: {error.strerror}: {pem}.") from error
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class LdapDirectory:
    """One connection. Open it with ``runner.directory.opening``."""

    def __init__(self, access: Access, server: Server, address: Address) -> None:
        self._access = access
        self._server = server
        self._searching = False
        self._names: dict[bytes, str] = {}
        self._tls = _Tls(_context(access), server.host)
        host = _Host(
            server,
            address,
            use_ssl=access.security is Security.LDAPS,
            get_info=ldap3.NONE,
            tls=self._tls,
            connect_timeout=access.connect_timeout,
        )
        self._ldap = ldap3.Connection(
            host,
            user=access.bind_dn,
            password=access.password,
            authentication=ldap3.SIMPLE,
            client_strategy=ldap3.SYNC,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            auto_range=False,
            auto_encode=False,
            check_names=False,
            raise_exceptions=False,
            read_only=access.network.reads_only,
            receive_timeout=access.timeout,
            return_empty_attributes=False,
        )
        strategy = self._ldap.strategy
        strategy.socket_size = _RECEIVED_AT_ONCE
        self._decode = strategy.decode_response_fast
        strategy.decode_response_fast = self._decoded

    def __str__(self) -> str:
        return str(self._server)

    # --- opening -------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach the server, and protect the wire if that comes before all else."""
        try:
            self._ldap.open(read_server_info=False)
        except trouble.LDAPExceptionError as error:
            self._drop()
            raise self._not_open(error) from error

    def protect(self) -> None:
        """Start TLS, where it comes second. Nothing of worth was said until then."""
        if self._access.security is not Security.START_TLS:
            return
        self._ask(self._ldap.start_tls, read_server_info=False)
        if not isinstance(self._ldap.socket, ssl.SSLSocket):
            raise TlsFailed(f"{self} did not start TLS, and no password was sent.")

    def log_in(self) -> None:
        """Say who we are."""
        self._ask(self._ldap.bind, read_server_info=False)
        code = self._code()
        if code != _SUCCESS:
            raise refusals.of_log_in(str(self), self._access.bind_dn, code=code, message=self._message())

    def _no_tls(self, error: Exception) -> ConnectorFailure:
        if self._tls.error is not None:
            return self._not_open(error)
        msg = f"{self} does not start TLS. Set ldap_method to LDAPS, or set up StartTLS there."
        return TlsFailed(msg, detail=str(error))

    def _not_open(self, error: Exception) -> ConnectorFailure:
        cause = self._tls.error
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message or str(cause)
            msg = (
                f"The certificate of {self} can't be trusted: {why}. Correct it there, or name its "
                "authority in ca_bundle."
            )
            return TlsFailed(msg, detail=str(cause))
        if isinstance(cause, TimeoutError):
            return Unreachable(f"{self} took the connection and said nothing.", detail=str(cause))
        if cause is not None:
            msg = f"{self} does not speak TLS that can be understood: is it the right port for ldap_method?"
            return TlsFailed(msg, detail=str(cause))
        return Unreachable(f"{self} can't be reached.", detail=str(error))

    # --- the six operations --------------------------------------------------------------

    def search(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        *,
        scope: Scope = Scope.SUBTREE,
    ) -> Iterator[Entry]:
        """See the port."""
        if self._searching:
            raise Internal("A search was begun before the one before it was at its end.")
        self._searching = True
        try:
            yield from self._pages(_Search(base, search_filter, list(attributes), _SCOPES[scope]))
        finally:
            self._searching = False

    def _pages(self, wanted: "_Search") -> Iterator[Entry]:
        cookie: bytes | None = None
        pages: set[tuple[bytes, str]] = set()
        elsewhere: list[str] = []
        number = 0
        while True:
            first = ""
            for item in self._page(wanted, cookie, number):
                if item["type"] == "searchResEntry":
                    number += 1
                    first = first or item["entry"].dn
                    yield item["entry"]
                elif item["type"] == "searchResRef":
                    elsewhere += [uri for uri in item["uri"] if not _is_own_part(uri)]
            if self._code() != _SUCCESS:
                raise refusals.of_search(
                    str(self), wanted.base, code=self._code(), message=self._message(), after=number
                )
            cookie = self._cookie()
            if not cookie:
                break
            # Samba's cookie is the same all along and stands for a place that moves: the page tells.
            if (cookie, first) in pages:
                msg = f"{self} gave the same page of {wanted.base!r} twice, so its list has no end."
                raise IncompleteRead(msg)
            pages.add((cookie, first))
        if elsewhere:
            hosts = ", ".join(sorted({urlsplit(uri).netloc or uri for uri in elsewhere})[:3])
            msg = (
                f"A part of what is below {wanted.base!r} is on another server ({hosts}), and referrals "
                "are not followed. Choose a base without that part."
            )
            raise IncompleteRead(msg)

    def _page(self, wanted: "_Search", cookie: bytes | None, number: int) -> list[Any]:
        try:
            self._ask(
                self._ldap.search,
                wanted.base,
                wanted.filter,
                search_scope=wanted.scope,
                attributes=wanted.attributes,
                dereference_aliases=ldap3.DEREF_NEVER,
                paged_size=self._access.page_size,
                paged_cookie=cookie,
            )
        except Unreachable as error:
            if number == 0:
                raise
            # In the middle of a list: what came is a part of it, and which part nobody knows.
            msg = f"{error.message.rstrip('.')}, {number} entries into the list below {wanted.base!r}."
            raise Unreachable(msg, detail=error.detail) from error
        return list(self._ldap.response or ())

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        """See the port."""
        self._ask(
            self._ldap.search,
            dn,
            "(objectClass=*)",
            search_scope=ldap3.BASE,
            attributes=list(attributes),
            dereference_aliases=ldap3.DEREF_NEVER,
        )
        code = self._code()
        if code == _NO_SUCH_OBJECT:
            return None
        if code != _SUCCESS:
            raise refusals.of_search(str(self), dn, code=code, message=self._message(), after=0)
        entries = [item["entry"] for item in self._ldap.response or () if item["type"] == "searchResEntry"]
        return entries[0] if entries else None

    def add(self, dn: str, attributes: Mapping[str, Values]) -> None:
        """See the port."""
        given = {name: _bytes(values) for name, values in attributes.items() if values}
        self._write(f"{dn} was not added", self._ldap.add, dn, attributes=given)

    def modify(self, dn: str, steps: Sequence[Modification]) -> None:
        """See the port."""
        changes: dict[str, list[tuple[str, list[bytes]]]] = {}
        for step in steps:
            changes.setdefault(step.attribute, []).append((_EDITS[step.edit], _bytes(step.values)))
        self._write(f"{dn} was not changed", self._ldap.modify, dn, changes)

    def move(self, dn: str, *, rdn: str, parent: str | None = None) -> str:
        """See the port."""
        self._write(
            f"{dn} was not renamed to {rdn}" if parent is None else f"{dn} was not moved below {parent}",
            self._ldap.modify_dn,
            dn,
            rdn,
            delete_old_dn=True,
            new_superior=parent,
        )
        above = names.parent(dn) if parent is None else parent
        return f"{rdn},{above}" if above else rdn

    def delete(self, dn: str) -> None:
        """See the port."""
        self._write(f"{dn} was not deleted", self._ldap.delete, dn)

    def close(self) -> None:
        """See the port."""
        try:
            self._ldap.unbind()
        except (OSError, trouble.LDAPExceptionError):
            pass  # it is gone already
        finally:
            self._drop()

    # --- talking to ldap3 ----------------------------------------------------------------

    def _write(self, what: str, operation: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        if self._searching:
            raise Internal("A write was begun before the search before it was at its end.")
        self._ask(operation, *arguments, **named)
        if self._code() != _SUCCESS:
            raise refusals.of_write(str(self), what, code=self._code(), message=self._message())

    def _ask(self, operation: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Do one thing and leave its result in ``self._ldap.result``; raise what keeps it from an end."""
        try:
            operation(*arguments, **named)
        except trouble.LDAPStartTLSError as error:
            self._drop()
            raise self._no_tls(error) from error
        except trouble.LDAPInvalidFilterError as error:
            msg = f"The filter {arguments[1]!r} can't be understood: {error}."
            raise ConfigRejected(msg) from error
        except trouble.LDAPInvalidDnError as error:
            raise BadInput(f"{arguments[0]!r} is not a distinguished name: {error}.") from error
        except trouble.LDAPConnectionIsReadOnlyError as error:
            raise Internal("A write was tried on a connection that only reads.") from error
        except (trouble.LDAPSocketReceiveError, trouble.LDAPResponseTimeoutError) as error:
            self._drop()
            text = str(error)
            if "timed out" in text or "temporarily unavailable" in text:
                msg = f"{self} has said nothing for {self._access.timeout} s."
                raise Unreachable(msg, detail=text) from error
            raise Unreachable(f"The connection to {self} broke.", detail=text) from error
        except trouble.LDAPCommunicationError as error:
            self._drop()
            raise Unreachable(f"The connection to {self} broke.", detail=str(error)) from error
        except trouble.LDAPExceptionError as error:
            raise BadInput(f"The request can't be made: {error}.", detail=repr(error)) from error
        except _UNREADABLE as error:
            self._drop()
            msg = f"What {self} answered can't be understood."
            raise TryLater(msg, detail=repr(error)) from error

    def _decoded(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What ldap3 makes of an answer; entries are made here, without guesses at their types."""
        if message["protocolOp"] != _SEARCH_ENTRY:
            decoded: dict[str, Any] = self._decode(message)
            return decoded
        name, attributes = message["payload"]
        known = self._names
        values: dict[str, list[bytes]] = {}
        for attribute in attributes[3]:
            spelled, given = attribute[3]
            key = known.get(spelled[3])
            if key is None:
                key = known[spelled[3]] = spelled[3].decode("utf-8", "replace").lower()
            values[key] = [value[3] for value in given[3]]
        return {"type": "searchResEntry", "entry": Entry(name[3].decode("utf-8", "replace"), values)}

    def _code(self) -> int:
        code: int = self._ldap.result["result"]
        return code

    def _message(self) -> str:
        return str(self._ldap.result.get("message") or "")

    def _cookie(self) -> bytes:
        controls: Mapping[str, Any] = self._ldap.result.get("controls") or {}
        page = controls.get(_PAGES)
        return b"" if page is None else bytes(page["value"]["cookie"] or b"")

    def _drop(self) -> None:
        """Let go of the socket at once; ldap3 leaves one that never opened to the collector."""
        if self._ldap.socket is not None:
            self._ldap.socket.close()


def _bytes(values: Values) -> list[bytes]:
    return [value.encode() if isinstance(value, str) else bytes(value) for value in values]


def _is_own_part(uri: str) -> bool:
    """Whether a referral leads to a part of an Active Directory domain where no people are."""
    return unquote(urlsplit(uri).path).lstrip("/").lower().startswith(_OWN_PARTS)
