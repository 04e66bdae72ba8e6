"""What a plan's change of an account asks for, and what stands in its way: the same on every platform."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from runner.model.changes import Op, StoredChange

FIELDS = ("email", "first_name", "last_name", "is_active", "directory_id")
"""What a run may say of an account."""

GONE = "there is no such account any more."
NO_EMAIL = "an account needs an e-mail address."
OTHERS_PERSON = "another account is tied to this person of the directory."
NO_PLACE = "there is no such account or group any more."
NO_MEMBER = "the account is not a member any more."
MEMBER = "the account is a member already."


def address_key(email: str) -> str:
    """What an e-mail is compared by: the same for all spellings of one address.

    Small letters of all scripts, and one way to write an accent. Databases don't agree on either.
    "ß" stays what it is: straße@ and strasse@ may be two people.
    """
    return email.lower() if email.isascii() else unicodedata.normalize("NFC", email.lower())


def wanted(change: StoredChange) -> dict[str, Any]:
    """What the account is to have, all of it if it is to be made."""
    if change.op is Op.CREATE:
        after = {"email": "", "first_name": "", "last_name": "", "is_active": True, **(change.after or {})}
        return {**after, "directory_id": after.get("directory_id") or None}
    # Without an "after" it is a creation that is taken back.
    return {"is_active": False} if change.after is None else change.after


def differing(row: Mapping[str, Any], change: StoredChange) -> str | None:
    """What of an account isn't as the plan found it, as a sentence; None if nothing."""
    for name in FIELDS:
        if change.before is not None and name in change.before:
            expected = change.before[name]
            if (expected or None) != (row.get(name) or None):
                return f"{name} is {row.get(name)!r} now, {expected!r} was expected."
    return None


def has_email(email: str) -> str:
    """The sentence for an address that another account has."""
    return f"another account has the e-mail {email}."


def number_of(change: StoredChange) -> int:
    """The account's number, if the change tells it; else 0."""
    for values in (change.before, change.after):
        if values and values.get("id"):
            return int(values["id"])
    return 0


def member(change: StoredChange) -> tuple[int | str, str]:
    """Account (number, or what its e-mail is compared by) and group of a membership."""
    values = change.after or change.before or {}
    user = values.get("user", change.key.partition(" ")[0])
    return user if isinstance(user, int) else address_key(str(user)), str(values.get("group") or "")
