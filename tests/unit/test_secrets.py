"""Redaction in all spellings, and where secrets come from."""

import base64
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.secrets import MASK, Redactor, dereference, is_reference

SECRET = 'Sommer/2024 "geheim"+ähm<&>\nsecond-line=of it'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": json.dumps,
    "in JSON with all letters": lambda text: json.dumps(text, ensure_ascii=False),
    "in Python": repr,
    "in a page": html.escape,
    "in a path": quote,
    "in an address": lambda text: quote(text, safe=""),
    "in a form": quote_plus,
    "in a query": lambda text: urlencode({"password": text, "more": "x"}),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("text", [SECRET, *SECRET.splitlines()], ids=["whole", "first line", "second line"])
def test_every_spelling_is_masked(spelled: Callable[[str], str], text: str) -> None:
    """A secret, or a line of it, is masked however it was written, and the rest stays."""
    redactor = Redactor()
    redactor.learn([SECRET])
    clean = redactor.clean(f"before {spelled(text)} after")
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert MASK in clean
    assert not any(part in clean for part in ("Sommer", "geheim", "ähm", "second", "line", "of it"))


@given(
    before=st.binary(max_size=5),
    secret=st.text(min_size=12, max_size=40, alphabet=st.characters(min_codepoint=33, max_codepoint=500)),
    after=st.binary(max_size=5),
)
def test_base64_of_anything_around_it_is_masked(before: bytes, secret: str, after: bytes) -> None:
    """In base64, as of user:password, no run of eight of the secret's bytes can be read any more."""
    redactor = Redactor()
    redactor.learn([secret])
    raw = secret.encode()
    for encode, decode in (
        (base64.b64encode, base64.b64decode),
        (base64.urlsafe_b64encode, base64.urlsafe_b64decode),
    ):
        clean = redactor.clean(encode(before + raw + after).decode())
        assert MASK in clean
        for part in clean.split(MASK):
            whole = part[: len(part) // 4 * 4]
            for shift in range(4):
                piece = whole[shift:]
                readable = decode(piece[: len(piece) // 4 * 4])
                assert not any(raw[at : at + 8] in readable for at in range(len(raw) - 7))


def test_short_values_are_left_alone() -> None:
    """A password of five letters would mask ordinary words everywhere."""
    redactor = Redactor()
    redactor.learn(["table", ""])
    assert redactor.clean("the table of tables") == "the table of tables"


def test_a_secret_in_another_goes_whole() -> None:
    """Of two secrets, one of which contains the other, nothing of the longer one stays."""
    redactor = Redactor()
    redactor.learn(["secret", "secret-and-more"])
    assert redactor.clean("secret-and-more") == MASK


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@example.com/x",
        "Authorization: Bearer abc.def",
        '{"x-apikey": "0123"}',
        "ZSESSIONID=_abc",
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str) -> None:
    """Credentials in URLs and headers go without being known."""
    clean = Redactor().clean(text)
    assert MASK in clean
    assert not any(part in clean for part in ("hunter2", "abc", "0123"))


def test_references_are_read(tmp_path: Path) -> None:
    """A file's last line break is not part of the secret; the environment and systemd's folder work too."""
    (tmp_path / "key").write_text("two\nlines\n")
    (tmp_path / "dos").write_bytes(b"one\r\n")
    environ = {"KEY": "of the environment\n", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert dereference(f"file:{tmp_path}/key", environ) == "two\nlines"
    assert dereference(f"file:{tmp_path}/dos", environ) == "one"
    assert dereference("credential:key", environ) == "two\nlines"
    assert dereference("env:KEY", environ) == "of the environment\n"
    assert dereference("filed: here", environ) == "filed: here"
    assert not is_reference("https://x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file:/nowhere/key", "file:/nowhere/key can't be read: No such file or directory"),
        ("file:/", "Is a directory"),
        ("env:NOWHERE", "names an environment variable that isn't set"),
        ("credential:key", "systemd gave no such credential"),
        ("credential:../key", "systemd gave no such credential"),
    ],
)
def test_what_can_not_be_had_is_told(text: str, says: str) -> None:
    """A sentence names the reference and why."""
    with pytest.raises(ValueError, match=re.escape(says)):
        dereference(text, {"CREDENTIALS_DIRECTORY": "/nowhere"} if "/" in text else {})


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    """A file of bytes is no secret that could be sent."""
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not text in UTF-8"):
        dereference(f"file:{tmp_path}/key", {})
