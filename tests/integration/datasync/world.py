"""A workbook, a directory and a job between them, for tests that drive the connector itself."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.connectors.datasync.connector import Datasync
from runner.connectors.datasync.params import DatasyncParams
from runner.directory.access import Access, Security, Server
from runner.directory.opening import opened
from runner.directory.port import Entry
from runner.errors import AccessDenied
from runner.model.changes import (
    Change,
    ChangeOutcome,
    ChangeState,
    StoredChange,
    values_to_json,
)
from runner.model.network import Network
from tests.servers import samba
from tests.servers.samba import SambaServer
from tests.unit.recording import RecordingContext
from tests.workbooks import write_xlsx

CONTAINER = f"OU=API,{samba.BASE}"
STATIC = "webdir123R"
JOIN = "Join:field=First;separator=_api_;field=Last"


def field(destination: str, source: str = "", transform: str = "", **more: Any) -> dict[str, Any]:
    """A field of the document; for creation only unless said otherwise."""
    return {
        "destinationField": destination,
        "sourceField": source,
        "transform": transform,
        "forCreateOnly": True,
        "objectType": 1,
        "isKey": False,
        "options": None,
        **more,
    }


def seed_fields(*, password: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The fields of the documented example."""
    options = {"passwordLength": 7, "includeUppercaseAlphabets": True, "passwordType": 0}
    return [
        field("cn", transform=JOIN),
        field("givenName", "First"),
        field("sAMAccountName", transform=JOIN, isKey=True),
        field("sn", "Last"),
        field("password", transform="Static:value=SET", options=json.dumps(password or options)),
    ]


def document(
    fields: Sequence[Mapping[str, Any]] | None = None,
    *,
    container: str = CONTAINER,
    on_failure: str = "Abort",
    **option: Any,
) -> dict[str, Any]:
    """A job's document, as it is stored."""
    return {
        "jobInfo": {
            "name": "People",
            "sourceProvider": "ExcelOne",
            "destinationProvider": "ADEnt",
            "onFailure": on_failure,
        },
        "fieldsMap": [dict(each) for each in (fields if fields is not None else seed_fields())],
        "objectsOption": [
            {
                "objectType": 1,
                "displayName": "User",
                "isCreate": True,
                "isDelete": False,
                "isSelected": True,
                "containerOption": "1",
                "containerOptionValue": container,
                "createObjectContainerStrategy": 1,
                **option,
            }
        ],
        "syncQuery": [
            {"query": "SELECT * FROM [TTSheet1$]", "queryType": "SQL", "isSource": True, "updateAll": True},
            {"query": 'objectClass is exactly "user"', "queryType": "GroupID", "isSource": False},
        ],
        "settings": [
            {"key": "Destination.Container", "value": container},
            {"key": "Destination.ShouldIncludeSubTree", "value": "True"},
        ],
        "static_passwords": {"1:password": STATIC},
    }


class World:
    """One job with its two sides."""

    def __init__(self, folder: Path, access: Access, doc: dict[str, Any]) -> None:
        self.folder = folder
        self.access = access
        self.document = doc
        self.book = folder / "people.xlsx"
        self.memory: dict[str, Any] = {}
        self.said = ""
        self.connector = Datasync()
        self.sequence = 0

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Replace the sheet."""
        write_xlsx(self.book, rows, sheet="TTSheet1")
        os.utime(self.book, (1_700_000_000, 1_700_000_000))  # long ago: nobody is writing it

    def params(self) -> DatasyncParams:
        """The parameters as a worker gets them."""
        server = self.access.servers[0]
        return DatasyncParams.model_validate(
            {
                **self.document,
                "source": {"name": "ExcelOne", "path": str(self.book)},
                "destination": {
                    "name": "ADEnt",
                    "servers": str(server),
                    "security": self.access.security.value,
                    "bind_dn": self.access.bind_dn,
                    "ca_bundle": self.access.ca_bundle,
                },
                "destination_password": self.access.password,
                "password_folder": str(self.folder / "passwords"),
            }
        )

    def context(self, **more: Any) -> RecordingContext:
        """A run's context."""
        return RecordingContext(tasks=[], params=self.params(), memory=self.memory, **more)

    def plan(self, **more: Any) -> list[Change]:
        """Plan, and keep what was said."""
        ctx = self.context(**more)
        planned = list(self.connector.plan(ctx))
        self.said, self._remembered = ctx.message, ctx.remembered
        return planned

    def make(self, planned: Sequence[Change]) -> list[ChangeOutcome]:
        """Write a plan as main does: through JSON, what destroys last."""
        ctx = self.context()
        ctx.network = replace(ctx.network, reads_only=False)
        ordered = sorted(planned, key=lambda change: change.proof is not None)
        stored = [self._stored(change) for change in ordered]
        size = self.connector.batch_size
        return [
            outcome
            for at in range(0, len(stored), size)
            for outcome in self.connector.apply(ctx, stored[at : at + size])
        ]

    def _stored(self, change: Change) -> StoredChange:
        self.sequence += 1
        before, after = (values_to_json(values) for values in (change.before, change.after))
        return StoredChange(
            sequence=self.sequence,
            target=change.target,
            op=change.op,
            kind=change.kind,
            key=change.key,
            subject=change.subject,
            before=None if before is None else json.loads(before),
            after=None if after is None else json.loads(after),
            state=ChangeState.INTENDED,
        )

    def run(self) -> list[Change]:
        """Plan and make; every change has to succeed."""
        planned = self.plan()
        outcomes = self.make(planned)
        assert [outcome for outcome in outcomes if outcome.state is not ChangeState.DONE] == []
        self.memory = {**self.memory, **self._remembered}
        return planned

    def entries(self, *attributes: str) -> dict[str, Entry]:
        """What is in the container, by cn."""
        names = ["cn", "userAccountControl", *attributes]
        with opened(self.access) as directory:
            found = directory.search(CONTAINER, "(|(objectClass=person)(objectClass=group))", names)
            return {entry.text("cn"): entry for entry in found}

    def can_log_in(self, dn: str, password: str) -> bool:
        """Whether a bind succeeds."""
        try:
            with opened(replace(self.access, bind_dn=dn, password=password)):
                return True
        except AccessDenied:
            return False


@contextmanager
def samba_world(server: SambaServer, folder: Path, doc: dict[str, Any] | None = None) -> Iterator[World]:
    """A fresh domain with the job's container."""
    server.reset()
    access = samba_access(server)
    with opened(access) as directory:
        directory.add(CONTAINER, {"objectClass": ["top", "organizationalUnit"]})
    yield World(folder, access, doc or document())


def samba_access(server: SambaServer) -> Access:
    """How the domain is reached."""
    return Access(
        servers=[Server(host=server.address, port=samba.TLS_PORT)],
        security=Security.LDAPS,
        bind_dn=samba.ADMIN,
        password=samba.ADMIN_PASSWORD,
        ca_bundle=server.certificates.ca.read_text(),
        network=Network(),
    )
