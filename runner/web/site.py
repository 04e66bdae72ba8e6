"""Where a system is, what gets one in, and what its certificate is judged by."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from runner.errors import ConfigRejected
from runner.model.network import Network, Where, is_loopback

_PEM = "-----BEGIN CERTIFICATE-----"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One system, as a connection describes it. Secrets stand in ``secrets`` and nowhere else."""

    name: str  # as people call it: "WhiteHat"
    url: str  # scheme, host, port, and the path that all requests begin with
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # headers nobody else may see
    verify: bool = True  # false needs ``[safety] unverified_tls``
    ca_bundle: str = ""  # authorities to trust instead of the public ones: a file, or PEM text
    proxy: str = ""  # "http://proxy.example.com:3128"; the environment's proxies are never used
    connect_timeout: float = 10.0  # seconds
    read_timeout: float = 60.0  # seconds without a byte
    answer_timeout: float = 600.0  # seconds from a request to the last byte of its answer
    keep_cookies: bool = False  # whether the system's cookies are sent back to it

    @property
    def parts(self) -> SplitResult:
        """The URL in parts; ``ConfigRejected`` if it can't be one."""
        return _split(self.url, f"the address of {self.name}")

    @property
    def place(self) -> str:
        """Name and host, for sentences: "WhiteHat (sentinel.example.com)"."""
        parts = self.parts
        port = parts.port
        shown = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
        return f"{self.name} ({parts.hostname}{shown})"


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port: who it is that answers."""
    return parts.scheme, (parts.hostname or "").casefold(), parts.port or _PORTS[parts.scheme]


def check(site: Site, network: Network) -> None:
    """Refuse a site that can't or mustn't be spoken with, before a byte is sent."""
    parts = site.parts
    if site.proxy:
        _split(site.proxy, f"the proxy of {site.name}")
    if parts.scheme == "http" and site.secrets and (site.proxy or not _may_be_home(parts.hostname or "")):
        raise ConfigRejected(
            f"{site.place} is configured with http, and its credential would cross the network for all to "
            "read. Use https."
        )
    for header, secret in site.secrets.items():
        if not secret.isascii() or not secret.isprintable():
            raise ConfigRejected(
                f"The credential for {site.place} ({header}) has characters that no credential has. Copy it "
                "again, without line breaks."
            )
    if not site.verify and parts.scheme == "https":
        _check_unverified(site, network, parts.hostname or "")


def _check_unverified(site: Site, network: Network, host: str) -> None:
    home = network.unverified_tls is Where.LOOPBACK and _may_be_home(host)
    if network.unverified_tls is not Where.ALLOW and not home:
        raise ConfigRejected(
            f"The connection asks for TLS to {site.place} without looking at its certificate, and "
            f'[safety] unverified_tls is "{network.unverified_tls}". Name the authority of its certificate '
            "in ca_bundle instead."
        )


def _may_be_home(host: str) -> bool:
    """Whether a name is one of this machine's; where it leads to is seen when it is reached."""
    if host.casefold().rstrip(".") == "localhost":
        return True
    try:
        return is_loopback(host)
    except ValueError:
        return False


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigRejected(f"{what[0].upper()}{what[1:]} is not a URL that can be used.") from None
    if parts.username or parts.password:
        raise ConfigRejected(f"Write {what} without a user and password in it.")
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not host or any(c.isspace() for c in host) or port == 0:
        raise ConfigRejected(f"Write {what} with its scheme, as https://host.example.com.")
    return parts


def tls_context(site: Site, network: Network) -> ssl.SSLContext:
    """What certificates are judged by; made once, for reading the authorities takes a while."""
    if not site.verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    pem = site.ca_bundle.strip()
    try:
        if pem.startswith(_PEM):
            return ssl.create_default_context(cadata=pem)
        return ssl.create_default_context(cafile=pem or _public_authorities())
    except (ssl.SSLError, ValueError):
        raise ConfigRejected(f"ca_bundle of {site.name} holds no certificates in PEM form.") from None
    except OSError as error:
        raise ConfigRejected(f"ca_bundle of {site.name} can't be read: {error.strerror}: {pem}.") from None


def _public_authorities() -> str:
    import certifi

    return certifi.where()
