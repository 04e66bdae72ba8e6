"""What no run may touch: the accounts that could undo what a run did, or stop it.

A directory that lost its administrators, or a mapping written the wrong way round, must not
lock out those who would put it right. Superusers and the service account are changed by
people, never by a run.
"""

from collections.abc import Callable, Mapping

from runner.model.people import address_key

ACCOUNT_OF: Mapping[str, Callable[[str], str]] = {
    "user": lambda key: key,
    "membership": lambda key: key.partition(" ")[0],
}
"""By kind of change, the e-mail of the account that a key names. A membership's key is the
account's e-mail, then after a space what it is a member of."""

SUPERUSER = "protected: {email} is a superuser, and no run changes one; do it by hand if it has to be"
OWN = "protected: {email} is the account that the run works under, and no run changes its own"
SERVICE = "protected: {email} is the service account, and no run changes it"


def account_of(kind: str, key: str) -> str | None:
    """What the e-mail of the account that a change is about is compared by; None = it is about no account."""
    find = ACCOUNT_OF.get(kind)
    return None if find is None else address_key(find(key).strip())
