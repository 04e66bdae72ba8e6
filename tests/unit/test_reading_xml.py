"""The XML reader against files that nobody should have sent."""

import gc
import io
import resource
from collections.abc import Callable, Iterator

import pytest

from runner.errors import BadInput
from runner.reading.xml import Document, open_xml

MEGABYTE = 1024 * 1024


class Pieces:
    """A stream of many pieces that are never in memory together."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int, /) -> bytes:
        while len(self._left) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class Short:
    """A stream that gives less than it is asked for, as sockets do."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def read(self, _: int, /) -> bytes:
        return self._parts.pop(0) if self._parts else b""


def document(content: bytes) -> Document:
    return open_xml(io.BytesIO(content), name="scan.xml")


def texts(content: bytes, tag: str = "i") -> list[str | None]:
    return [element.text for element in document(content).elements(tag)]


def refusal(content: bytes) -> str:
    with pytest.raises(BadInput) as raised:
        texts(content)
    return raised.value.message


def peak() -> int:
    """Most memory this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


BOMB = b'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>\n<a><i>&b;</i></a>'
EXTERNAL = b'<!DOCTYPE a SYSTEM "http://198.51.100.1/a.dtd">\n<a><i/></a>'
FILE = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><a><i>&f;</i></a>'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "scan.xml is empty", id="empty"),
        pytest.param(b" \n\t", "scan.xml is empty", id="blank"),
        pytest.param(b"PK\x03\x04rest", "not XML: it begins with", id="zip"),
        pytest.param(b"Category,Count", 'not XML: it begins with "Category,Count"', id="text"),
        pytest.param(BOMB, "declares a document type at line 2", id="entity bomb"),
        pytest.param(EXTERNAL, "declares a document type at line 1", id="external DTD"),
        pytest.param(FILE, "declares a document type at line 1", id="external entity"),
        pytest.param(b"<a><!DOCTYPE a []><i/></a>", "line 1, column", id="late DOCTYPE"),
        pytest.param(b"<a>\n<i>&nbsp;</i></a>", "line 2, column", id="undeclared entity"),
        pytest.param(b'<?xml version="1.0"', "line 1, column", id="cut in the declaration"),
        pytest.param(b"<a>\n<i>x</i>\n<i>", "cut off: it ends at line 3, column 4", id="cut in an element"),
        pytest.param(b'<a>\n<i n="1', "cut off: it ends at line 2", id="cut in an attribute"),
        pytest.param(b"<a>\n<i>x &am", "cut off: it ends at line 2", id="cut in a reference"),
        pytest.param(b"<a>\n<i></a>", "not well-formed XML at line 2, column", id="crossed tags"),
        pytest.param(b"<a></a><a/>", "not well-formed XML at line 1", id="two roots"),
        pytest.param(b'<?xml version="1.0" encoding="UTF-8"?>\n<a>\xff\xfe</a>', "line 2", id="bad UTF-8"),
        pytest.param(b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding", id="unknown encoding"),
        pytest.param(b"<a>" * 100_000, "nested too deeply", id="deep"),
    ],
)
def test_bad_file_gets_a_sentence(content: bytes, expected: str) -> None:
    """A file that can't be read is refused in a sentence with its name, the place, and what to do."""
    message = refusal(content)
    assert expected in message
    assert message.startswith("scan.xml ")
    assert "end " in message or "xport" in message


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"<a><i>", id="text"),
        pytest.param(b"<a><i><![CDATA[", id="CDATA"),
        pytest.param(b'<a><i n="', id="attribute"),
        pytest.param(b"<a><!--", id="comment"),
        pytest.param(b"<a><?p ", id="instruction"),
        pytest.param(b"<a><", id="name"),
        pytest.param(b"<!--", id="comment before the root"),
    ],
)
@pytest.mark.parametrize("filling", [b"x", b"< \n"], ids=["plain", "angles"])
def test_hundred_megabytes_in_one_piece_stay_small(start: bytes, filling: bytes) -> None:
    """100 MB without an element fail with a sentence, long before they are in memory."""
    piece = filling * (MEGABYTE // len(filling))

    def pieces() -> Iterator[bytes]:
        yield start
        yield from (piece for _ in range(100))

    gc.collect()
    before = peak()
    stream = Pieces(pieces())
    with pytest.raises(BadInput):
        list(open_xml(stream, name="scan.xml").elements("i"))
    assert peak() - before < 60 * MEGABYTE


def test_one_wanted_element_is_bounded() -> None:
    """A wanted element that never ends is refused, though each of its parts is short."""

    def pieces() -> Iterator[bytes]:
        yield b"<a><i>"
        yield from (b"<p>" + b"x" * 60_000 + b"</p>" for _ in range(1800))

    with pytest.raises(BadInput, match="larger than 64 MB"):
        list(open_xml(Pieces(pieces()), name="scan.xml").elements("i"))


@pytest.mark.parametrize("wanted", [b"<i>1</i>", b"<p><q>1</q></p>"], ids=["wanted", "not wanted"])
def test_memory_is_flat(wanted: bytes) -> None:
    """Half a million elements, asked for or not, leave nothing behind in memory."""

    def pieces() -> Iterator[bytes]:
        yield b"<a><b>"
        yield from (wanted * 1000 for _ in range(500))
        yield b"</b></a>"

    number = sum(1 for _ in open_xml(Pieces(pieces()), name="scan.xml").elements("i"))
    before = peak()
    again = sum(1 for _ in open_xml(Pieces(pieces()), name="scan.xml").elements("i"))
    assert number == again
    assert peak() - before < 10 * MEGABYTE


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="UTF-8 with a mark"),
        pytest.param(lambda text: b"\xef\xbb\xbf" * 2 + text.encode(), id="two marks"),
        pytest.param(lambda text: text.encode("utf-16"), id="UTF-16"),
        pytest.param(lambda text: text.replace("?>", ' encoding="cp1252"?>').encode("cp1252"), id="cp1252"),
    ],
)
def test_encodings(encode: Callable[[str], bytes]) -> None:
    """Byte order marks and the usual encodings are read as what they say."""
    content = '<?xml version="1.0"?><a><i>schön €</i></a>'
    assert texts(encode(content)) == ["schön €"]


