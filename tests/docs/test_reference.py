"""The reference has all that the code has."""

import shutil
from pathlib import Path

import pytest

from docs.from_code import FOLDER, pages, stale, write
from runner.errors import MEANINGS, Reason


def test_the_reference_is_what_the_code_says() -> None:
    """Each setting, parameter, address and reason stands on its page, and no other."""
    assert stale() == [], "write the pages anew: .venv/bin/python -m docs.from_code"


@pytest.mark.parametrize(
    ("page", "beginning"),
    [
        ("configuration.md", "- `max_destructive` ("),
        ("configuration.md", "## [[connection]]"),
        ("parameters.md", "- `bind_password` ("),
        ("parameters.md", "## whitehat_file_upload"),
        ("addresses.md", "## `POST /api/v2/jobs/claim/`"),
        ("addresses.md", "- `jobInfo`"),
        ("reasons.md", "- `ceiling`:"),
    ],
)
def test_what_is_missing_shows(tmp_path: Path, page: str, beginning: str) -> None:
    """A page that lacks one of them isn't what the code says, and which one is named."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / page).read_text(encoding="utf-8").splitlines()
    [missing] = [line for line in lines if line.startswith(beginning)]
    (tmp_path / page).write_text("\n".join(line for line in lines if line != missing), encoding="utf-8")
    assert stale(tmp_path) == [f"{page} lacks: {missing}"]


def test_what_was_removed_shows(tmp_path: Path) -> None:
    """A page that tells of something that the code hasn't any more is found; written anew it is right."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "configuration.md").open("a", encoding="utf-8") as page:
        page.write("- `max_patience` (whole number, `3`): how often to ask.\n")
    (found,) = stale(tmp_path)
    assert found.startswith("configuration.md still has: - `max_patience`")
    write(tmp_path)
    assert stale(tmp_path) == []


def test_everything_is_explained() -> None:
    """No setting and no parameter is without a meaning, and each reason has one."""
    bare = [line for lines in pages().values() for line in lines() if line.endswith("): .")]
    assert bare == []
    assert set(MEANINGS) == set(Reason)
