"""Parameters that several connectors have, and the ways in which people spell them."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from runner.ports import Params


def folded(value: object) -> object:
    """Give a word without its case and the space around it; anything else as it is."""
    return value.strip().casefold() if isinstance(value, str) else value


def names(value: object) -> object:
    """Give a list of names for their text with commas; anything else as it is."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def without_password(text: str) -> str:
    """Refuse an address with a user and password in it, which would be told with the address."""
    if "@" in text:
        msg = "write the address without a user and password in it; a proxy that wants one can't be used"
        raise ValueError(msg)
    return text


Folded = BeforeValidator(folded)
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Text = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]
"""A text that looks like a number is often sent as one."""


class Scheme(StrEnum):
    """How a server is spoken with."""

    HTTPS = "https"
    HTTP = "http"  # on this machine only


class SiteParams(Params):
    """How to trust a server, and to get to it. Mixed into a connector's own."""

    validate_cert: bool = Field(
        default=True,
        description="Whether the server's certificate is looked at. Without, [safety] unverified_tls has "
        "to allow it.",
    )
    ca_bundle: str = Field(
        default="",
        description="Authorities that vouch for the server's certificate: a file on the runner's machine, or "
        "the certificates as PEM text. Empty = the public ones.",
    )
    proxy: Annotated[str, AfterValidator(without_password)] = Field(
        default="", description="Proxy to go through, as http://proxy.example.com:3128."
    )


class ProjectParams(Params):
    """Where the run belongs, as the SD Elements API's clients send it. Mixed into a connector's own."""

    sde_project: int | str | None = Field(
        default=None, description="Project, by id or name. Kept as it came; the connection says which."
    )
    sde_application: int | str | None = Field(
        default=None, description="Application of the project, by id or name. Kept as it came."
    )
    sde_businessunit: int | str | None = Field(
        default=None, description="Business unit of the project, by id or name. Kept as it came."
    )
