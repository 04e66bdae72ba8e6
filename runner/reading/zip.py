"""Members of a zip archive of any size, from anybody, as streams.

Nothing is unpacked to the disk and no member's own word about its size is believed: bytes
are counted as they come out. The caps are for members that are read; how many others an
archive holds doesn't matter (an FPR has a member for each source file).
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, BinaryIO

from runner.errors import BadInput

MEBIBYTE = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What is refused beyond; sizes in bytes."""

    member: int = 16 * 1024**3  # that may come out of one member
    total: int = 2**63  # that may come out of all members that are read
    ratio: int = 200  # bytes out for a byte in; scanners' XML reaches 40, deflate can do a thousand
    ratio_from: int = 64 * MEBIBYTE  # that come out before the ratio counts: short ones may be repetitive
    directory: int = 64 * MEBIBYTE  # of the list of members, kept in memory: some 500,000 members
    members: int = 2**63


CAPS = Caps()
"""For reports of scanners."""

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
    caps: Caps
    counted: Callable[[int], None]  # told how many bytes have come out
    out: int = field(default=0)  # bytes read so far

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; ``BadInput`` where the member is damaged or blows up."""
        try:
            block = self.stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            what = "its checksum is wrong" if "CRC" in str(error) else "its data is cut off or damaged"
            msg = f"{self.name} can't be read past its byte {self.out}: {what}. {AGAIN}"
            raise BadInput(msg, detail=str(error)) from error
        self.out += len(block)
        caps = self.caps
        if self.out > caps.member or (
            self.out > caps.ratio_from and self.out > caps.ratio * max(self.size, 1)
        ):
            raise BadInput(
                f"{self.name} is refused: {self.size} bytes of the archive become more than "
                f"{self.out // MEBIBYTE} MiB, as only an attack does. {AGAIN}"
            )
        self.counted(self.out)
        return block


class Archive:
    """An open archive."""

    def __init__(self, file: zipfile.ZipFile, name: str, caps: Caps = CAPS) -> None:
        self._file = file
        self.name = name
        self._caps = caps
        self._out: dict[str, int] = {}  # bytes that came out, by member: a second walk counts no more
        self._total = 0

    @property
    def members(self) -> list[str]:
        """The names of all members."""
        return self._file.namelist()

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
            yield Member(name, info.compress_size, stream, self._caps, lambda out: self._count(member, out))

    def _count(self, member: str, out: int) -> None:
        more = out - self._out.get(member, 0)
        if more <= 0:
            return
        self._out[member] = out
        self._total += more
        if self._total > self._caps.total:
            raise BadInput(
                f"{self.name} unpacks to more than {self._caps.total // MEBIBYTE} MiB. "
                "Split it, or take out what isn't needed."
            )


@contextmanager
def open_archive(stream: BinaryIO, *, name: str, caps: Caps = CAPS) -> Iterator[Archive]:
    """Give the archive in ``stream``, a seekable file that begins as a zip does.

    ``BadInput`` if it is none. ``name`` is what the person who sent the file calls it.
    """
    _check_directory(stream, name, caps)
    try:
        file = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
        msg = f"{name} is a damaged zip archive: its list of members can't be read. {AGAIN}"
        raise BadInput(msg, detail=str(error)) from error
    with file:
        if len(file.filelist) > caps.members:
            number = len(file.filelist)
            raise BadInput(
                f"{name} is refused: it has {number:,} members, and files of its kind have dozens."
            )
        yield Archive(file, name, caps)


def _check_directory(stream: BinaryIO, name: str, caps: Caps) -> None:
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
    if directory > caps.directory:
        raise BadInput(
            f"{name} is refused: its list of members alone takes {directory // MEBIBYTE} MiB. {AGAIN}"
        )
