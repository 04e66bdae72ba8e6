"""The archive that a workbook is, its parts measured by unpacking them, not by what it says."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from lxml import etree

from runner.errors import BadInput
from runner.reading.workbook.limits import MEBIBYTE, Limits

_BLOCK = 256 * 1024  # bytes unpacked at a time
_TAIL = 64  # bytes kept so that a pattern isn't missed where two blocks meet

Look = Callable[[bytes], None]


class Package:
    """An opened .xlsx or .ods."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.unpacked
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise _damaged(str(error)) from error
        self.names = self._zip.namelist()
        if len(self.names) > limits.parts:
            self.close()
            msg = f"The workbook has {len(self.names):,} parts; a workbook has some dozens. It wasn't opened."
            raise BadInput(msg)

    def __enter__(self) -> "Package":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def open(self, name: str) -> IO[bytes]:
        """One part, as a stream."""
        return self._zip.open(name)

    def parse(self, name: str) -> etree._Element:
        """One small part as a tree."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        with self.open(name) as part:
            return etree.fromstring(part.read(), parser)

    def measure(self, name: str, look: Look | None = None) -> None:
        """Unpack a part and count what really comes out; ``look`` sees each block.

        Blocks overlap a little, so that what is looked for is never cut in two.
        """
        try:
            with self._zip.open(name) as part:
                packed, out, tail = self._zip.getinfo(name).compress_size, 0, b""
                for block in _blocks(part):
                    if not out:
                        _refuse_strange(name, block)
                    out += len(block)
                    self._left -= len(block)
                    self._check(name, packed, out)
                    if look is not None:
                        look(tail + block)
                        tail = block[-_TAIL:]
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise _damaged(f"{name}: {error}") from error

    def _check(self, name: str, packed: int, out: int) -> None:
        limits = self._limits
        if out > limits.small and out > limits.ratio * max(packed, 1):
            msg = (
                f"The workbook's part {name} unpacks to more than {limits.ratio} times its size, as no "
                "honest workbook does. It wasn't opened."
            )
            raise BadInput(msg)
        if self._left < 0:
            msg = (
                f"The workbook unpacks to more than {limits.unpacked // MEBIBYTE} MiB. "
                "Split it, or take out what isn't needed."
            )
            raise BadInput(msg)


def _blocks(part: IO[bytes]) -> Iterator[bytes]:
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


def _damaged(why: str) -> BadInput:
    return BadInput(
        "The workbook is damaged, or was cut off on its way: it can't be unpacked. Send it again.",
        detail=why,
    )
