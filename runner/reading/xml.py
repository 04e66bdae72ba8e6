"""XML of any size, from anybody, at flat memory.

What makes this more than a loop around lxml:

- A DOCTYPE is refused before a single declaration of it is read, so that no entity is ever
  expanded or fetched. expat reads as far as the root's start tag to see to that; from there
  on a DOCTYPE is a syntax error.
- libxml2 caps a text node at 10 MB, but its push interface keeps an unfinished tag, comment
  or CDATA section in memory however long it grows. Where no element begins for that long,
  the file is refused.
- A tag filter keeps Python out of the elements nobody asked for, yet they stay in the tree.
  They are cut off after each block instead.
- Source code quoted in reports contains control characters that XML doesn't allow, as
  themselves or as references. A person can't repair such a file and nothing hangs on them:
  each is replaced by a question mark and counted in ``Document.replaced``. (UTF-16 and
  UTF-32 are left alone; there such a character is an error that names the line.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lxml import etree

from runner.errors import BadInput
from runner.reading.blocks import BLOCK, Cleaner, Source
from runner.reading.prolog import Root, read_prolog
from runner.reading.skipping import Insides, Texts


class Malformed(BadInput):
    """It isn't well-formed, or larger in some place than it may be."""


Parser: TypeAlias = etree.XMLPullParser[Any]

LONGEST_TEXT = 10_000_000
"""Bytes without an element; libxml2's own cap on a text node."""

LARGEST_ELEMENT = 64 * 1024 * 1024
"""Bytes that one wanted element may span, for it is kept whole until it ends."""

_OWN_MISTAKES = {
    etree.ErrorTypes.ERR_DOCUMENT_END,
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY,
    etree.ErrorTypes.WAR_UNDECLARED_ENTITY,
    etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE,
}
"""Mistakes that surface at the end of the file without being a missing end."""


