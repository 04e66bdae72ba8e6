"""Secrets at rest: sealed with a key that the database doesn't hold."""

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.errors import SealedShut
from runner.store import connections
from runner.store.schema import connections as table
from runner.store.vault import Vault, is_sealed
from tests.contract.desk import Desk

PARAMS = {
    "server": "rally.example.com",
    "password": "hunter2-hunter2",
    "headers": {"X-Key": "abc"},
    "none": "",
}


def secret(name: str) -> bool:
    """Which of the params are secret."""
    return name in {"password", "headers", "none"}


def test_what_is_sealed_can_be_opened_and_not_read(tmp_path: Path) -> None:
    """Secret values come back as they were, whatever their type; the others aren't touched."""
    vault = Vault(tmp_path / "secrets.key")
    sealed = vault.seal(PARAMS, secret)
    assert sealed["server"] == "rally.example.com"
    assert is_sealed(sealed["password"])
    assert is_sealed(sealed["headers"])
    assert sealed["none"] == ""
    assert "hunter2" not in str(sealed)
    assert vault.seal(sealed, secret) == sealed
    assert Vault(tmp_path / "secrets.key").open(sealed) == PARAMS


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The file is made with the first secret, readable by nobody else."""
    path = tmp_path / "secrets.key"
    vault = Vault(path)
    vault.open(PARAMS)
    assert not path.exists()
    vault.seal(PARAMS, secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", ["nothing", "another", "rubbish"])
def test_without_its_key_a_secret_stays_shut(tmp_path: Path, left: str) -> None:
    """A lost, changed or broken key file is named in a sentence, and nothing is made up."""
    path = tmp_path / "secrets.key"
    sealed = Vault(path).seal(PARAMS, secret)
    path.unlink()
    if left == "another":
        Vault(path).seal(PARAMS, secret)
    elif left == "rubbish":
        path.write_text("not a key\n")
    with pytest.raises(SealedShut, match=r"secrets\.key"):
        Vault(path).open(sealed)


def test_a_new_key_seals_all_that_is_stored(desk: Desk, tmp_path: Path) -> None:
    """After a change of keys the old one opens nothing, and cut off between, both open all."""
    path = tmp_path / "secrets.key"
    vault = Vault(path)
    ident = desk.connection(params=vault.seal(PARAMS, secret))
    desk.connection("without", params={"server": "x"})
    old = path.read_text()

    def stored() -> dict[str, object]:
        entry = desk.ask(connections.get, ident)
        assert entry is not None
        return entry.connection.params

    vault.add_key()
    assert Vault(path).open(stored()) == PARAMS
    assert desk.do(vault.rekey) == 1
    assert Vault(path).open(stored()) == PARAMS
    vault.drop_old_keys()
    assert path.read_text() != old
    assert Vault(path).open(stored()) == PARAMS
    lost = tmp_path / "old.key"
    lost.write_text(old)
    with pytest.raises(SealedShut):
        Vault(lost).open(stored())
    assert "hunter2" not in str(desk.ask(lambda c: c.execute(sa.select(table.c.params)).all()))
