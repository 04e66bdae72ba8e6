"""One exception of each class that the usual libraries of a connector raise."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pydantic
import requests
from lxml import etree


def library_errors() -> Iterator[BaseException]:
    """All of requests, of the operating system, of TLS, JSON, text, lxml and pydantic."""
    yield from _of_requests()
    yield from _of_the_system()
    yield ssl.SSLError(1, "handshake failure")
    yield ssl.SSLCertVerificationError(1, "certificate verify failed")
    yield json.JSONDecodeError("Expecting value", "<html>", 0)
    yield UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    yield etree.XMLSyntaxError("Start tag expected", 4, 1, 1, "source.xml")
    yield _of_pydantic()


def all_below(root: type[BaseException]) -> Iterator[type[BaseException]]:
    """``root`` and every class that inherits from it by now, each once."""
    seen = {root: None}
    waiting = [root]
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each not in seen:
                seen[each] = None
                waiting.append(each)
    return iter(seen)


def _of_requests() -> Iterator[BaseException]:
    prepared = requests.Request("GET", "https://scanner.example/api?page=2").prepare()
    for each in all_below(requests.exceptions.RequestException):
        if each.__module__ != "requests.exceptions":
            continue
        more: dict[str, Any] = {"request": prepared}
        if each is requests.exceptions.JSONDecodeError:
            yield each("Expecting value", "<html>", 0)
        else:
            yield each("the library's own words", **more)


def _of_the_system() -> Iterator[BaseException]:
    numbers = {
        ConnectionRefusedError: 111,
        ConnectionResetError: 104,
        ConnectionAbortedError: 103,
        BrokenPipeError: 32,
        FileNotFoundError: 2,
        FileExistsError: 17,
        IsADirectoryError: 21,
        NotADirectoryError: 20,
        PermissionError: 13,
        TimeoutError: 110,
        InterruptedError: 4,
        OSError: 5,
    }
    for each, number in numbers.items():
        yield each(number, "the system's own words", "source.json")
    yield socket.gaierror(-2, "Name or service not known")
    yield socket.herror(1, "Unknown host")


class _Wanted(pydantic.BaseModel):
    number: int


def _of_pydantic() -> BaseException:
    try:
        _Wanted.model_validate({"number": "many"})
    except pydantic.ValidationError as error:
        return error
    raise AssertionError  # the text is no number
