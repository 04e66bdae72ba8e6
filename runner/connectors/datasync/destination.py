"""The destination's query, as ``objectClass is exactly "user" and department starts with "R&D"``.

It is parsed and written anew as an LDAP filter; nothing of its text is pasted into one.
"""

import re
from collections.abc import Callable

from runner.directory import names
from runner.errors import ConfigRejected

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))
      |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      |(?P<word>[^\s()"']+))""",
    re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PLAIN = re.compile(r"[A-Za-z0-9@._-]+")  # nothing in it has to be escaped
_LONGEST = 4_000  # characters
_DEEPEST = 20  # brackets within brackets

_Make = Callable[[str, str], str]
_OPERATORS: dict[tuple[str, ...], _Make] = {
    ("is", "exactly"): lambda a, v: f"({a}={v})",
    ("is", "not"): lambda a, v: f"(!({a}={v}))",
    ("is",): lambda a, v: f"({a}={v})",
    ("equals",): lambda a, v: f"({a}={v})",
    ("not", "equals"): lambda a, v: f"(!({a}={v}))",
    ("starts", "with"): lambda a, v: f"({a}={v}*)",
    ("does", "not", "start", "with"): lambda a, v: f"(!({a}={v}*))",
    ("ends", "with"): lambda a, v: f"({a}=*{v})",
    ("does", "not", "end", "with"): lambda a, v: f"(!({a}=*{v}))",
    ("contains",): lambda a, v: f"({a}=*{v}*)",
    ("does", "not", "contain"): lambda a, v: f"(!({a}=*{v}*))",
    ("greater", "or", "equal"): lambda a, v: f"({a}>={v})",
    ("less", "or", "equal"): lambda a, v: f"({a}<={v})",
}
_WITHOUT_VALUE: dict[tuple[str, ...], str] = {
    ("present",): "({}=*)",
    ("is", "present"): "({}=*)",
    ("not", "present"): "(!({}=*))",
    ("is", "not", "present"): "(!({}=*))",
}
_LONGEST_OPERATOR = 4  # words


def to_filter(query: str, *, active_directory: bool) -> str:
    """The LDAP filter for a query; ``ConfigRejected`` says where it can't be understood.

    An empty query fits everything. ``objectClass is exactly "user"`` means people: in Active
    Directory computers are of that class as well, and elsewhere people are of another.
    """
    if len(query) > _LONGEST:
        msg = f"The destination's query is longer than {_LONGEST} characters."
        raise ConfigRejected(msg)
    if not query.strip():
        return "(objectClass=*)"
    return _Parser(query, active_directory=active_directory).whole()


class _Parser:
    def __init__(self, query: str, *, active_directory: bool) -> None:
        self._query = query
        self._ad = active_directory
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        end, rest = 0, query.rstrip()
        while end < len(rest):
            found = _TOKEN.match(rest, end)
            if found is None:
                raise self._wrong(f"at {rest[end : end + 20]!r}")
            self._tokens.append((str(found.lastgroup), found[found.lastgroup or 0]))
            end = found.end()

    def whole(self) -> str:
        made = self._either(_DEEPEST)
        if self._at < len(self._tokens):
            raise self._wrong(f"at {self._tokens[self._at][1]!r}")
        return made

    def _either(self, depth: int) -> str:
        return self._list("or", "|", lambda: self._all(depth))

    def _all(self, depth: int) -> str:
        return self._list("and", "&", lambda: self._one(depth))

    def _list(self, word: str, sign: str, read: Callable[[], str]) -> str:
        found = [read()]
        while self._peek() == ("word", word):
            self._at += 1
            found.append(read())
        return found[0] if len(found) == 1 else f"({sign}{''.join(found)})"

    def _one(self, depth: int) -> str:
        if self._peek()[0] == "open":
            if depth == 0:
                raise self._wrong("it has too many brackets")
            self._at += 1
            made = self._either(depth - 1)
            if self._peek()[0] != "close":
                raise self._wrong("a bracket isn't closed")
            self._at += 1
            return made
        if self._peek() == ("word", "not"):
            self._at += 1
            return f"(!{self._one(depth)})"
        return self._condition()

    def _condition(self) -> str:
        kind, attribute = self._take("an attribute is missing")
        if kind != "word" or not _ATTRIBUTE.fullmatch(attribute):
            raise self._wrong(f"{attribute!r} is no attribute")
        for length in range(_LONGEST_OPERATOR, 0, -1):
            words = tuple(
                text.lower() for kind, text in self._tokens[self._at : self._at + length] if kind == "word"
            )
            if len(words) < length:
                continue
            if words in _WITHOUT_VALUE:
                self._at += length
                return _WITHOUT_VALUE[words].format(attribute)
            if words in _OPERATORS and self._is_value(self._at + length):
                self._at += length
                return self._compare(attribute, words)
        near = " ".join(text for _, text in self._tokens[self._at : self._at + 3])
        raise self._wrong(f"there is no operator after {attribute} in {near!r}")

    def _is_value(self, at: int) -> bool:
        return at < len(self._tokens) and self._tokens[at][0] in {"text", "word"}

    def _compare(self, attribute: str, words: tuple[str, ...]) -> str:
        kind, text = self._take("a value is missing")
        value = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if kind == "text" else text
        if attribute.lower() == "objectclass" and value.lower() == "user" and words[0] in {"is", "equals"}:
            people = "(&(objectCategory=person)(objectClass=user))" if self._ad else "(objectClass=person)"
            return f"(!{people})" if words == ("is", "not") else people
        return _OPERATORS[words](attribute, exactly(value))

    def _peek(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            return "", ""
        kind, text = self._tokens[self._at]
        return kind, text.lower() if kind == "word" else text

    def _take(self, missing: str) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._wrong(missing)
        self._at += 1
        return self._tokens[self._at - 1]

    def _wrong(self, why: str) -> ConfigRejected:
        msg = f"The destination's query {self._query[:80]!r} can't be understood: {why}."
        return ConfigRejected(msg)


def exactly(value: str) -> str:
    """A value as it stands in a filter, blanks at its ends included: ldap3 would strip them."""
    if _PLAIN.fullmatch(value):
        return value  # each row and each object of the directory comes by here
    bare = value.strip()
    if not bare:
        return names.escape_filter(value.encode())
    before, _, after = value.partition(bare)
    return "".join(
        (names.escape_filter(before.encode()), names.escape_filter(bare), names.escape_filter(after.encode()))
    )
