"""A proxy between an LDAP client and its server that understands the wire and does it harm.

It passes whole LDAP messages. A fault is a function that gets each answer of the server and
says what the client gets instead; what the client sent stays there to be looked at.
"""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers.certificates import Certificates

ENTRY, DONE = 0x64, 0x65  # answers to a search
EXTENDED_DONE = 0x78  # answer to an extended request, as StartTLS
BIND, SEARCH, EXTENDED = 0x60, 0x63, 0x77  # requests
_SEQUENCE, _SET, _OCTETS, _ENUMERATED = 0x30, 0x31, 0x04, 0x0A
_RANGE = b";range="


class Cut(Exception):
    """The connection ends here, in order."""


class Reset(Exception):
    """The connection breaks here."""


class Hang(Exception):
    """From here on nothing comes any more, and the connection stays."""


def tlv(tag: int, content: bytes) -> bytes:
    """One value of BER."""
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes(4, "big").lstrip(b"\0")
    return bytes([tag, 128 + len(size)]) + size + content


def values(content: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of BER values that stand one after another."""
    found = []
    while content:
        size, start = content[1], 2
        if size > 127:
            start = 2 + size - 128
            size = int.from_bytes(content[2:start], "big")
        found.append((content[0], content[start : start + size]))
        content = content[start + size :]
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """One LDAP message."""

    number: bytes  # the message's, as it is encoded
    tag: int
    content: bytes
    controls: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return tlv(_SEQUENCE, tlv(0x02, self.number) + tlv(self.tag, self.content) + self.controls)


def decode(content: bytes) -> Message:
    """The message that this sequence holds."""
    parts = values(content)
    controls = b"".join(tlv(tag, inner) for tag, inner in parts[2:])
    return Message(parts[0][1], parts[1][0], parts[1][1], controls)


Fault = Callable[[Message], Sequence[Message]]
"""What the client gets instead of an answer; may raise ``Cut``, ``Reset`` or ``Hang``."""


def nothing(message: Message) -> Sequence[Message]:
    """No fault."""
    return [message]


def result(message: Message, code: int, text: str = "") -> Message:
    """The end of a search with this result code, and without the control that has the page's cookie."""
    content = tlv(_ENUMERATED, bytes([code])) + tlv(_OCTETS, b"") + tlv(_OCTETS, text.encode())
    return Message(message.number, DONE, content)


@dataclass
class AfterEntries:
    """Lets so many entries through, over all searches, and then does something."""

    number: int
    then: Callable[[Message], Sequence[Message]]
    tag: int = ENTRY
    seen: int = 0
    ended: set[bytes] = field(default_factory=set)

    def __call__(self, message: Message) -> Sequence[Message]:
        """Count and pass, or do it."""
        if message.number in self.ended:
            return []
        if message.tag == self.tag:
            self.seen += 1
            if self.seen > self.number:
                self.ended.add(message.number)
                return self.then(message)
        return [message]


def ends_with(code: int, *, after: int) -> Fault:
    """The server ends the search with a result code after so many entries."""
    return AfterEntries(after, lambda message: [result(message, code)])


def cut(*, after: int) -> Fault:
    """The connection ends after so many entries."""
    return AfterEntries(after, _raising(Cut))


def reset(*, after: int) -> Fault:
    """The connection breaks after so many entries."""
    return AfterEntries(after, _raising(Reset))


def hang(*, after: int) -> Fault:
    """Nothing comes any more after so many entries."""
    return AfterEntries(after, _raising(Hang))


def _raising(error: type[Exception]) -> Fault:
    def fault(message: Message) -> Sequence[Message]:
        raise error

    return fault


def ranged(attribute: str, size: int) -> tuple[Fault, Fault]:
    """Windows' way with an attribute of many values: faults of the answers and of the requests.

    Asked for the attribute whole, it gives an empty one and the first ``size`` values as
    "attribute;range=0-…"; asked for a range it gives that, and "…-*" if it is the last.
    """
    asked: list[int] = [0]
    name = attribute.encode()

    def request(message: Message) -> Sequence[Message]:
        parts = values(message.content)
        if message.tag != SEARCH:
            return [message]
        names = [inner for _, inner in values(parts[-1][1])]
        asked[0] = 0
        for each in names:
            if each.startswith(name + _RANGE):
                asked[0] = int(each.partition(b"=")[2].partition(b"-")[0])
        wanted = dict.fromkeys(each.partition(_RANGE)[0] for each in names)
        parts[-1] = (_SEQUENCE, b"".join(tlv(_OCTETS, each) for each in wanted))
        content = b"".join(tlv(tag, inner) for tag, inner in parts)
        return [Message(message.number, message.tag, content, message.controls)]

    def answer(message: Message) -> Sequence[Message]:
        if message.tag != ENTRY:
            return [message]
        dn, attributes = values(message.content)
        told = []
        for _, each in values(attributes[1]):
            spelled, found = values(each)
            all_values = values(found[1])
            if spelled[1] == name and (len(all_values) > size or asked[0]):
                first = asked[0]
                part = all_values[first : first + size]
                last = "*" if first + size >= len(all_values) else str(first + size - 1)
                if not first:
                    told.append(_attribute(name, []))
                told.append(_attribute(b"%s%s%d-%s" % (name, _RANGE, first, last.encode()), part))
            else:
                told.append(tlv(_SEQUENCE, each))
        content = tlv(*dn) + tlv(_SEQUENCE, b"".join(told))
        return [Message(message.number, ENTRY, content, message.controls)]

    return answer, request


def _attribute(name: bytes, found: Sequence[tuple[int, bytes]]) -> bytes:
    content = b"".join(tlv(tag, inner) for tag, inner in found)
    return tlv(_SEQUENCE, tlv(_OCTETS, name) + tlv(_SET, content))


@dataclass
class FaultProxy:
    """One listening port in front of one server; with ``tls`` it speaks nothing else to either side."""

    target: tuple[str, int]
    fault: Fault = nothing
    request_fault: Fault = nothing
    tls: Certificates | None = None
    connections: int = 0
    sent: bytearray = field(default_factory=bytearray)  # by all clients so far
    requests: list[int] = field(default_factory=list)  # tags, in order
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        number: int = self._listener.getsockname()[1]
        return number

    def _spawn(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.connections += 1
            try:
                server = socket.create_connection(self.target, timeout=10)
                if self.tls is not None:
                    client, server = _shielded(self.tls, client, server, self.target[0])
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._open += [client, server]
            self._spawn(self._ask, client, server)
            self._spawn(self._answer, server, client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        """Pass what the client sends."""
        with suppress(OSError, ValueError, IndexError):  # closed meanwhile, or TLS from here on
            for message in _messages(client, self.sent):
                self.requests.append(message.tag)
                for each in self.request_fault(message):
                    server.sendall(each.encode())
        with suppress(OSError):
            _shut(server, socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        """Pass what the server answers, or do harm."""
        try:
            for message in _messages(server, bytearray()):
                for each in self.fault(message):
                    client.sendall(each.encode())
        except Hang:
            self._closing.wait()
            return
        except Reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        except (Cut, OSError):
            pass
        for each_socket in (client, server):
            with suppress(OSError):
                _shut(each_socket)

    def close(self) -> None:
        """Stop listening and let all connections go."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                _shut(each)
        for thread in self._threads:
            thread.join(timeout=10)
        for each in self._open:
            each.close()


def _shielded(
    certificates: Certificates, client: socket.socket, server: socket.socket, host: str
) -> tuple[socket.socket, socket.socket]:
    """Both sides over TLS; ``OSError`` if the client says anything else."""
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(certificates.certificate, certificates.key)
    there = ssl.create_default_context(cafile=str(certificates.ca))
    client.settimeout(10)
    shielded = here.wrap_socket(client, server_side=True)
    shielded.settimeout(None)
    return shielded, there.wrap_socket(server, server_hostname=host)


def _messages(source: socket.socket, log: bytearray) -> Iterator[Message]:
    """Whole messages as they come."""
    waiting = b""
    while True:
        # Never inside recv() for long: a socket that somebody reads from can't be reset by another.
        while not (_decrypted(source) or select.select([source], [], [], 0.02)[0]):
            pass
        received = source.recv(65536)
        if not received:
            return
        log += received
        waiting += received
        while (size := _size(waiting)) and len(waiting) >= size:
            yield decode(values(waiting[:size])[0][1])
            waiting = waiting[size:]


def _shut(each: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End a connection under its TLS, which another thread may be reading."""
    socket.socket.shutdown(each, how)


def _decrypted(source: socket.socket) -> int:
    """Bytes that were received over TLS and not yet read."""
    return source.pending() if isinstance(source, ssl.SSLSocket) else 0


def _size(data: bytes) -> int:
    """Bytes of the message that begins here; 0 = too few came to tell."""
    if len(data) < 2 or (data[1] > 127 and len(data) < 2 + data[1] - 128):
        return 0
    if data[1] < 128:
        return 2 + data[1]
    size = data[1] - 128
    return 2 + size + int.from_bytes(data[2 : 2 + size], "big")


@contextmanager
def fault_proxy(
    host: str, port: int, fault: Fault = nothing, *, tls: Certificates | None = None
) -> Iterator[FaultProxy]:
    """Stand in front of a server for the length of the block."""
    proxy = FaultProxy((host, port), fault, tls=tls)
    proxy._spawn(proxy._listen)
    try:
        yield proxy
    finally:
        proxy.close()
