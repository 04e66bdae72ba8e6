"""Files that can't be used: each is told with its member, its line and what to do, and plans nothing."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.connectors.fortify.connector import FortifyFileUpload
from runner.connectors.fortify.params import FortifyParams
from runner.errors import BadInput
from tests.files.fortify import Issue, Packing, fvdl, write_fpr
from tests.unit.recording import RecordingContext, sample_tasks

MEGABYTE = 1024 * 1024
SCAN = fvdl([Issue(), Issue(instance="2" * 32)])
AGAIN = "Export the file again and send the new one."


def said_of(path: Path, **params: str) -> str:
    """The sentence for a file, which nothing may be planned or remembered for."""
    ctx = RecordingContext(tasks=sample_tasks(), params=FortifyParams(**params), file=path)  # type: ignore[arg-type]  # as text
    with pytest.raises(BadInput) as raised:
        list(FortifyFileUpload().plan(ctx))
    assert ctx.remembered == {}
    assert ctx.rows == []
    assert str(path.parent) not in raised.value.message
    return raised.value.message


Archive = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Give a function that writes an archive of these members."""

    def write(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / "scan.fpr"
        with zipfile.ZipFile(path, "w", method) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path

    return write


# --- the archive ---------------------------------------------------------------------------


def test_cut_archive(archive: Archive) -> None:
    """An archive without its end is said to be cut."""
    path = archive({"audit.fvdl": SCAN})
    path.write_bytes(path.read_bytes()[:-30])
    assert said_of(path).startswith(
        "scan.fpr is cut off: it begins as a zip archive, but the list of members"
    )


def test_damaged_directory(archive: Archive) -> None:
    """An archive whose list of members is nonsense is said to be damaged."""
    path = archive({"audit.fvdl": SCAN})
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    path.write_bytes(content[:at] + b"XXXX" + content[at + 4 :])
    assert "scan.fpr is a damaged zip archive" in said_of(path)


def test_damaged_member(archive: Archive) -> None:
    """A member that doesn't unpack, or to something else than it should, is named."""
    path = archive({"audit.fvdl": SCAN})
    content = bytearray(path.read_bytes())
    content[200:210] = b"\xff" * 10
    path.write_bytes(content)
    assert said_of(path).startswith("audit.fvdl in scan.fpr can't be read past its byte ")
    stored = archive({"audit.fvdl": SCAN}, method=zipfile.ZIP_STORED)
    stored.write_bytes(stored.read_bytes().replace(b"doGet", b"doSet", 1))
    assert "its checksum is wrong" in said_of(stored)


def test_encrypted_member(archive: Archive) -> None:
    """An encrypted member is named, and that it has to come without a password."""
    path = archive({"audit.fvdl": SCAN})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    assert said_of(path) == "audit.fvdl in scan.fpr is encrypted. Send the archive without a password."


def test_unknown_compression(archive: Archive) -> None:
    """A member packed in a way nobody knows is named."""
    path = archive({"audit.fvdl": SCAN})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + offset] = 99
    path.write_bytes(content)
    assert "audit.fvdl in scan.fpr is packed in a way that isn't known here" in said_of(path)


@pytest.mark.parametrize("member", ["audit.fvdl", "audit.xml"])
def test_bomb(archive: Archive, member: str) -> None:
    """A member that unpacks to hundreds of times its size is stopped by counting, whatever it says."""
    root = b"FVDL" if member == "audit.fvdl" else b"Audit"
    bomb = b"<" + root + b">" + (b"<a>" + b" " * 60_000 + b"</a>") * 2000 + b"</" + root + b">"
    members = {"audit.fvdl": SCAN, "audit.xml": b"<Audit/>", member: bomb}
    path = archive(members)
    assert path.stat().st_size < MEGABYTE
    said = said_of(path)
    assert said.startswith(f"{member} in scan.fpr is refused: ")
    assert "as only an attack does" in said


