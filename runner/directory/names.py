"""Distinguished names and filters: escaping, and comparing what servers spell differently.

Sources: RFC 4514 (names), RFC 4515 (filters). Samba writes "=" in a value as \\3D, Windows
as \\=, others not escaped at all: names are equal if they are after reading, not before.
"""

import re
from functools import lru_cache

from runner.errors import BadInput

_HEX = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_PLAIN = re.compile(
    r"(?:[^\s\\\",+;#<>=]+=[^\s\\\",+;#<>=](?:[^\\\",+;#<>=]*[^\s\\\",+;#<>=])?(?:,(?!$)|$))+"
)
_SPECIAL = re.compile(r'([\\,+"<>;=#])')
_IN_FILTER = {"\\": r"\5c", "*": r"\2a", "(": r"\28", ")": r"\29", "\0": r"\00"}
_INTRICATE = re.compile(r"""[\\";]| ,|, |^ | $""")  # what a comma alone doesn't cut rightly
_SPACES = re.compile(r"  |[^\S ]")  # what a directory takes for one space
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def escape_value(value: str) -> str:
    """``value`` as it stands in a DN; ``BadInput`` for control characters, which no name should have."""
    if _CONTROL.search(value):
        msg = f"{value!r} has a control character, and can't be a name in a directory."
        raise BadInput(msg)
    escaped = _SPECIAL.sub(r"\\\1", value)
    if escaped.startswith(" "):
        escaped = "\\" + escaped
    if len(value) > 1 and value.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return escaped


def escape_filter(value: str | bytes) -> str:
    """``value`` as it stands in a filter; of bytes each is escaped."""
    if isinstance(value, bytes):
        return "".join(f"\\{byte:02x}" for byte in value)
    return "".join(_IN_FILTER.get(character, character) for character in value)


def split(dn: str) -> list[str]:
    """The parts of a DN, the entry's own first, as they are spelled."""
    parts = _cut(dn, ",;")
    return [] if parts == [""] else parts


def parent(dn: str) -> str:
    """The DN of what an entry hangs below."""
    if not _INTRICATE.search(dn):
        return dn.partition(",")[2]
    return ",".join(split(dn)[1:])


def rdn(dn: str) -> str:
    """The first part of a DN."""
    return split(dn)[0]


def value(part: str) -> str:
    """The value of one part of a DN, unescaped: "CN=Doe\\\\, Jane" gives "Doe, Jane"."""
    return _unescape(part.partition("=")[2])


@lru_cache(maxsize=65536)
@lru_cache(maxsize=1024)  # entries share what they hang below
def normal(dn: str) -> str:
    """A spelling that is the same for all spellings of a DN."""
    return ",".join("+".join(sorted(_ava(ava) for ava in _cut(part, "+"))) for part in split(dn))


def key(dn: str) -> str:
    """The same as ``normal``, quicker where there is nothing to normalise but the case."""
    return dn.casefold() if _PLAIN.fullmatch(dn) and not _SPACES.search(dn) else normal(dn)


def same(one: str, other: str) -> bool:
    """Whether two DNs name the same entry."""
    return one == other or normal(one) == normal(other)


def is_below(dn: str, base: str) -> bool:
    """Whether an entry is ``base`` or somewhere below it."""
    inner, outer = normal(dn), normal(base)
    return not outer or inner == outer or inner.endswith("," + outer)


def base_of(bind_dn: str) -> str:
    """The root of the tree that an account stands in: its DC parts, else its last part.

    "" for what isn't a DN, as "jane@example.com": that tells the domain as well, and is used.
    """
    if "=" not in bind_dn:
        domain = bind_dn.rpartition("@")[2] if "@" in bind_dn else ""
        return ",".join(f"DC={escape_value(label)}" for label in domain.split(".") if label)
    parts = split(bind_dn)
    domain_parts = [part for part in parts if part.partition("=")[0].strip().lower() == "dc"]
    return ",".join(domain_parts or parts[-1:])


def _cut(text: str, separators: str) -> list[str]:
    """``text`` between its separators, those that are escaped or quoted aside."""
    parts, current, quoted, escaped = [], "", False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character in separators and not quoted:
            parts.append(_stripped(current))
            current = ""
            continue
        current += character
    parts.append(_stripped(current))
    return parts


def _stripped(part: str) -> str:
    """Without the blanks around; a last one that is escaped stays."""
    shorter = part.strip(" ")
    if shorter.endswith("\\") and not shorter.endswith("\\\\") and part.rstrip(" ") != part:
        shorter += " "
    return shorter


def _ava(ava: str) -> str:
    name, _, text = ava.partition("=")
    value_text = _unescape(text.strip(" ") if not text.endswith("\\ ") else text.lstrip(" "))
    # Blanks only: what else looks like one, as a no-break space, is a letter like any other.
    folded = " ".join(filter(None, value_text.casefold().split(" ")))
    return f"{name.strip().lower()}={_SPECIAL.sub(lambda m: chr(92) + m[1], folded)}"


def _unescape(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if "\\" not in text:
        return text
    raw = _HEX.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], text.encode())
    return raw.decode("utf-8", "replace")
