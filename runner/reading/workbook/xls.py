"""Looking through an .xls before calamine reads it: extent, errors, formulas without a value.

The file is a small file system (MS-CFB) with a stream of records (MS-XLS). Only the records
of cells are looked at.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from runner.errors import BadInput
from runner.reading.workbook.flaws import Flaw, Scan
from runner.reading.workbook.limits import Limits, check_extent

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_END = 0xFFFFFFFA  # sector numbers from here on mean something else
_LARGEST = 256 * 2**20  # bytes of file; an .xls of 65,536 rows has a few dozen MiB
_BOUND_SHEET, _EOF, _FORMULA, _BOOL_ERROR, _PASSWORD = 0x85, 0x0A, 0x06, 0x205, 0x2F
_MERGED, _MULTIPLE_NUMBERS = 0xE5, 0xBD
_CELLS = {_FORMULA, _BOOL_ERROR, 0x203, 0x204, 0x27E, 0xFD, _MULTIPLE_NUMBERS}
_ENTRY = 128  # bytes of a directory entry


def scan(path: Path, limits: Limits) -> dict[str, Scan]:
    """What stands in each sheet's cells, by the sheet's name. Raises ``BadInput``."""
    if path.stat().st_size > _LARGEST:
        msg = "The .xls is larger than any that a spreadsheet writes. It wasn't opened."
        raise BadInput(msg)
    try:
        stream = _workbook(path.read_bytes())
        found: dict[str, Scan] = {}
        for name, offset in _sheets(stream):
            found[name] = _scan(stream, offset)
            check_extent(name, rows=found[name].rows, columns=found[name].columns, limits=limits)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        msg = "The workbook is damaged, or was cut off on its way. Send it again."
        raise BadInput(msg, detail=str(error)) from error
    return found


def _workbook(data: bytes) -> bytes:
    """The stream with the workbook's records."""
    size = 1 << struct.unpack_from("<H", data, 30)[0]
    if size not in {512, 4096}:
        msg = "bad sector size"
        raise IndexError(msg)
    per_sector = size // 4

    def sector(number: int) -> bytes:
        found = data[(number + 1) * size : (number + 2) * size]
        if not found:
            msg = f"sector {number} is missing"
            raise IndexError(msg)
        return found.ljust(size, b"\0")

    tables = [number for number in struct.unpack_from("<109I", data, 76) if number < _END]
    following = struct.unpack_from("<I", data, 68)[0]
    while following < _END and len(tables) <= len(data) // size:
        part = struct.unpack(f"<{per_sector}I", sector(following))
        tables += [number for number in part[:-1] if number < _END]
        following = part[-1]
    table = [number for each in tables for number in struct.unpack(f"<{per_sector}I", sector(each))]

    def chain(number: int) -> bytes:
        found = bytearray()
        while number < _END:
            found += sector(number)
            if len(found) > len(data) + size:
                msg = "a chain of sectors has no end"
                raise IndexError(msg)
            number = table[number]
        return bytes(found)

    found = _stream(chain(struct.unpack_from("<I", data, 48)[0]))
    return chain(found[0])[: found[1] or None]


def _stream(directory: bytes) -> tuple[int, int]:
    """First sector and size of the workbook's stream."""
    entries: dict[str, tuple[int, int]] = {}
    for at in range(0, len(directory) - _ENTRY + 1, _ENTRY):
        length = struct.unpack_from("<H", directory, at + 64)[0]
        name = directory[at : at + max(length - 2, 0)].decode("utf-16-le")
        entries[name] = struct.unpack_from("<IQ", directory, at + 116)
    if "EncryptedPackage" in entries:
        msg = "The workbook is protected by a password. Save it without one."
        raise BadInput(msg)
    found = entries.get("Workbook")
    if found is None:
        msg = (
            "The .xls is of Excel 95 or older. Open it in a spreadsheet and save it as .xlsx."
            if "Book" in entries
            else "The file is an Office document, but no workbook. Send the workbook itself."
        )
        raise BadInput(msg)
    return found


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length]
        if kind == _EOF:
            return
        at += 4 + length


def _sheets(stream: bytes) -> Iterator[tuple[str, int]]:
    for kind, body in _records(stream, 0):
        if kind == _PASSWORD:
            msg = "The workbook is protected by a password. Save it without one."
            raise BadInput(msg)
        if kind == _BOUND_SHEET and body[5] == 0:  # a worksheet, not a chart or a macro sheet
            text = body[8:]
            wide = body[7] & 1
            yield (
                text[: body[6] * 2].decode("utf-16-le") if wide else text[: body[6]].decode("latin-1"),
                struct.unpack_from("<I", body)[0],
            )


def _scan(stream: bytes, offset: int) -> Scan:
    found = Scan()
    for kind, body in _records(stream, offset):
        if kind in _CELLS:
            row, column = struct.unpack_from("<HH", body)
            last = struct.unpack_from("<H", body, len(body) - 2)[0] if kind == _MULTIPLE_NUMBERS else column
            found.reach(row, last)
            flaw = _flaw(kind, body)
            if flaw is not None:
                found.flaws[row, column] = flaw
        elif kind == _MERGED:
            for number in range(struct.unpack_from("<H", body)[0]):
                top, bottom, left, right = struct.unpack_from("<4H", body, 2 + 8 * number)
                found.merge((top, left), (bottom, right))
    return found


def _flaw(kind: int, body: bytes) -> Flaw | None:
    if kind == _BOOL_ERROR:
        return Flaw.ERROR if body[7] else None
    if kind == _FORMULA and body[12:14] == b"\xff\xff":
        return {2: Flaw.ERROR, 3: Flaw.MAYBE_NO_VALUE}.get(body[6])
    return None
