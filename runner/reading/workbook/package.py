"""The archive that a workbook is: its parts are measured by unpacking them, then looked into."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lxml import etree

from runner.errors import BadInput
from runner.reading.workbook.limits import Limits
from runner.reading.zip import Archive, Caps, Member, open_archive

_BLOCK = 256 * 1024  # bytes unpacked at a time
_TAIL = 64  # bytes kept so that a pattern isn't missed where two blocks meet

Look = Callable[[bytes], None]


class Package:
    """An opened .xlsx or .ods."""

    def __init__(self, archive: Archive) -> None:
        self.names = archive.members
        self.open = archive.open

    def parse(self, name: str) -> etree._Element:
        """One small part, which was measured, as a tree."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        with self.open(name) as part:
            return etree.fromstring(part.read(), parser)

    def measure(self, name: str, look: Look | None = None) -> None:
        """Unpack a part, which counts what really comes out; ``look`` sees each block.

        Blocks overlap a little, so that what is looked for is never cut in two.
        """
        with self.open(name) as part:
            tail = b""
            for number, block in enumerate(_blocks(part)):
                if not number:
                    _refuse_strange(name, block)
                if look is not None:
                    look(tail + block)
                    tail = block[-_TAIL:]


@contextmanager
def open_package(path: Path, limits: Limits) -> Iterator[Package]:
    """Give the package in a file; ``BadInput`` if it is damaged, or larger than ``limits``."""
    caps = Caps(
        total=limits.unpacked,
        ratio=limits.ratio,
        ratio_from=limits.small,
        members=limits.parts,
    )
    with path.open("rb") as file, open_archive(file, name=path.name, caps=caps) as archive:
        yield Package(archive)


def _blocks(part: Member) -> Iterator[bytes]:
    while block := part.read(_BLOCK):
        yield block


def _refuse_strange(name: str, block: bytes) -> None:
    """Refuse XML that isn't plain UTF-8, or that declares entities: no spreadsheet writes either."""
    if not name.endswith((".xml", ".rels")):
        return
    if b"\0" in block[:4] or block[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        msg = f"The workbook's part {name} isn't in UTF-8. Open the file in a spreadsheet and save it again."
        raise BadInput(msg)
    if b"<!DOCTYPE" in block or b"<!ENTITY" in block:
        msg = f"The workbook's part {name} declares entities, as no spreadsheet does. It wasn't opened."
        raise BadInput(msg)
