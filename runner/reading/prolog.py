"""The beginning of an XML file, up to the root's start tag.

expat reads it, for it reports a DOCTYPE as it begins, before any declaration in it is read,
and knows the encodings. It sees nothing past the block in which the root starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from runner.errors import BadInput
from runner.reading.blocks import BLOCK, BOM, Cleaner, Source

LONGEST_PROLOG = 1024 * 1024
"""Bytes that may stand before the root's start tag ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The start tag of the root element."""

    name: str  # without prefix
    attributes: Mapping[str, str]  # as written, ``xmlns`` among them
    prefix: str = ""


def read_prolog(stream: Source, name: str) -> tuple[Root, bytes, Cleaner]:
    """The root, all bytes read to see it, and the cleaner for the bytes that follow."""
    first = stream.read(BLOCK)
    while first.startswith(BOM):
        first = first[len(BOM) :]
    _look_at_start(first, name)
    cleaner = Cleaner.of(first)
    head = cleaner.clean(first)
    prolog = _Prolog()
    fed = 0
    while True:
        more, fed = head[fed:], len(head)
        if fed > LONGEST_PROLOG:
            raise BadInput(f"{name} can't be read: no element begins in its first megabyte.")
        _feed(prolog, more, name)
        if prolog.root is not None:
            return prolog.root, head, cleaner
        head += cleaner.clean(stream.read(BLOCK)) or cleaner.rest()


def _look_at_start(first: bytes, name: str) -> None:
    if not first.strip():
        raise BadInput(f"{name} is empty. Export the file again and send the new one.")
    # In UTF-16 and UTF-32 the first character is "<" with zero bytes around it, or a mark.
    if first.lstrip()[:1] != b"<" and not first.startswith((b"\xff\xfe", b"\xfe\xff", b"\0")):
        shown = first.lstrip()[:20].decode("ascii", "replace").replace("�", "?")
        shown = "".join(letter if letter.isprintable() else "?" for letter in shown)
        raise BadInput(f'{name} is not XML: it begins with "{shown}". Send the XML export of the scanner.')


class _Doctype(Exception):
    """A DOCTYPE begins; nothing of it was read."""


class _Prolog:
    """expat, stopped at the root's start tag or at a DOCTYPE, whichever comes first."""

    def __init__(self) -> None:
        self.root: Root | None = None
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start

    def _doctype(self, *_: object) -> None:
        raise _Doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.root is None:
            prefix, _, local = name.rpartition(":")
            self.root = Root(name=local, attributes=attributes, prefix=prefix)
            self.parser.StartElementHandler = None


def _feed(prolog: _Prolog, block: bytes, name: str) -> None:
    try:
        prolog.parser.Parse(block, not block)
    except _Doctype:
        line = prolog.parser.CurrentLineNumber
        raise BadInput(
            f"{name} is refused: it declares a document type at line {line}, which no scanner's file needs "
            "and attacks are made of. Export the file again, or remove the DOCTYPE."
        ) from None
    except (LookupError, ValueError) as error:  # Python's answers to an encoding expat doesn't know
        raise BadInput(
            f"{name} can't be read: its first line names an encoding that isn't known here ({error}). "
            "Export it as UTF-8."
        ) from error
    except expat.ExpatError as error:
        if prolog.root is not None:
            return  # it is the main pass that judges what follows the root's start tag
        what = expat.ErrorString(error.code)
        raise BadInput(
            f"{name} is not XML that can be read: {what} at line {error.lineno}, column {error.offset + 1}. "
            "Export the file again and send the new one."
        ) from error
