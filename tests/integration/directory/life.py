"""The life of a club: what happens to people in a directory, and what their accounts are afterwards."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from tests.integration.directory.clubs import Club

D, O = frozenset({"Developers"}), frozenset({"Operators"})  # noqa: E741 - they stand in a table
NOBODY: frozenset[str] = frozenset()

MAPPINGS = {"devs": "Developers", "ops": "Operators"}


@dataclass(frozen=True, slots=True)
class Account:
    """An account on some platform."""

    number: int
    active: bool
    groups: Set[str]  # their names


class Books(Protocol):
    """A platform whose accounts follow a directory, however that is asked for."""

    def sync(self) -> str:
        """Let a run go by, which has to go well; its message."""

    def accounts(self) -> Mapping[str, Account]:
        """All accounts that came from the directory, by address."""


Roll: TypeAlias = Mapping[str, tuple[bool, Set[str]]]
"""Whether an account is active and its groups, by address before the @."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happens, and what the accounts are after the next run."""

    what: str
    deeds: Sequence[Callable[[Club], None]]
    roll: Roll


def _begin(club: Club) -> None:
    for name in ("ada", "bob", "cem", "dia", "eve"):
        club.add(name)
    club.found("inner", "dia")
    club.found("devs", "ada", "bob")
    club.found("ops", "bob", "cem")


STEPS = (
    Step(
        what="the first sync",
        deeds=[_begin],
        roll={"ada": (True, D), "bob": (True, D | O), "cem": (True, O)},
    ),
    Step(
        what="another name and address",
        deeds=[lambda club: club.marry("ada")],
        roll={"ada.roe": (True, D), "bob": (True, D | O), "cem": (True, O)},
    ),
    Step(
        what="another place in the tree",
        deeds=[lambda club: club.move("ada")],
        roll={"ada.roe": (True, D), "bob": (True, D | O), "cem": (True, O)},
    ),
    Step(
        what="disabled",
        deeds=[lambda club: club.disable("bob")],
        roll={"ada.roe": (True, D), "bob": (False, D | O), "cem": (True, O)},
    ),
    Step(
        what="out of one group while disabled, and back",
        deeds=[lambda club: club.enable("bob"), lambda club: club.leave("ops", "bob")],
        roll={"ada.roe": (True, D), "bob": (True, D), "cem": (True, O)},
    ),
    Step(
        what="out of all groups",
        deeds=[lambda club: club.join("ops", "ada"), lambda club: club.leave("ops", "cem")],
        roll={"ada.roe": (True, D | O), "bob": (True, D), "cem": (False, O)},
    ),
    Step(
        what="back in another group",
        deeds=[lambda club: club.join("devs", "cem")],
        roll={"ada.roe": (True, D | O), "bob": (True, D), "cem": (True, D)},
    ),
    Step(
        what="a group in a group, and a circle",
        deeds=[lambda club: club.join("devs", "inner"), lambda club: club.join("inner", "devs")],
        roll={"ada.roe": (True, D | O), "bob": (True, D), "cem": (True, D), "dia": (True, D)},
    ),
    Step(
        what="a group out of a group, and somebody gone altogether",
        deeds=[lambda club: club.leave("devs", "inner"), lambda club: club.remove("bob")],
        roll={"ada.roe": (True, D | O), "bob": (False, D), "cem": (True, D), "dia": (False, D)},
    ),
)


@dataclass
class Reader:
    """Somebody who looks at the accounts and remembers whose number was whose."""

    books: Books
    numbers: dict[str, int] = field(default_factory=dict)

    def check(self, step: Step) -> None:
        """The accounts are what the step says, and nobody's number has changed."""
        there = {address.partition("@")[0]: account for address, account in self.books.accounts().items()}
        assert {name: (each.active, each.groups) for name, each in there.items()} == step.roll, step.what
        for name, account in there.items():
            first_name = name.partition(".")[0]
            assert self.numbers.setdefault(first_name, account.number) == account.number, step.what


def lead(club: Club, books: Books) -> None:
    """Let the club live; after each step the accounts are right, and a second run plans nothing."""
    reader = Reader(books)
    for step in STEPS:
        for deed in step.deeds:
            deed(club)
        message = books.sync()
        reader.check(step)
        message = books.sync()
        assert message.startswith("Nothing to change."), f"{step.what}: {message}"
