"""Names of uploaded files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.server.form import base_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.xml", "report.xml"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\scans\\a b.fpr", "a b.fpr"),
        ("../..", "report"),
        (".", "report"),
        ("", "report"),
        ("a/", "report"),
        ("n\x00u\nl\x1b[1m.xml", "nul[1m.xml"),
        ("Prüfung - 報告.xml", "Prüfung - 報告.xml"),
    ],
)
def test_a_path_is_reduced_to_its_last_part(sent: str, kept: str) -> None:
    """What is kept of a sender's name has no path and nothing that can't be shown."""
    assert base_name(sent) == kept


@given(st.text())
def test_any_name_is_harmless(sent: str) -> None:
    """Whatever is sent: one visible, short, non-empty part."""
    kept = base_name(sent)
    assert kept.isprintable()
    assert 0 < len(kept) <= 200
    assert "/" not in kept
    assert kept not in {".", ".."}
