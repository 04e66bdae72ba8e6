"""JSON text that every database stores: PostgreSQL has no room for a NUL."""

import re

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # an escape whose backslash isn't itself escaped
_ESCAPE = "\\u0000"
_INSTEAD = r"\1\\ufffd"


def storable(text: str) -> str:
    """JSON ``text`` with the sign for what can't be shown in the place of each NUL in its strings."""
    return _NUL.sub(_INSTEAD, text) if _ESCAPE in text else text
