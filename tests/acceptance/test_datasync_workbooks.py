"""Workbooks that would hurt: what a user is told, and that nothing else comes of it."""

import os
from pathlib import Path

import pytest

from tests.integration.datasync.slapd_place import Place, job
from tests.servers.slapd import SlapdServer
from tests.workbooks import write_by_hand, write_xlsx

pytestmark = pytest.mark.xdist_group("slapd")

CELL = '<c t="inlineStr"><is><t>x</t></is></c>'
SPARSE = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def _sparse(path: Path) -> None:
    write_by_hand(path, SPARSE)


def _bomb(path: Path) -> None:
    write_by_hand(path, f"<row>{CELL}</row>" * 200_000)


def _entities(path: Path) -> None:
    write_by_hand(path, f"<row>{CELL}</row>", prolog=ENTITIES)


def _cut(path: Path) -> None:
    write_xlsx(path, [["Id", "Name"], ["ada", "Ada"]])
    path.write_bytes(path.read_bytes()[:2000])


def _page(path: Path) -> None:
    path.write_text("<html><table><tr><td>Id</td></tr></table></html>")


def _header(path: Path) -> None:
    write_xlsx(path, [["Id", "Nmae"], ["ada", "Ada"]], sheet="TTSheet1")


TROUBLES = {
    _sparse: "reaches to XFD1048576",
    _bomb: "as only an attack does",
    _entities: "declares entities",
    _cut: "is cut off",
    _page: "web page",
    _header: "no column 'Name'",
}
"""Ways to make a workbook, and what its message says."""


def test_no_workbook_hurts_the_daemon(slapd_server: SlapdServer, tmp_path: Path) -> None:
    """Each bad workbook fails its job with a sentence that a person can act on, and the next job runs."""
    place = Place(tmp_path, slapd_server)
    book = place.books / "staff.xlsx"
    with place.machine.daemon(*place.flags):
        client = place.client()
        number = client.call("POST", "/", job("People", "Staff"))["data"]
        for make, sentence in TROUBLES.items():
            make(book)
            os.utime(book, (1_700_000_000, 1_700_000_000))
            run = client.run(number)
            assert run["outCome"] == "Failed"
            assert sentence in run["message"]
            assert "Traceback" not in run["message"]
            assert run["changes"] == []
        assert place.people() == set()
        place.write("staff", "ada")
        assert client.run(number)["outCome"] == "Succeeded"
        assert place.people() == {"ada"}
