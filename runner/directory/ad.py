"""What is Active Directory's own: identities, flags of accounts, passwords, capabilities."""

import uuid

from runner.directory.port import Directory, Edit, Entry, Modification

IS_AD = "1.2.840.113556.1.4.800"
IN_CHAIN = "1.2.840.113556.1.4.1941"
"""The matching rule that follows memberships of memberships. Where a server doesn't know it, a filter
with it finds nothing and says nothing."""

DISABLED = 0x2  # of userAccountControl
NORMAL = 0x200
IDENTITY = ("objectGUID", "entryUUID")
"""Attributes that name an entry for ever, whatever it is called and wherever it is moved."""


def is_active_directory(directory: Directory) -> bool:
    """Whether the server says that it is one."""
    root = directory.read("", ["supportedCapabilities"])
    return root is not None and IS_AD in root.texts("supportedCapabilities")


def identity(entry: Entry) -> str:
    """What names an entry for ever, as a UUID in text; "" if the server told none."""
    guid = entry.values.get("objectguid")
    if guid and len(guid[0]) == 16:  # noqa: PLR2004 - bytes of a GUID
        return str(uuid.UUID(bytes_le=guid[0]))
    return entry.text("entryUUID").lower()


def identity_filter(name: str) -> str:
    """A filter that finds the entry with this identity, on whichever sort of server."""
    try:
        found = uuid.UUID(name)
    except ValueError:
        return "(!(objectClass=*))"  # nobody has it
    guid = "".join(f"\\{byte:02x}" for byte in found.bytes_le)
    return f"(|(objectGUID={guid})(entryUUID={found}))"


def is_disabled(entry: Entry) -> bool:
    """Whether an account may not log in; one without userAccountControl may."""
    flags = entry.text("userAccountControl")
    return flags.lstrip("-").isdecimal() and bool(int(flags) & DISABLED)


def password_value(password: str) -> bytes:
    """A password as ``unicodePwd`` takes it."""
    return f'"{password}"'.encode("utf-16-le")


def set_password(directory: Directory, dn: str, password: str) -> None:
    """Give an account a password, as an administrator does; ``Declined`` if the policy refuses it."""
    directory.modify(dn, [Modification(Edit.REPLACE, "unicodePwd", [password_value(password)])])