def test_directory_bomb(tmp_path: Path) -> None:
    """An archive whose list of members alone would fill the memory is refused before it is read."""
    path = tmp_path / "scan.fpr"
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 60000, 60000, 100 * MEGABYTE, 0, 0)
    path.write_bytes(b"PK\x03\x04" + b"\0" * 100 + end)
    assert said_of(path).startswith("scan.fpr is refused: its list of members alone takes 100 MiB.")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"readme.txt": b"x"}, "scan.fpr is a zip archive without an audit.fvdl in it, so it is no FPR"),
        (
            {"a/audit.fvdl": SCAN, "b/audit.fvdl": SCAN},
            "scan.fpr holds 2 scans (a/audit.fvdl, b/audit.fvdl), and which one counts can't be told. Merge",
        ),
        ({"audit.fvdl": b""}, "audit.fvdl in scan.fpr is empty"),
        (
            {"audit.fvdl": b"<Audit/>"},
            "audit.fvdl in scan.fpr is no scan of Fortify: its XML begins with <Audit>",
        ),
        ({"audit.fvdl": SCAN[:-60]}, "audit.fvdl in scan.fpr is cut off: it ends at line "),
        (
            {"audit.fvdl": SCAN.replace(b"</Trace>", b"</Tracy>", 1)},
            "audit.fvdl in scan.fpr is not well-formed XML at line 7, column ",
        ),
        (
            {"audit.fvdl": SCAN, "audit.xml": b"<Audit>\n<IssueList>\n<Issue></Audit>"},
            "audit.xml in scan.fpr is not well-formed XML at line 3, column ",
        ),
        (
            {"audit.fvdl": b'<!DOCTYPE a [<!ENTITY b "c">]>' + SCAN[39:]},
            "audit.fvdl in scan.fpr is refused: it declares a document type at line 1",
        ),
        (
            {"audit.fvdl": SCAN, "audit.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><Audit>&b;</Audit>'},
            "audit.xml in scan.fpr is refused: it declares a document type at line 1",
        ),
    ],
)
def test_archive_with_the_wrong_inside(archive: Archive, members: dict[str, bytes], said: str) -> None:
    """What is wrong inside is told with its member, and where."""
    assert said in said_of(archive(members))


def test_lines_count_what_was_left_out(tmp_path: Path) -> None:
    """A mistake after what is left out unparsed is told with its true line."""
    path = tmp_path / "scan.fvdl"
    text = (
        SCAN.decode()
        .replace("<Sources>\n", "<Sources>\n" * 1 + "\n" * 40)
        .replace("</EngineData>", "</Engine>")
    )
    path.write_text(text)
    line = text[: text.index("</Engine>")].count("\n") + 1
    assert f"scan.fvdl is not well-formed XML at line {line}, column " in said_of(path)


def test_asked_for_another_kind(tmp_path: Path) -> None:
    """A connection that wants archives takes nothing else, whatever the file is called."""
    path = tmp_path / "scan.fpr"
    path.write_bytes(SCAN)
    assert said_of(path, report_type="fpr") == (
        "scan.fpr is a bare FVDL file, but report_type of the connection asks for an FPR archive."
    )


def test_audit_alone(archive: Archive, tmp_path: Path) -> None:
    """An audit.xml taken out of its archive is refused with what is wanted instead."""
    path = tmp_path / "audit.xml"
    path.write_bytes(b"<ns2:Audit/>")
    assert "has decisions and no findings. Send the whole archive (.fpr)." in said_of(path)


# --- any damage at all ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_is_a_sentence(tmp_path: Path, seed: int) -> None:
    """An archive with any byte flipped or any end cut is imported or refused with a sentence, never more."""
    whole = write_fpr(
        tmp_path / "whole", lambda: [Issue(), Issue(instance="2")], packing=Packing()
    ).read_bytes()
    place = zlib.crc32(bytes([seed])) % len(whole)
    damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :] if seed % 2 else whole[:place]
    path = tmp_path / "scan.fpr"
    path.write_bytes(damaged)
    ctx = RecordingContext(tasks=sample_tasks(), params=FortifyParams(), file=path)
    changes, said = [], ""
    try:
        changes = list(FortifyFileUpload().plan(ctx))
    except BadInput as error:
        said = error.message
    assert bool(changes) != said.endswith(".")
    assert changes or not ctx.remembered
