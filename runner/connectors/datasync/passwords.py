"""Passwords of new accounts: made by the rules of the job and of the domain, and announced.

A made password is written to a file that only the runner's user can read before the account
gets it: so none is lost, whatever dies in between.
"""

import csv
import os
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel, ConfigDict, Field

from runner.errors import ConfigRejected

_SYMBOLS = "!#$%&*+-.:=?@_"
_LEAST_CLASSES = 3  # of four, where the domain wants complexity
_SHORTEST, _LONGEST = 6, 99


class PasswordOptions(BaseModel):
    """A password field's options, as the document has them."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    length: int = Field(12, alias="passwordLength", ge=1, le=_LONGEST)
    upper: bool = Field(True, alias="includeUppercaseAlphabets")
    lower: bool = Field(True, alias="includeLowercaseAlphabets")
    digits: bool = Field(True, alias="includeDigits")
    special: bool = Field(False, alias="includeSpecialSymbols")
    symbols: str = Field(_SYMBOLS, alias="specialSymbols")
    no_symbol_twice: bool = Field(False, alias="excludeSimilarSymbols")
    password_type: int = Field(0, alias="passwordType")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the domain asks of passwords."""

    length: int = 0
    complexity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How accounts come to their passwords."""

    options: PasswordOptions
    static: str | None  # the same for all; None = one is made for each

    def __repr__(self) -> str:
        return f"Making(static={'set' if self.static else None})"

    def check(self, policy: Policy) -> None:
        """Refuse, before the first row, what the domain would refuse for each."""
        if self.static is not None:
            if len(self.static) < policy.length:
                msg = f"The job's static password is shorter than the domain's {policy.length} characters."
                raise ConfigRejected(msg)
            if policy.complexity and _classes(self.static) < _LEAST_CLASSES:
                raise ConfigRejected(
                    "The job's static password is too simple for the domain: it wants three of upper case, "
                    "lower case, digits and symbols."
                )
        elif len(self._alphabets()) < (_LEAST_CLASSES if policy.complexity else 1):
            raise ConfigRejected(
                "The password's options leave too few kinds of characters for the domain: it wants three of "
                "upper case, lower case, digits and symbols."
            )

    def _alphabets(self) -> list[str]:
        options = self.options
        symbols = "".join(dict.fromkeys(c for c in options.symbols if c in string.punctuation))
        return [
            alphabet
            for wanted, alphabet in (
                (options.upper, string.ascii_uppercase),
                (options.lower, string.ascii_lowercase),
                (options.digits, string.digits),
                (options.special, symbols),
            )
            if wanted and alphabet
        ]

    def make(self, policy: Policy) -> str:
        """A password for one account. It begins with a letter or digit, which no program takes for more."""
        if self.static is not None:
            return self.static
        alphabets = self._alphabets() or [string.ascii_letters + string.digits]
        length = max(self.options.length, policy.length, _SHORTEST, len(alphabets))
        chance = secrets.SystemRandom()
        while True:
            letters = [secrets.choice(alphabet) for alphabet in alphabets]
            letters += [secrets.choice("".join(alphabets)) for _ in range(length - len(letters))]
            chance.shuffle(letters)
            made = "".join(letters)
            symbols = [letter for letter in letters if not letter.isalnum()]
            twice = self.options.no_symbol_twice and len(set(symbols)) < len(symbols)
            if not twice and (made[0].isalnum() or not any(letter.isalnum() for letter in letters)):
                return made


def _classes(password: str) -> int:
    kinds = (str.isupper, str.islower, str.isdigit, lambda c: not c.isalnum())
    return sum(any(kind(letter) for letter in password) for kind in kinds)


class Announcements:
    """The file of one job with the passwords that were made."""

    def __init__(self, folder: str, job_id: int) -> None:
        self.path = Path(folder) / f"job-{job_id}.csv"
        self._file = -1

    def __enter__(self) -> "Announcements":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)

    def write(self, account: str, dn: str, password: str) -> None:
        """Add a line and return when it is on the disk. An account's last line counts."""
        if self._file < 0:
            self._open()
        text = _Text()
        csv.writer(text).writerow([_harmless(account), _harmless(dn), password])
        os.write(self._file, text.content.encode())
        os.fsync(self._file)

    def _open(self) -> None:
        if self.path.parent == Path():
            raise ConfigRejected("There is no folder for made passwords: set [datasync] password_folder.")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        if new:
            os.write(self._file, b"account,dn,password\r\n")
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class _Text:
    """What the csv module writes to."""

    content = ""

    def write(self, text: str) -> None:
        self.content += text


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
