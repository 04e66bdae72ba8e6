"""Secrets: where they come from, and the one mechanism that keeps them out of what leaves the process."""

import base64
import html
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from runner.errors import SettingsInvalid

MASK = "********"
"""What stands where a secret was."""

SHORTEST = 6
"""Shorter values are not searched for: they would redact ordinary words."""

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_TOKEN_HEADER = re.compile(
    r"(?i)((?:authorization|zsessionid|x-apikey|api[-_]?key)\"?\s*[:=]\s*\"?)[^\s\",]+(?: [^\s\",]+)?"
)


def has_credentials(value: object) -> bool:
    """Whether a value is an address with a user and password in it."""
    return isinstance(value, str) and _CREDENTIALS_IN_URL.search(value) is not None


def _forms(value: str) -> set[str]:
    """All spellings in which ``value``, or one line of it, may turn up in a text."""
    lines = [line for line in value.splitlines() if len(line) >= SHORTEST]
    return {form for text in {value, *lines} for form in _spellings(text)}


def _spellings(text: str) -> set[str]:
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        html.escape(text),
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
        *_in_base64(text.encode()),
    }


def _in_base64(raw: bytes) -> set[str]:
    """What of ``raw`` shows in the base64 of any text that it is a part of.

    Base64 goes by three bytes, so it has three ways to stand; at its edges it shares a
    character with its neighbours, and that one is left out.
    """
    found = set()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + raw).decode().rstrip("=")
            first = (8 * before + 5) // 6  # characters that the bytes before have a part in
            last = len(text) - bool((before + len(raw)) % 3)
            if last - first >= SHORTEST:
                found.add(text[first:last])
    return found


class Redactor:
    """Replaces every known secret in a text, in all its spellings. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Add secrets to what is replaced."""
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        with self._lock:
            if forms <= self._known:
                return
            self._known |= forms
            # The longest first, so that a secret that contains another goes whole.
            ordered = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def knows(self, text: str) -> bool:
        """Whether a known secret stands in ``text``."""
        pattern = self._pattern
        return pattern is not None and pattern.search(text) is not None

    def replace_known(self, text: str) -> str:
        """Return ``text`` with every known secret replaced by the mask, and nothing else touched."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)

    def clean(self, text: str) -> str:
        """Return ``text`` without known secrets, and without what looks like a credential."""
        text = self.replace_known(text)
        if "://" in text:
            text = _CREDENTIALS_IN_URL.sub(MASK, text)
        if ":" in text or "=" in text:
            text = _TOKEN_HEADER.sub(rf"\g<1>{MASK}", text)
        return text


_REFERENCE = re.compile(r"(file|env|credential):(.+)", re.DOTALL)


def is_reference(text: str) -> bool:
    """Whether a text names the place of a secret: ``file:/path``, ``env:NAME`` or ``credential:NAME``."""
    return _REFERENCE.fullmatch(text) is not None


def dereference(text: str, environ: Mapping[str, str]) -> str:
    """The secret that a reference names; any other text is the secret itself.

    A file's last line break is not part of it. ``ValueError`` says in a sentence why it can't be had.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return text
    place, name = found[1], found[2]
    if place == "env":
        if name not in environ:
            msg = f"{text} names an environment variable that isn't set"
            raise ValueError(msg)
        return environ[name]
    if place == "credential":
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder or "/" in name:
            msg = f"{text} can't be had: systemd gave no such credential (LoadCredential= in the unit)"
            raise ValueError(msg)
        name = f"{folder}/{name}"
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        msg = f"{text} can't be read: {error.strerror}"
        raise ValueError(msg) from None
    except UnicodeDecodeError:
        msg = f"{text} is not text in UTF-8"
        raise ValueError(msg) from None


def read_reference(text: str) -> str:
    """What a setting names for a secret, read anew each time; ``SettingsInvalid`` if it can't be had."""
    try:
        return dereference(text, os.environ)
    except ValueError as error:
        msg = f"A secret can't be read: {error}."
        raise SettingsInvalid(msg) from None
