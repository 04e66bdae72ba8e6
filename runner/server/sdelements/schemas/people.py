"""Users, groups, and which groups of a directory stand for them."""

from runner.server.openapi import Schema
from runner.server.sdelements.schemas.parts import (
    BOOLEAN,
    FLAG,
    INSTANT,
    INTEGER,
    MAYBE_INSTANT,
    MAYBE_TEXT,
    OBJECT,
    TEXT,
    asked,
    enum,
    thing,
)
from runner.store.accounts import Role

_GROUP_ID: Schema = {"type": "string", "pattern": "^G[0-9]+$"}
_GROUP_IDS: Schema = {
    "type": "array",
    "items": {"anyOf": [{"type": "string", "pattern": "^[Gg][0-9]+$"}, OBJECT]},
}
_MEMBERS: Schema = {"type": "array", "items": thing({"id": INTEGER, "email": TEXT})}
_ROLE: Schema = {"type": ["string", "null"], "enum": [*(role.value for role in Role), None]}
_USER: dict[str, Schema] = {
    "email": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "role": {"anyOf": [enum(Role), OBJECT]},
    "is_active": FLAG,
    "is_superuser": FLAG,
    "groups": _GROUP_IDS,
    "directory_id": {**MAYBE_TEXT, "description": "entryUUID or objectGUID; an extension"},
}
_GROUP: dict[str, Schema] = {
    "name": TEXT,
    "description": TEXT,
    "role": _ROLE,
    "users": {"type": "array", "items": OBJECT},
    "groups": _GROUP_IDS,
}
_GROUP_MORE: dict[str, Schema] = {
    "groups": {"type": "array", "items": thing({"id": _GROUP_ID, "name": TEXT})},
    "users": _MEMBERS,
    "all_users": _MEMBERS,
    "total_user_count": INTEGER,
    "sync_connections": {"type": "array", "items": INTEGER},
}
PEOPLE: dict[str, Schema] = {
    "User": thing(
        {
            "id": INTEGER,
            "email": TEXT,
            "first_name": TEXT,
            "last_name": TEXT,
            "last_login": MAYBE_INSTANT,
            "date_joined": INSTANT,
            "is_active": BOOLEAN,
            "is_superuser": BOOLEAN,
            "role": thing({"id": TEXT, "name": TEXT}),
            "groups": {
                "type": "array",
                "items": thing({"id": _GROUP_ID, "name": TEXT, "role": MAYBE_TEXT}),
            },
            "password_reset_in_progress": BOOLEAN,
        }
    ),
    "NewUser": asked(_USER, "email"),
    "ChangedUser": asked(_USER),
    "UserLines": {**TEXT, "description": "CSV: email, first name, last name, role, groups (with semicolons)"},
    "BulkUsers": thing(
        {
            "committed": BOOLEAN,
            "users": {"type": "array", "items": thing({"line": INTEGER, "email": TEXT})},
        }
    ),
    "Group": thing(
        {
            "id": _GROUP_ID,
            "name": TEXT,
            "description": TEXT,
            "role": MAYBE_TEXT,
            "updated": INSTANT,
            **_GROUP_MORE,
        },
        optional=tuple(_GROUP_MORE),
    ),
    "NewGroup": asked(_GROUP, "name"),
    "ChangedGroup": asked(_GROUP),
    "GroupMapping": thing(
        {
            "sde_group": thing({"id": _GROUP_ID, "name": TEXT}),
            "id": INTEGER,
            "last_modified": INSTANT,
            "ldap_group": TEXT,
        }
    ),
    "NewGroupMapping": asked(
        {
            "ldap_group": TEXT,
            "sde_group": {"anyOf": [{"type": "string", "pattern": "^[Gg][0-9]+$"}, OBJECT]},
        },
        "ldap_group",
        "sde_group",
    ),
}
