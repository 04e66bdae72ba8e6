"""What a directory sync can be told. Names are those of the SD Elements API."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, SecretStr

from runner.directory.access import Security
from runner.ports import Params

_ATTRIBUTE = re.compile(r"^[A-Za-z][A-Za-z0-9-]*$")
_METHODS = {
    "ldap": Security.CLEAR,
    "plain": Security.CLEAR,
    "ldaps": Security.LDAPS,
    "ssl": Security.LDAPS,
    "starttls": Security.START_TLS,
    "ldapstarttls": Security.START_TLS,
    "ldaptls": Security.START_TLS,
    "tls": Security.START_TLS,
}
_SPELLED = {"gn": "givenName"}
"""Names of attributes that a directory may give back under another."""


def _method(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, Security):
        return value
    found = _METHODS.get(re.sub(r"[^a-z]", "", value.casefold()))
    if found is None:
        msg = f"{value!r} is none of LDAP, LDAPS and StartTLS"
        raise ValueError(msg)
    return found


def _attribute(value: str) -> str:
    if not _ATTRIBUTE.match(value):
        msg = f"{value!r} is no name of an attribute"
        raise ValueError(msg)
    return _SPELLED.get(value.casefold(), value)


def _one_place(value: str) -> str:
    if value and value.count("%s") != 1:
        msg = "write exactly one %s in it, where the group's DN goes"
        raise ValueError(msg)
    return value


def _nothing(value: object) -> object:
    """Take null for what isn't set."""
    return {} if value is None else value


Attribute = Annotated[str, AfterValidator(_attribute)]


class UserSchema(BaseModel):
    """Which attribute holds what."""

    first_name: Attribute = "givenName"
    last_name: Attribute = "sn"
    email: Attribute = "mail"
    full_name: Attribute = "cn"


class LdapFilter(BaseModel):
    """Whom a sync is limited to; empty = nobody is left out."""

    users: list[str] = []
    groups: list[str] = []


class LdapParams(Params):
    """Settings of a directory sync."""

    ldap_server: str = Field(
        description="Servers, separated by commas, each host or host:port; or _ldap._tcp.example.com, for "
        "those that DNS lists. The next is tried when one can't be reached."
    )
    ldap_method: Annotated[Security, BeforeValidator(_method)] = Field(
        default=Security.START_TLS,
        description="LDAPS, StartTLS, or LDAP (in clear text, where [safety] clear_text_ldap allows it).",
    )
    ldap_validate_cert: bool = Field(
        default=True, description="Whether the server's certificate is looked at."
    )
    ca_bundle: str = Field(
        default="", description="Who may vouch for the server instead of the machine's: a file, or PEM text."
    )
    bind_dn: str = Field(description="The account that reads the directory: its DN, or user@domain.")
    bind_password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    base_dn: str = Field(default="", description="Where people are. Empty: the domain of bind_dn.")
    group_base_dn: str = Field(
        default="",
        validation_alias=AliasChoices("group_base_dn", "group_query"),
        description="Where the mapped groups are. Empty: as base_dn.",
    )
    group_member_query: Annotated[str, AfterValidator(_one_place)] = Field(
        default="",
        description="A filter that finds the members of a group, %s being the group's DN. Empty: found "
        "through the groups, groups in groups and primary groups included.",
    )
    page_size: int = Field(default=1000, ge=1, le=100_000, description="Entries asked for at once.")
    user_schema: Annotated[UserSchema, BeforeValidator(_nothing)] = Field(
        default=UserSchema(), description="Attributes of first_name, last_name, email and full_name."
    )
    ldap_filter: Annotated[LdapFilter, BeforeValidator(_nothing)] = Field(
        default=LdapFilter(),
        description="Limits the sync: users (e-mails) and groups (names in the directory).",
    )
    group_mapping: Annotated[dict[str, int | str], BeforeValidator(_nothing)] = Field(
        default={},
        description="Older form of the mappings, which it becomes: group of the directory to group here.",
    )
    deactivation: bool = Field(default=False, description="Older name for both of the next two.")
    deactivate_stale_users: bool | None = Field(
        default=None, description="Deactivate users who are gone from the directory, or disabled there."
    )
    deactivate_groupless_users: bool | None = Field(
        default=None, description="Deactivate users who are in none of the mapped groups any more."
    )
    confirm_empty: bool = Field(
        default=False, description="Believe a directory in which nobody is in a mapped group any more."
    )
    timeout: int = Field(default=60, ge=1, le=600, description="Seconds of a server's silence.")

    @property
    def deactivates_stale(self) -> bool:
        """Whether those who are gone are deactivated."""
        return self.deactivation if self.deactivate_stale_users is None else self.deactivate_stale_users

    @property
    def deactivates_groupless(self) -> bool:
        """Whether those in no mapped group are deactivated."""
        own = self.deactivate_groupless_users
        return self.deactivation if own is None else own

    def model_post_init(self, context: Any) -> None:
        """Fill in what follows from other settings."""
        from runner.directory import names

        self.base_dn = self.base_dn or names.base_of(self.bind_dn)
        self.group_base_dn = self.group_base_dn or self.base_dn
