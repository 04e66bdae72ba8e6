"""Members of a zip archive of any size, from anybody, as streams.

Nothing is unpacked to the disk and no member's own word about its size is believed: bytes
are counted as they come out. The caps are for members that are read; how many others an
archive holds doesn't matter (an FPR has a member for each source file).
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, BinaryIO

from runner.errors import BadInput

LARGEST_MEMBER = 16 * 1024**3
"""Bytes that may come out of one member."""

HIGHEST_RATIO = 200
"""Bytes out for a byte in. Scanners' XML reaches 40; deflate itself can do a thousand."""

RATIO_FROM = 64 * 1024**2
"""Bytes that come out of a member before its ratio counts: short ones may well be repetitive."""

LARGEST_DIRECTORY = 64 * 1024**2
"""Bytes of the list of members, which is kept in memory: some 500,000 members."""

AGAIN = "Export the file again and send the new one."

_TAIL = 66 * 1024  # bytes; the end record and the longest comment after it
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENCRYPTED = 0x1


@dataclass(slots=True)
class Member:
    """One member, read from its beginning; its bytes are counted."""

    name: str  # "audit.fvdl in scan.fpr"
    size: int  # bytes it takes in the archive
    stream: IO[bytes]
    out: int = field(default=0)  # bytes read so far

    def read(self, size: int, /) -> bytes:
        """The next bytes; ``BadInput`` where the member is damaged or blows up."""
        try:
            block = self.stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            what = "its checksum is wrong" if "CRC" in str(error) else "its data is cut off or damaged"
            msg = f"{self.name} can't be read past its byte {self.out}: {what}. {AGAIN}"
            raise BadInput(msg, detail=str(error)) from error
        self.out += len(block)
        if self.out > LARGEST_MEMBER or (
            self.out > RATIO_FROM and self.out > HIGHEST_RATIO * max(self.size, 1)
        ):
            raise BadInput(
                f"{self.name} is refused: {self.size} bytes of the archive become more than "
                f"{self.out // 1024**2} MB, as only an attack does. {AGAIN}"
            )
        return block


class Archive:
    """An open archive."""

    def __init__(self, file: zipfile.ZipFile, name: str) -> None:
        self._file = file
        self.name = name

    def named(self, *names: str) -> list[str]:
        """Members with one of these file names, whatever their folder and case, in their order."""
        wanted = {name.casefold() for name in names}
        return [
            info.filename
            for info in self._file.infolist()
            if not info.is_dir() and info.filename.replace("\\", "/").rpartition("/")[2].casefold() in wanted
        ]

    @contextmanager
    def open(self, member: str) -> Iterator[Member]:
        """Give a member as a stream; ``BadInput`` if it is encrypted or packed in a way not known here."""
        info = self._file.getinfo(member)
        name = f"{member} in {self.name}"
        if info.flag_bits & _ENCRYPTED:
            raise BadInput(f"{name} is encrypted. Send the archive without a password.")
        try:
            stream = self._file.open(info)
        except NotImplementedError as error:
            raise BadInput(f"{name} is packed in a way that isn't known here ({error}). {AGAIN}") from error
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            msg = f"{name} can't be read: the archive is damaged where it should begin. {AGAIN}"
            raise BadInput(msg, detail=str(error)) from error
        with stream:
            yield Member(name, info.compress_size, stream)


@contextmanager
def open_archive(stream: BinaryIO, *, name: str) -> Iterator[Archive]:
    """Give the archive in ``stream``, a seekable file that begins as a zip does.

    ``BadInput`` if it is none. ``name`` is what the person who sent the file calls it.
    """
    _check_directory(stream, name)
    try:
        file = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
        msg = f"{name} is a damaged zip archive: its list of members can't be read. {AGAIN}"
        raise BadInput(msg, detail=str(error)) from error
    with file:
        yield Archive(file, name)


def _check_directory(stream: BinaryIO, name: str) -> None:
    """Look at what the end of the file says of the list of members, before it is read."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _TAIL))
    tail = stream.read(_TAIL)
    stream.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise BadInput(
            f"{name} is cut off: it begins as a zip archive, but the list of members at its end is missing. "
            f"{AGAIN}"
        )
    directory = _END.unpack_from(tail, at)[5]
    at64 = tail.rfind(b"PK\x06\x06", 0, at)
    if at64 >= 0 and at - at64 >= _END64.size:
        directory = _END64.unpack_from(tail, at64)[8]
    if directory > LARGEST_DIRECTORY:
        raise BadInput(
            f"{name} is refused: its list of members alone takes {directory // 1024**2} MB. {AGAIN}"
        )
