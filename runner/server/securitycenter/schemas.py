"""The shapes of the dialect, for the API's description."""

from runner.server.openapi import Schema

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_GIVEN: Schema = {"type": ["string", "integer"]}
_SETTINGS = (
    "host",
    "port",
    "encryption",
    "dn",
    "dnsField",
    "lowercase",
    "timeLimit",
    "password",
    "username",
    "attrEmail",
    "attrName",
    "attrPhone",
    "attrUsername",
    "searchString",
)
_SHOWN = ("id", "name", "description", *_SETTINGS, "createdTime", "modifiedTime")
_ORGANIZATIONS: Schema = {"type": "array", "items": {"type": "object", "required": ["id"]}}
_BODY: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "description", *_SETTINGS), _GIVEN),
        "encryption": {"type": "string", "enum": ["ldaps", "none", "tls"]},
        "lowercase": {"type": "string", "enum": ["true", "false"]},
        "organizations": _ORGANIZATIONS,
    },
}
_SERVER: Schema = {
    "type": "object",
    "properties": {**dict.fromkeys(_SHOWN, _TEXT), "organizations": {"type": "array"}},
    "required": ["id"],
    "additionalProperties": False,
}


def _enveloped(response: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "type": _TEXT,
            "response": response,
            "error_code": {"type": "integer"},
            "error_msg": _TEXT,
            "warnings": {"type": "array"},
            "timestamp": {"type": "integer"},
        },
        "required": ["type", "response", "error_code", "error_msg", "warnings", "timestamp"],
        "additionalProperties": False,
    }


_PERSON: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("name", "email", "phone", "username"), _TEXT),
    "required": ["name", "email", "phone", "username"],
}
SECURITYCENTER: dict[str, Schema] = {
    "Envelope": _enveloped({}),
    "LdapServers": _enveloped({"type": "array", "items": _SERVER}),
    "LdapServer": _enveloped(_SERVER),
    "LdapDone": _enveloped({"type": "string", "enum": [""]}),
    "LdapTest": _enveloped(
        {
            "type": "object",
            "properties": {"status": {"type": "boolean"}, "message": _TEXT},
            "required": ["status", "message"],
        }
    ),
    "LdapPeople": _enveloped({"type": "array", "items": _PERSON}),
    "LoggedIn": _enveloped(_OBJECT),
    "ScSystem": _enveloped(_OBJECT),
    "NewLdapServer": {**_BODY, "required": ["host", "port", "encryption", "dn"]},
    "ChangedLdapServer": _BODY,
    "LdapQuery": {"type": "object", "properties": {"match": _TEXT}},
    "LogIn": {
        "type": "object",
        "properties": {"username": _TEXT, "password": _TEXT},
        "required": ["username", "password"],
    },
}
"""All shapes by the names that the routes refer to."""
