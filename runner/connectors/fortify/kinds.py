"""What kind of file this is, told by its content: names and extensions lie."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import BinaryIO, Protocol

from runner.connectors.fortify import fvdl, report
from runner.connectors.fortify.external import Cwes
from runner.connectors.fortify.fpr import Fpr
from runner.connectors.fortify.fvdl import Fvdl
from runner.connectors.fortify.params import ReportType
from runner.connectors.fortify.report import Report
from runner.connectors.fortify.webinspect import WebInspect
from runner.errors import BadInput
from runner.findings.finding import Finding
from runner.findings.scan import Scan
from runner.reading.skipping import Insides, Texts
from runner.reading.xml import Document, open_xml
from runner.reading.zip import open_archive


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
_SKIPPERS: Mapping[Kind, Callable[[], Insides | Texts]] = {
    Kind.FVDL: fvdl.skipper,
    Kind.REPORT: report.skipper,
}
_ACCEPTED = {ReportType.XML: Kind.REPORT, ReportType.FPR: Kind.FPR, ReportType.FVDL: Kind.FVDL}

EXPORT = (
    "Send the FPR itself, or a report exported as XML in Audit Workbench or with "
    "`ReportGenerator -format xml`."
)


def accepted(wanted: ReportType) -> Collection[Kind]:
    """The kinds of file that the setting ``report_type`` takes."""
    return [_ACCEPTED[wanted]] if wanted in _ACCEPTED else list(_ACCEPTED.values())


class Reader(Protocol):
    """What reads one sort of file, once: ``findings`` first, then the rest."""

    @property
    def sentences(self) -> Sequence[str]:
        """What is to be said of the file."""

    @property
    def replaced(self) -> int:
        """Characters that XML doesn't allow and that were replaced."""

    @property
    def cwes(self) -> Cwes:
        """CWEs by category, with what the file taught."""

    def findings(self) -> Iterator[Finding]:
        """All findings but those left out."""

    def scan(self) -> Scan:
        """What is known of the scan."""


@contextmanager
def open_file(
    stream: BinaryIO,
    *,
    name: str,
    wanted: Collection[Kind],
    blacklist: Collection[str] = (),
    cwes: Cwes,
    skip: bool,
) -> Iterator[Reader]:
    """Give the reader for ``stream``, a seekable file; ``BadInput`` that names what else it is.

    With ``skip``, what nobody asks for is left out unparsed, see ``runner.reading.skipping``.
    """
    kind, document = _recognise(stream, name, skip=skip)
    if kind not in wanted:
        raise BadInput(_elsewhere(name, kind, wanted))
    match kind:
        case Kind.FPR:
            with open_archive(stream, name=name) as archive:
                yield Fpr(archive, blacklist=blacklist, cwes=cwes, skip=skip)
        case Kind.FVDL if document is not None:
            yield Fvdl(document, cwes=cwes)
        case Kind.WEBINSPECT if document is not None:
            yield WebInspect(document, cwes=cwes)
        case _:
            assert document is not None  # it is XML
            yield Report(document, blacklist=blacklist, cwes=cwes)


def _elsewhere(name: str, kind: Kind, wanted: Collection[Kind]) -> str:
    """Where a file belongs that is none of the wanted ones."""
    match kind:
        case Kind.AUDIT:
            return f"{name} is {kind}, which has decisions and no findings. Send the whole archive (.fpr)."
        case Kind.WEBINSPECT if Kind.REPORT in wanted or Kind.FPR in wanted:
            return f"{name} is {kind}. Send it to the system webinspect_file_upload."
        case _ if Kind.WEBINSPECT in wanted:
            return f"{name} is {kind}. Send it to the system fortify_file_upload."
    return f"{name} is {kind}, but report_type of the connection asks for {' or '.join(wanted)}."


def _recognise(stream: BinaryIO, name: str, *, skip: bool) -> tuple[Kind, Document | None]:
    start = stream.read(8)
    stream.seek(0)
    if start.startswith(_ZIP):
        return Kind.FPR, None
    for mark, what in _BY_START.items():
        if start.startswith(mark):
            raise BadInput(f"{name} is {what}, which holds no findings a program can read. {EXPORT}")
    document = open_xml(stream, name=name)
    kind = _BY_ROOT.get(document.root.name)
    if skip and kind is not None and kind in _SKIPPERS:
        document.skipper = _SKIPPERS[kind]()
    if kind is None:
        raise BadInput(
            f"{name} is no file of Fortify: its XML begins with <{document.root.name[:80]}>, where a report "
            f"begins with <ReportDefinition> and a scan with <FVDL>. {EXPORT}"
        )
    return kind, document
