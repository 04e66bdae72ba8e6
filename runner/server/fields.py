"""Fields of a body and parameters of a query, read strictly and refused by name.

The sentences are those of Django REST framework: clients of the original know them.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from starlette.requests import Request

from runner.server.replies import Invalid

E = TypeVar("E", bound=StrEnum)

REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."
BOOLEAN = "Must be a valid boolean."
INTEGER = "A valid integer is required."
STRING = "Not a valid string."
NULS = "Null characters are not allowed."

_LARGEST = 2**63 - 1
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def no_such(value: Any) -> str:
    """The sentence for an id that nothing has."""
    return f'Invalid pk "{value}" - object does not exist.'


class Fields:
    """Reads the fields of an object one by one, and refuses all that are wrong together."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._wrong: dict[str, list[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def wrong(self, name: str, text: str) -> None:
        """Say what is wrong with a field."""
        self._wrong.setdefault(name, []).append(text)

    def done(self) -> None:
        """Refuse the request if anything was wrong."""
        if self._wrong:
            raise Invalid(self._wrong)

    def _get(self, name: str, *, required: bool, null: bool = False) -> Any:
        if name not in self._values:
            if required:
                self.wrong(name, REQUIRED)
            return None
        value = self._values[name]
        if value is None and not null:
            self.wrong(name, NOT_NULL)
        return value

    def boolean(self, name: str, *, required: bool = False, null: bool = False) -> bool | None:
        """true or false; also as "true", "false", 1 and 0."""
        value = self._get(name, required=required, null=null)
        if value is None or isinstance(value, bool):
            return value
        found = _BOOLEANS.get(str(value).lower()) if isinstance(value, str | int) else None
        if found is None:
            self.wrong(name, BOOLEAN)
        return found

    def integer(
        self,
        name: str,
        *,
        required: bool = False,
        null: bool = False,
        least: int = 0,
        most: int = _LARGEST,
    ) -> int | None:
        """A whole number, also as text."""
        value = self._get(name, required=required, null=null)
        if value is None:
            return None
        found = whole(value)
        if found is None:
            self.wrong(name, INTEGER)
        elif found < least:
            self.wrong(name, f"Ensure this value is greater than or equal to {least}.")
        elif found > most:
            self.wrong(name, f"Ensure this value is less than or equal to {most}.")
        else:
            return found
        return None

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        blank: bool = True,
        null: bool = False,
        longest: int = 65_536,
    ) -> str | None:
        """Text of at most ``longest`` characters."""
        value = self._get(name, required=required, null=null)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.wrong(name, STRING)
            return None
        found = str(value)
        if not blank and not found.strip():
            self.wrong(name, "This field may not be blank.")
        if len(found) > longest:
            self.wrong(name, f"Ensure this field has no more than {longest} characters.")
        if "\x00" in found:
            self.wrong(name, NULS)
        return found

    def choice(self, name: str, choices: type[E], *, required: bool = False) -> E | None:
        """One of the members of a closed set."""
        value = self._get(name, required=required)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            self.wrong(name, f'"{value}" is not a valid choice.')
            return None

    def mapping(self, name: str, *, required: bool = False) -> dict[str, Any] | None:
        """A JSON object."""
        value = self._get(name, required=required)
        if value is not None and not isinstance(value, dict):
            self.wrong(name, f'Expected a dictionary of items but got type "{type(value).__name__}".')
            return None
        return value

    def texts(self, name: str, *, required: bool = False, of: Collection[str] = ()) -> list[str] | None:
        """A list of texts, each of which is in ``of`` where that is given."""
        value = self._get(name, required=required)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            self.wrong(name, "Expected a list of strings.")
            return None
        for part in value:
            if of and part not in of:
                self.wrong(name, f'"{part}" is not a valid choice.')
        return value

    def integers(self, name: str) -> list[int] | None:
        """A list of whole numbers."""
        value = self._get(name, required=False)
        if value is None:
            return None
        found = [whole(part) for part in value] if isinstance(value, list) else [None]
        numbers = [number for number in found if number is not None]
        if len(numbers) < len(found):
            self.wrong(name, "Expected a list of integers.")
            return None
        return numbers

    def instant(self, name: str) -> datetime | None:
        """A date and time with its offset, ISO 8601; without one it is UTC."""
        value = self._get(name, required=False, null=True)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            self.wrong(name, "Datetime has wrong format. Use ISO 8601, as 2030-01-31T12:00:00Z.")
            return None


def whole(value: Any) -> int | None:
    """A whole number that a database takes, from JSON or text; None if it isn't one."""
    if isinstance(value, str):
        digits = value.strip().removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):  # noqa: PLR2004 - 2**63 has 19 digits
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def integer(value: Any, name: str) -> int:
    """A whole number that stands alone, as in a nested object; ``Invalid`` if it isn't one, or is text."""
    found = None if isinstance(value, str) else whole(value)
    if found is None:
        raise Invalid({name: [INTEGER]})
    return found


class Query(Fields):
    """Reads the parameters of a query; an empty one is as good as none."""

    def __init__(self, request: Request) -> None:
        super().__init__({name: value for name, value in request.query_params.items() if value != ""})

    def words(self, name: str) -> frozenset[str]:
        """A comma-separated list, as ``include=a,b``."""
        return frozenset(word.strip() for word in (self.text(name) or "").split(","))
