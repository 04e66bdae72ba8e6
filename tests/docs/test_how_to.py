"""The configurations on the how-to pages are good ones."""

import re
from pathlib import Path

import pytest

from tests.servers.machine import ROOT, Machine

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
SECRETS, WORKBOOKS = "/etc/integration-runner/secrets", "/srv/workbooks"


_BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def configurations() -> list[tuple[str, str]]:
    """Each configuration with the name of its page, and the connectors' samples."""
    found = [(page.stem, block) for page in PAGES for block in _BLOCK.findall(page.read_text("utf-8"))]
    samples = sorted((ROOT / "runner" / "connectors").glob("*/sample.toml"))
    return found + [(f"sample of {file.parent.name}", file.read_text("utf-8")) for file in samples]


@pytest.mark.parametrize(("page", "text"), configurations())
def test_a_configuration_passes_the_check(tmp_path: Path, page: str, text: str) -> None:
    """What a page says to write is taken: connectors, parameters, and secrets that are to be had."""
    for name in re.findall(rf"file:{SECRETS}/(\w+)|credential:(\w+)", text):
        (tmp_path / "".join(name)).write_text("hunter2")
    (tmp_path / "workbooks").mkdir()
    for name in re.findall(r'^workbook = "(.+)"', text, re.MULTILINE):
        (tmp_path / "workbooks" / name).touch()
    file, places = tmp_path / "runner.toml", {SECRETS: tmp_path, WORKBOOKS: tmp_path / "workbooks"}
    for place, stand_in in places.items():
        text = text.replace(place, str(stand_in))
    file.write_text(text, encoding="utf-8")
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path), "RALLY_API_KEY": "hunter2"}
    done = Machine(tmp_path / "state", given).type("check", "--offline", "--config", file)
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"


def test_each_connector_has_its_page() -> None:
    """Every system that the runner brings is spoken of on a how-to page, by its name."""
    from runner.worker import plugins

    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in plugins.find([]) if not re.search(rf"\b{name}\b", told)} == set()