def test_control_characters_are_replaced_and_counted() -> None:
    """What XML forbids and quoted code contains becomes a question mark, wherever a block ends."""
    content = b"<a><i>\x0b1\x00</i><i>&#1;&#x1F;&#xD83D;&#13;\t</i></a>"
    whole = document(content)
    assert [element.text for element in whole.elements("i")] == ["?1?", "???\r\t"]
    assert whole.replaced == 5
    for cut in range(6, len(content)):
        short = Short([content[:5], content[5:cut], content[cut:]])
        assert [e.text for e in open_xml(short, name="scan.xml").elements("i")] == ["?1?", "???\r\t"]


def test_long_text_and_cdata_are_whole() -> None:
    """A text of nine megabytes and one of several CDATA sections arrive in one piece."""
    long = b"<a><i>" + b"x" * 9_000_000 + b"</i><i>a<![CDATA[<b>]]>c<!-- no -->d</i></a>"
    found = texts(long)
    assert found[0] is not None
    assert (len(found[0]), found[1]) == (9_000_000, "a<b>cd")


def test_root_is_known_at_once() -> None:
    """The root's name and attributes are there before anything else is read."""
    root = document(b'<?xml version="1.0"?><!-- x -->\n<f:FVDL xmlns:f="u" version="1.12"><f:i/>').root
    assert root.name == "FVDL"
    assert root.attributes["version"] == "1.12"


def test_namespaces_and_parents() -> None:
    """Tags match in any namespace if asked, and attributes of parents can be seen."""
    content = b'<r xmlns="u"><g count="2"><t>one</t><t>two</t></g><t>three</t></r>'
    found = []
    for element in document(content).elements("{*}t"):
        parent = element.getparent()
        assert parent is not None
        found.append((element.text, parent.get("count")))
    assert found == [("one", "2"), ("two", "2"), ("three", None)]
