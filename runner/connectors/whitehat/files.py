"""A saved answer of WhiteHat's API: JSON of v1 or v2, or XML of v1; told by its content."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from runner.connectors.whitehat.findings import Translation, from_xml
from runner.errors import BadInput
from runner.findings.finding import Finding
from runner.reading.blocks import BOM
from runner.reading.records import Records
from runner.reading.xml import open_xml

_SAVE = "Save the answer of /api/vuln, as JSON or XML, and send that."
_NARROWING = ("query_severity", "query_class", "query_risk", "query_opened", "query_closed", "query_found")
_START = 64  # bytes

Progress = Callable[[int], None]


class File:
    """One file, read once: ``findings`` first, then what is known of the whole."""

    def __init__(self, stream: BinaryIO, *, name: str, translation: Translation, progress: Progress) -> None:
        self._stream = stream
        self._name = name
        self._translation = translation
        self._progress = progress
        self._narrowed = ""
        self.total: int | None = None
        self.replaced = 0  # characters that XML doesn't allow

    def findings(self) -> Iterator[Finding]:
        """The findings that count."""
        for record in self._records():
            finding = self._translation.finding(record)
            if finding is not None:
                yield finding

    def _records(self) -> Iterator[Any]:
        start = self._stream.read(_START).removeprefix(BOM).lstrip()
        self._stream.seek(0)
        if start[:1] in (b"{", b"["):
            return self._json()
        if start[:1] == b"<" or not start:
            return self._xml()
        raise BadInput(f"{self._name} is neither JSON nor XML, so it is no answer of WhiteHat. {_SAVE}")

    def _json(self) -> Iterator[Any]:
        records = Records(self._stream, name=self._name, key="collection")
        for record in records:
            self._progress(records.bytes_read)
            yield record
        if not records.found:
            raise BadInput(f"{self._name} has no list of findings (collection). {_SAVE}")
        page = records.rest.get("page")
        if isinstance(page, Mapping):
            self.total = next(
                (int(page[n]) for n in ("total", "filteredCount", "totalCount") if _is_number(page.get(n))),
                None,
            )

    def _xml(self) -> Iterator[Any]:
        document = open_xml(self._stream, name=self._name)
        if document.root.name != "vulnerabilities":
            raise BadInput(
                f"{self._name} is no list of findings: its XML begins with <{document.root.name[:80]}>, "
                f"where WhiteHat's begins with <vulnerabilities>. {_SAVE}"
            )
        self._note_total(document.root.attributes)
        # The query is repeated there; it may hold a key, so no more than the filters' names is taken.
        asked = dict(parse_qsl(document.root.attributes.get("original_query", "").lstrip("?")))
        self._narrowed = next((name for name in _NARROWING if name in asked), "")
        for element in document.elements("{*}vulnerability", "{*}page"):
            if str(element.tag).endswith("page"):
                self._note_total({str(k): str(v) for k, v in element.attrib.items()})
                continue
            self._progress(document.bytes_read)
            yield from_xml(element)
        self.replaced = document.replaced

    def _note_total(self, attributes: Mapping[str, str]) -> None:
        if _is_number(attributes.get("total")):
            self.total = int(attributes["total"])

    @property
    def shortfall(self) -> str:
        """Why the file may not hold all findings, as a sentence; "" = it does."""
        listed = self._translation.listed
        if self._translation.shortfall:
            return self._translation.shortfall
        if self._narrowed:
            return f"It was asked for with {self._narrowed}, so it is a part of the findings."
        if self.total is None:
            return (
                f"It lists {listed} findings and doesn't say how many there are in all, so it may not be "
                "whole."
            )
        if listed < self.total:
            return (
                f"It lists {listed} of {self.total} findings. Save all pages as one list, or more on a page."
            )
        return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | str) and str(value).isdigit()