@dataclass(slots=True)
class Document:
    """An XML file whose root is known; ``elements`` reads the rest, once."""

    name: str
    root: Root
    stream: Source
    head: bytes  # what was read to see the root
    cleaner: Cleaner
    bytes_read: int = field(default=0)
    skipper: Insides | Texts | None = field(default=None)

    @property
    def replaced(self) -> int:
        """How many characters that XML doesn't allow were replaced so far."""
        return self.cleaner.replaced

    @property
    def skipped(self) -> int:
        """How many bytes were left out unparsed so far."""
        return 0 if self.skipper is None else self.skipper.skipped

    def elements(self, *tags: str) -> Iterator[etree._Element]:
        """Yield each element below the root called one of ``tags``, whole, and drop it once it was seen.

        An element inside another wanted one comes with that. Siblings and parents can be looked
        at by attributes only: content that was passed is gone. Tags may be written
        ``"{*}name"`` to match any namespace. ``BadInput`` with line and column where the
        file isn't well-formed XML.
        """
        parser = etree.XMLPullParser(
            events=("start", "end"),
            tag=(*tags, self.root.name, "{*}" + self.root.name),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        wanted = frozenset(tag.rpartition("}")[2] for tag in tags)
        tree = _Tree(self.name, wanted)
        block = b"."
        depth = 0  # wanted elements around the place where the parser is
        try:
            for block in self._blocks():
                if block:
                    parser.feed(block)
                else:
                    parser.close()
                for event, element in parser.read_events():
                    if event == "start":
                        depth += 1
                        if tree.root is None:
                            tree.root, depth = element, 0  # the first start tag there is
                    elif depth == 1:
                        depth = 0
                        yield element
                        element.clear(keep_tail=True)
                    else:
                        depth -= 1
                tree.prune(len(block))
        except etree.XMLSyntaxError as error:
            raise _malformed(self.name, error, parser, at_end=not block) from error

    def _blocks(self) -> Iterator[bytes]:
        """What the parser gets, block by block, and an empty one to end it."""
        block = self.head
        skipper = self.skipper
        while block or (block := self.cleaner.rest()):
            self.bytes_read += len(block)
            if skipper is None:
                yield block
            elif left := skipper.skip(block):
                yield left
            block = b""
            while not block and (raw := self.stream.read(BLOCK)):
                block = self.cleaner.clean(raw)
        if skipper is not None and (left := skipper.rest()):
            yield left
        yield b""


class _Tree:
    """The part of the document that is in memory: the path to where the parser is."""

    def __init__(self, name: str, wanted: frozenset[str]) -> None:
        self._name = name
        self._wanted = wanted
        self.root: etree._Element | None = None
        self._kept = _Span()  # the wanted element that hasn't ended
        self._last = _Span()  # the element that began last

    def prune(self, size: int) -> None:
        """Cut off all that ended, but nothing inside a wanted element that is still open."""
        node, kept = self.root, None
        while node is not None and len(node):
            if kept is None and len(node) > 1:
                del node[:-1]
            node = node[-1]
            if kept is None and _local(node) in self._wanted:
                kept = node
        if kept is not None and self._kept.grow(kept, size) > LARGEST_ELEMENT:
            raise self._too_large(kept, f"it is larger than {LARGEST_ELEMENT // 1024**2} MB")
        if node is not None and self._last.grow(node, size) > LONGEST_TEXT:
            raise self._too_large(node, f"a text or tag there is longer than {LONGEST_TEXT // 10**6} MB")

    def _too_large(self, node: etree._Element, why: str) -> BadInput:
        return Malformed(
            f"{self._name} can't be read past the element <{_local(node)}> at line {node.sourceline}: {why}, "
            "which no scanner writes. Export the file again and send the new one."
        )


@dataclass(slots=True)
class _Span:
    """How many bytes were read while the same element stood at one place."""

    element: etree._Element | None = None
    size: int = 0

    def grow(self, element: etree._Element, size: int) -> int:
        self.size = self.size + size if element is self.element else 0
        self.element = element  # holding it keeps lxml from giving its identity to another
        return self.size


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def open_xml(stream: Source, *, name: str, skipper: Insides | Texts | None = None) -> Document:
    """Read as far as the root's start tag; ``BadInput`` if this is no XML we dare to read.

    ``name`` is what the person who sent the file calls it. With a ``skipper``, some of it is left out
    unparsed: if reading fails then, read again without.
    """
    root, head, cleaner = read_prolog(stream, name)
    if root.prefix and f"xmlns:{root.prefix}" not in root.attributes:
        # Some tools forget to declare it. What it stands for doesn't matter here.
        tag = f"<{root.prefix}:{root.name}".encode()
        head = head.replace(tag, tag + f' xmlns:{root.prefix}="undeclared"'.encode(), 1)
    return Document(name, root, stream, head, cleaner, skipper=skipper)


def _malformed(name: str, error: etree.XMLSyntaxError, parser: Parser, *, at_end: bool) -> BadInput:
    """``error`` as a sentence: where, what, and what to do."""
    # An undeclared entity surfaces as "no element found" at no place; the log knows more.
    logged = parser.feed_error_log.last_error
    code, (line, column), detail = error.code, error.position, error.msg or ""
    if logged is not None:
        code, line, column, detail = logged.type, logged.line, logged.column, logged.message
    what = next(iter(detail.strip().splitlines()), "something is missing")
    where = f"at line {line}, column {column}"
    again = "Export the file again and send the new one."
    if code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
        sentence = (
            f"{name} can't be read {where}: a text is longer than 10 MB, or elements are nested too deeply."
        )
    elif at_end and code not in _OWN_MISTAKES:
        sentence = f"{name} is cut off: it ends {where} in the middle of an element."
    else:
        sentence = f"{name} is not well-formed XML {where}: {what}."
    return Malformed(f"{sentence} {again}", detail=detail)
