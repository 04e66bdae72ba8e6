"""FPR: an archive with a scan, what people decided about it, and thousands of members beside."""

from collections.abc import Collection, Iterator

from runner.connectors.fortify.audit import Audit, read_audit
from runner.connectors.fortify.external import Cwes, read_external
from runner.connectors.fortify.fvdl import Fvdl, skipper
from runner.connectors.fortify.report import shown
from runner.connectors.fortify.webinspect import WebInspect
from runner.errors import BadInput
from runner.findings.finding import Finding, plain
from runner.findings.scan import Scan
from runner.reading.xml import open_xml
from runner.reading.zip import AGAIN, Archive


class Fpr:
    """One archive, read once: ``findings`` first, then what ``scan`` says of them."""

    def __init__(self, archive: Archive, *, blacklist: Collection[str], cwes: Cwes, skip: bool) -> None:
        self._archive = archive
        self._blacklist = frozenset(plain(value) for value in blacklist)
        self._shown = shown(blacklist)
        self._known = cwes
        self._skip = skip
        self._fvdl: Fvdl | None = None
        self._dynamic: WebInspect | None = None
        self.replaced = 0  # characters that XML doesn't allow
        self.sentences: list[str] = []

    def findings(self) -> Iterator[Finding]:
        """All findings but those that people decided against."""
        member = self._scan_member()
        audit = self._audit(member)
        with self._archive.open(member) as stream:
            document = open_xml(stream, name=stream.name, skipper=skipper() if self._skip else None)
            self._fvdl = Fvdl(
                document,
                audit=audit,
                cwes=self._known,
                more_cwes=self._external,
                left_out_as=f"suppressed or {self._shown}" if self._shown else "suppressed",
            )
            yield from self._fvdl.findings()
            self.replaced += document.replaced
        self.sentences += self._fvdl.sentences
        yield from self._dynamic_findings()

    def scan(self) -> Scan:
        """What is known of the scan, once all findings were taken."""
        assert self._fvdl is not None  # findings were taken
        return self._fvdl.scan()

    @property
    def cwes(self) -> Cwes:
        """CWEs by category, as far as they are known now."""
        return self._known if self._fvdl is None else self._fvdl.cwes

    def _scan_member(self) -> str:
        found = self._archive.named("audit.fvdl")
        if not found:
            raise BadInput(
                f"{self._archive.name} is a zip archive without an audit.fvdl in it, so it is no FPR, or one "
                f"without a scan. {AGAIN}"
            )
        if len(found) > 1:
            raise BadInput(
                f"{self._archive.name} holds {len(found)} scans ({', '.join(found[:3])}), and which one "
                "counts can't be told. Merge them (`FPRUtility -merge`), or send them one by one."
            )
        return found[0]

    def _audit(self, member: str) -> Audit:
        """Decisions of people, from beside the scan or from the one place where there are any."""
        found = self._archive.named("audit.xml")
        folder = _folder(member)
        beside = [name for name in found if _folder(name) == folder] or found
        if not beside:
            self.sentences.append(
                f"{self._archive.name} has no audit.xml: what people decided about its findings isn't known."
            )
            return Audit()
        with self._archive.open(beside[0]) as stream:
            document = open_xml(stream, name=stream.name)
            audit = read_audit(document, blacklist=self._blacklist)
            self.replaced += document.replaced
        return audit

    def _external(self) -> Cwes:
        found = self._archive.named("externalmetadata.xml")
        if not found:
            return {}
        with self._archive.open(found[0]) as stream:
            return read_external(open_xml(stream, name=stream.name))

    def _dynamic_findings(self) -> Iterator[Finding]:
        """What WebInspect found, where its results were merged into the archive."""
        for member in self._archive.named("webinspect.xml")[:1]:
            with self._archive.open(member) as stream:
                document = open_xml(stream, name=stream.name)
                dynamic = WebInspect(document, cwes=self.cwes)
                yield from dynamic.findings()
                self.replaced += document.replaced


def _folder(member: str) -> str:
    return member.replace("\\", "/").rpartition("/")[0]
