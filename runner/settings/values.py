"""What settings are made of: durations, sizes, secrets, addresses, and the section itself."""

import contextlib
import ipaddress
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from runner.model import units
from runner.secrets import dereference


def _duration(value: object) -> object:
    if isinstance(value, str):
        return units.parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        msg = f'a duration needs its unit; write "{value}s" for seconds'
        raise ValueError(msg)  # noqa: TRY004 - pydantic tells the operator a ValueError's text
    return value


def _size(value: object) -> object:
    return units.parse_size(value) if isinstance(value, str) else value


def _secret(value: object, info: ValidationInfo) -> object:
    """What a reference names; the environment in the context is the daemon's own."""
    if not isinstance(value, str) or info.context is None:
        return value
    return dereference(value, info.context["environ"])


def written(parse: Callable[[str], object]) -> AfterValidator:
    """Text that ``parse`` can read; it is kept as it was written."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


SECRET = object()
"""Marks a setting that is a secret, or has one in it."""

SIZE = object()
"""Marks a setting that is a number of bytes."""

Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0), SIZE]  # bytes
Secret = Annotated[str, BeforeValidator(_secret), SECRET]  # or a reference to one
KeptSecret = Annotated[str, SECRET]  # the same, as it was written: it is read where it is used
Share = Annotated[float, Field(ge=0, le=1)]


def remote_url(text: str) -> str:
    """Check the address of a server: https, or http on this machine; ``ValueError`` if it isn't one."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{text!r} is no address; write for example https://sde.example.com"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = "an address has no password, query or fragment; the token has a setting of its own"
        raise ValueError(msg)
    if parts.scheme == "http" and not is_here(parts.hostname):
        msg = f"the token would cross the network in clear text; write https://{parts.netloc}{parts.path}"
        raise ValueError(msg)
    return text.rstrip("/")


def proxy_url(text: str) -> str:
    """Check the address of a proxy, if there is one; ``ValueError`` if it isn't one."""
    parts = urlsplit(text)
    if parts.username or parts.password:
        msg = "write the proxy without a user and password in it; proxies that want one can't be used"
        raise ValueError(msg)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        msg = f"{text!r} is no proxy; write for example http://proxy.example.com:3128"
        raise ValueError(msg)
    return text


def is_here(host: str) -> bool:
    """Whether a host, as an address names it, is this machine."""
    with contextlib.suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


class Section(BaseModel):
    """A section of the configuration; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
