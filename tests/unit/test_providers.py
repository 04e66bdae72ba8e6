"""What [provider.NAME] and [datasync] come to in a run's params."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from runner.engine.providers import Naming
from runner.model.jobs import Connection, Frequency, Kind
from runner.settings import Settings
from runner.store.database import open_database
from runner.store.vault import Vault


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Give a folder with a workbook, beside which lies another one, and a password."""
    folder = tmp_path / "books"
    folder.mkdir()
    for path in (folder / "people.xlsx", tmp_path / "secret.xlsx"):
        path.touch()
    (tmp_path / "password").write_text("opensesame\n")
    return folder


def params(books: Path, *, workbook: str = "people.xlsx", **datasync: Any) -> dict[str, Any]:
    """The params of a run from a workbook to a directory."""
    settings = Settings.model_validate(
        {
            "state_dir": str(books.parent / "state"),
            "datasync": {"folders": [str(books)], **datasync},
            "provider": {
                "Excel": {"workbook": workbook},
                "AD": {
                    "servers": "dc1.example.com, dc2.example.com:636",
                    "security": "starttls",
                    "bind_dn": "cn=writer",
                    "password": f"file:{books.parent / 'password'}",
                    "ca_bundle": "/etc/ca.pem",
                    "verify": False,
                    "container": "ou=people",
                },
            },
        }
    )
    document = {"jobInfo": {"sourceProvider": "Excel", "destinationProvider": "AD"}}
    connection = Connection(
        id=1,
        kind=Kind.DATASYNC,
        system="datasync",
        alias="People",
        command="",
        frequency=Frequency.MANUALLY,
        project_id=None,
        params=document,
    )
    database = open_database(f"sqlite:///{books.parent / 'runner.db'}")
    with contextlib.closing(database):
        naming = Naming(settings=settings, database=database, vault=Vault(books.parent / "key"))
        return naming.completed(connection).params


def test_a_provider_is_what_its_job_is_given(books: Path) -> None:
    """Each setting of a workbook and of a directory arrives, the password as it stands in its file."""
    found = params(books)
    assert found["source"] == {"name": "Excel", "path": str(books / "people.xlsx")}
    assert found["destination"] == {
        "name": "AD",
        "servers": "dc1.example.com, dc2.example.com:636",
        "security": "starttls",
        "bind_dn": "cn=writer",
        "ca_bundle": "/etc/ca.pem",
        "verify": False,
        "container": "ou=people",
    }
    assert found["destination_password"] == "opensesame"


def test_made_passwords_have_their_folder(books: Path) -> None:
    """They are announced in the folder that is set, else beside the store."""
    assert params(books)["password_folder"] == str(books.parent / "state" / "passwords")
    assert params(books, password_folder="/srv/passwords")["password_folder"] == "/srv/passwords"


@pytest.mark.parametrize(
    ("workbook", "folders", "says"),
    [
        ("../secret.xlsx", None, "lies outside of [datasync] folders"),
        ("nobody.xlsx", None, "There is no workbook 'nobody.xlsx'"),
        ("people.xlsx", [], "names no folder"),
    ],
)
def test_no_workbook_is_read_elsewhere(
    books: Path, workbook: str, folders: list[str] | None, says: str
) -> None:
    """Only what lies below one of the folders is read; what doesn't is said to the job."""
    more = {} if folders is None else {"folders": folders}
    source = params(books, workbook=workbook, **more)["source"]
    assert source["path"] == ""
    assert says in source["trouble"]
