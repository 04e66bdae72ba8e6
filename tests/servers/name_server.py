"""A private DNS server: it knows what the test tells it, over UDP on a free port."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import AF_INET, SOCK_DGRAM, socket

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset


@contextmanager
def name_server(records: dict[str, Sequence[str]]) -> Iterator[dns.resolver.Resolver]:
    """Give a resolver that asks a server with these SRV records, by name, and with no others."""
    with socket(AF_INET, SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_answer, args=(listening, records), daemon=True)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = listening.getsockname()[1]
        yield resolver
        with socket(AF_INET, SOCK_DGRAM) as last:
            last.sendto(b"", listening.getsockname())
        thread.join(10)


def _answer(listening: socket, records: dict[str, Sequence[str]]) -> None:
    while True:
        wire, sender = listening.recvfrom(4096)
        if not wire:
            return  # the end was asked for
        query = dns.message.from_wire(wire)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        name = query.question[0].name
        found = records.get(name.to_text(omit_final_dot=True))
        if found:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *found))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        listening.sendto(answer.to_wire(), sender)
