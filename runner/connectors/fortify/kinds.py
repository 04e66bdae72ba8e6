"""What kind of file this is, told by its content: names and extensions lie."""

from enum import StrEnum
from typing import BinaryIO

from runner.connectors.fortify.params import ReportType
from runner.errors import BadInput
from runner.reading.xml import Document, open_xml


class Kind(StrEnum):
    """The files of Fortify's tools."""

    REPORT = "a report (ReportDefinition)"
    FPR = "an FPR archive"
    FVDL = "a bare FVDL file"
    AUDIT = "an audit.xml taken out of an FPR archive"
    WEBINSPECT = "a WebInspect export"


_BY_ROOT = {
    "ReportDefinition": Kind.REPORT,
    "FVDL": Kind.FVDL,
    "Audit": Kind.AUDIT,
    "Scan": Kind.WEBINSPECT,
    "Sessions": Kind.WEBINSPECT,
}
_BY_START = {
    b"%PDF": "a PDF",
    b"{\\rtf": "an RTF document",
    b"\x1f\x8b": "a gzip archive",
    b"\xd0\xcf\x11\xe0": "an old Office document",
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ACCEPTED = {ReportType.XML: Kind.REPORT, ReportType.FPR: Kind.FPR, ReportType.FVDL: Kind.FVDL}

EXPORT = "Export the report as XML in Audit Workbench, or with `ReportGenerator -format xml`, and send that."


def open_report(stream: BinaryIO, *, name: str, wanted: ReportType) -> Document:
    """The report in ``stream``, a seekable file; ``BadInput`` that names whatever else it is."""
    kind, document = _recognise(stream, name)
    expected = _ACCEPTED.get(wanted, kind)
    if kind is not expected:
        raise BadInput(f"{name} is {kind}, but report_type of the connection asks for {expected}.")
    if document is None or kind is not Kind.REPORT:
        raise BadInput(f"{name} is {kind}. This version reads report XML only. {EXPORT}")
    return document


def _recognise(stream: BinaryIO, name: str) -> tuple[Kind, Document | None]:
    start = stream.read(8)
    stream.seek(0)
    if start.startswith(_ZIP):
        return Kind.FPR, None
    for mark, what in _BY_START.items():
        if start.startswith(mark):
            raise BadInput(f"{name} is {what}, which holds no findings a program can read. {EXPORT}")
    document = open_xml(stream, name=name)
    kind = _BY_ROOT.get(document.root.name)
    if kind is None:
        raise BadInput(
            f"{name} is no file of Fortify: its XML begins with <{document.root.name[:80]}>, "
            f"where a report begins with <ReportDefinition>. {EXPORT}"
        )
    return kind, document
