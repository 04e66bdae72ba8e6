"""The configuration: TOML files, overridden by environment, overridden by flags.

``RUNNER__SECTION__KEY`` in the environment sets ``[section] key``; only names with that
double underscore are read. Durations are written ``"30s"``, sizes ``"64MiB"``. An unknown
key is an error that names the nearest known one.
"""

import contextlib
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from runner.errors import SettingsInvalid
from runner.model import calendar
from runner.model.jobs import Frequency, Kind
from runner.model.network import METADATA, Network, Where, parse_rule

ETC = Path("/etc/integration-runner")

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)\s*$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?\s*$", re.IGNORECASE)
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.match(value)
        if not found:
            msg = f'{value!r} is not a duration; write for example "30s", "5m" or "2h"'
            raise ValueError(msg)
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    if isinstance(value, int | float) and not isinstance(value, bool):
        msg = f'a duration needs its unit; write "{value}s" for seconds'
        raise ValueError(msg)  # noqa: TRY004 - pydantic tells the operator a ValueError's text
    return value


def _size(value: object) -> object:
    if isinstance(value, str):
        found = _SIZE.match(value)
        if not found:
            msg = f'{value!r} is not a size; write for example "512KiB", "64MiB" or "2GiB"'
            raise ValueError(msg)
        return int(float(found[1]) * _BYTES[(found[2] or "B").upper()])
    return value


def _written(parse: Callable[[str], object]) -> AfterValidator:
    """Text that ``parse`` can read; it is kept as it was written."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]  # bytes
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
    if parts.scheme == "http" and not _is_here(parts.hostname):
        msg = f"the token would cross the network in clear text; write https://{parts.netloc}{parts.path}"
        raise ValueError(msg)
    return text.rstrip("/")


def _is_here(host: str) -> bool:
    """Whether a host, as an address names it, is this machine."""
    with contextlib.suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


class Section(BaseModel):
    """A section of the configuration; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Server(Section):
    """The embedded server."""

    listen: str = Field("127.0.0.1:8080", description='address and port; "" switches it off')
    max_upload: Size = Field(2 * 2**30, description="largest report file that is taken")
    behind_proxy: bool = Field(
        False, description="a proxy that ends TLS stands in front; beyond loopback nothing else is served"
    )

    @model_validator(mode="after")
    def _stay_home(self) -> "Server":
        host = self.listen.rpartition(":")[0].strip("[]")
        if not self.listen or self.behind_proxy or _is_here(host):
            return self
        msg = (
            f"{self.listen!r} is reached from other machines, and tokens would cross the network in clear "
            "text; put a proxy that ends TLS in front and set behind_proxy = true, or listen on 127.0.0.1"
        )
        raise ValueError(msg)


class Store(Section):
    """Where everything durable is kept."""

    url: str = Field("", description='"sqlite:///…" or "postgresql+psycopg://…"; "" = runner.db in state_dir')


class Engine(Section):
    """How jobs run."""

    concurrency: int = Field(4, ge=1, le=256, description="jobs that run at the same time")
    job_timeout: Duration = Field(timedelta(hours=2), description="a job that runs longer is ended")
    memory_limit: Size = Field(2**30, description="what one job may need; more ends the job")
    max_attempts: int = Field(3, ge=1, description="runs of a job under which the daemon died")
    drain_deadline: Duration = Field(
        timedelta(minutes=5), description="how long running jobs may go on after a stop was asked for"
    )
    lease: Duration = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=3),
        description="silence after which others on the same PostgreSQL take a daemon's jobs back",
    )
    retries: int = Field(
        3, ge=0, le=100, description="further attempts at a job whose other side asks for later; one result"
    )
    retry_delay: Duration = Field(
        timedelta(minutes=1),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="before the first of them; twice as long before each further one",
    )


class Scheduler(Section):
    """When connections run by themselves."""

    timezone: Annotated[str, _written(calendar.parse_zone)] = Field(
        "UTC", description="zone of all times here; a connection may have its own"
    )
    hourly_at: int = Field(26, ge=0, le=59, description="minute of each hour")
    daily_at: Annotated[str, _written(calendar.parse_daily)] = Field("01:26", description="time of each day")
    weekly_on: Annotated[str, _written(calendar.parse_weekly)] = Field(
        "saturday 04:33", description="day and time of each week"
    )
    monthly_on: Annotated[str, _written(calendar.parse_monthly)] = Field(
        "1 04:26", description="day and time of each month; its last day where it has fewer"
    )
    spread: Duration = Field(
        timedelta(0),
        ge=timedelta(0),
        le=timedelta(days=1),
        description="connections of a frequency start within this time, each always at the same moment of it",
    )
    freeze: list[Annotated[str, _written(calendar.parse_window)]] = Field(
        [], description='when nothing is written: "fri 18:00 - mon 06:00", or "22:00 - 06:00" for each day'
    )

    def timetable(self) -> calendar.Timetable:
        """The same, read."""
        return calendar.Timetable(
            zone=calendar.parse_zone(self.timezone),
            rules={
                Frequency.HOURLY: calendar.Hourly(self.hourly_at),
                Frequency.DAILY: calendar.parse_daily(self.daily_at),
                Frequency.WEEKLY: calendar.parse_weekly(self.weekly_on),
                Frequency.MONTHLY: calendar.parse_monthly(self.monthly_on),
            },
            spread=self.spread,
            freeze=tuple(calendar.parse_window(text) for text in self.freeze),
        )


class Safety(Section):
    """What a run may destroy without a person, and what connections may reach."""

    max_destructive: int = Field(100, ge=0, description="destructive changes in one run")
    max_destructive_share: Share = Field(0.2, description="of the things the run could destroy")
    destructive_floor: int = Field(5, ge=0, description="at or below it counts and shares stop nothing")
    max_pass_share: Share = Field(1.0, description="of the tasks covered that may turn to pass in one run")
    max_creates: int = Field(0, ge=0, description="creations in one run outside; 0 = without limit")
    max_creates_later: int = Field(
        100, ge=0, description="the same once a run of the connection has succeeded; 0 = without limit"
    )
    unverified_tls: Where = Field(
        Where.LOOPBACK,
        description='TLS without a look at the certificate, for connections that ask for it: "refuse", '
        '"loopback" (on this machine only) or "allow"',
    )
    clear_text_ldap: Where = Field(
        Where.LOOPBACK,
        description='passwords to directories without TLS, for connections that ask for it: "refuse", '
        '"loopback" (on this machine only) or "allow"',
    )
    egress_deny: list[Annotated[str, _written(parse_rule)]] = Field(
        list(METADATA),
        description='what connections never reach: networks, addresses, host names ("*.example.com")',
    )
    egress_allow: list[Annotated[str, _written(parse_rule)]] = Field(
        [], description="if anything stands here, connections reach nothing else"
    )

    def network(self) -> Network:
        """The rules for the network, as a run takes them along."""
        return Network(
            deny=tuple(self.egress_deny),
            allow=tuple(self.egress_allow),
            unverified_tls=self.unverified_tls,
            clear_text_ldap=self.clear_text_ldap,
        )


DAEMON_ONLY = frozenset({"unverified_tls", "clear_text_ldap", "egress_deny", "egress_allow"})
"""Names in ``[safety]`` that no connection can set for itself."""


class Retention(Section):
    """How long things are kept."""

    jobs: Duration = Field(
        timedelta(days=400), ge=timedelta(), description="finished jobs; each connection's newest one stays"
    )
    changes: Duration = Field(
        timedelta(days=400), ge=timedelta(), description="the journal; without it a run can't be taken back"
    )
    logs: Duration = Field(timedelta(days=30), ge=timedelta(), description="the jobs' logs")
    uploads: Duration = Field(
        timedelta(days=7), ge=timedelta(), description="report files, from the end of the last job on them"
    )
    previews: Duration = Field(timedelta(days=7), ge=timedelta(), description="previews with their plans")


class Metrics(Section):
    """What Prometheus is told, at /metrics."""

    listen: str = Field(
        "", description='address and port of a listener for this alone, open to all; "" = with the server'
    )
    connections: int = Field(
        1000, ge=0, description="with more connections than this, none has series of its own"
    )


class Provider(Section):
    """One side of a datasync job: a workbook, or a directory."""

    workbook: str = Field("", description="path of a workbook below one of [datasync] folders")
    servers: str = Field("", description='directory servers, as "dc1.example.com, dc2.example.com:636"')
    security: Literal["ldaps", "starttls", "clear"] = Field("ldaps", description="how the wire is protected")
    bind_dn: str = Field("", description="account that writes")
    password: str = Field(
        "", repr=False, description='its password: "file:/path", "env:NAME" or "credential:NAME"'
    )
    ca_bundle: str = Field("", description="file with the authorities that the certificate is held against")
    verify: bool = Field(True, description="hold the servers' certificates against authorities and names")
    container: str = Field("", description="DN below which objects are kept, where a job names none")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Provider":
        if bool(self.workbook) == bool(self.servers):
            msg = "a provider is a workbook or a directory: set one of workbook and servers"
            raise ValueError(msg)
        return self


class Datasync(Section):
    """Excel to a directory."""

    folders: list[str] = Field([], description="folders that workbooks may be in")
    password_folder: str = Field(
        "", description='where made passwords are announced; "" = passwords in state_dir'
    )


class Plugins(Section):
    """Connectors of other packages."""

    allow: list[str] = Field([], description="names of connectors of other packages that may load")
    path: str = Field("", description="a folder with packages, beside those that are installed")


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity")
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto = console on a terminal, else JSON lines"
    )


class Remote(Section):
    """A server elsewhere whose jobs are run here."""

    url: Annotated[str, _written(remote_url)] = Field(description="address of the server, without /api/v2")
    token: str = Field(repr=False, description='API token: "file:/path", "env:NAME" or "credential:NAME"')
    poll_interval: Duration = Field(
        timedelta(seconds=30), ge=timedelta(milliseconds=50), description="between two looks for pending jobs"
    )
    kinds: list[Kind] = Field(
        [Kind.ALM, Kind.ANALYSIS, Kind.LDAP], description="families of jobs that are looked for"
    )
    systems: list[str] = Field([], description="systems that are run here; none named = all there are")
    take: Literal["auto", "inaccessible", "pending"] = Field(
        "auto",
        description="auto = by claims if offered, else what is inaccessible to the server, else all pending",
    )
    mode: Literal["run", "observe"] = Field(
        "run", description="observe = plan everything, write and post nothing, and compare"
    )
    ca_bundle: str = Field("", description="file with the authorities that its certificate is held against")
    proxy: str = Field("", description="proxy to reach it through, as http://host:port")
    timeout: Duration = Field(
        timedelta(seconds=30), gt=timedelta(0), description="silence after which a request is given up"
    )
    secrets: dict[str, dict[str, str]] = Field(
        {}, repr=False, description="params the server needn't hold, by the host they are for"
    )


RemoteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Settings(Section):
    """The whole configuration."""

    state_dir: Path = Field(
        Path("/var/lib/integration-runner"), description="where store, uploads and socket are"
    )
    server: Server = Server()
    store: Store = Store()
    engine: Engine = Engine()
    scheduler: Scheduler = Scheduler()
    safety: Safety = Safety()
    retention: Retention = Retention()
    metrics: Metrics = Metrics()
    remote: dict[RemoteName, Remote] = {}
    datasync: Datasync = Datasync()
    provider: dict[str, Provider] = {}
    plugins: Plugins = Plugins()
    log: Log = Log()

    @property
    def store_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.store.url or f"sqlite:///{self.state_dir.absolute() / 'runner.db'}"


def overridden(safety: Safety, values: Mapping[str, Any]) -> Safety:
    """``safety`` with a connection's own values in place; ``SettingsInvalid`` names what is wrong.

    Values come from JSON, so a number is a number: no text is taken for one.
    """
    if not values:
        return safety
    if fixed := sorted(DAEMON_ONLY & values.keys()):
        raise SettingsInvalid(f"safety.{fixed[0]}: only the daemon's configuration can set this")
    try:
        return Safety.model_validate({**safety.model_dump(), **values}, strict=True)
    except ValidationError as error:
        raise SettingsInvalid(_explain(error, {}, ("safety",))) from None


_FIXED = (
    *("state_dir", "server", "store", "plugins", "remote", "metrics.listen"),
    *("log.format", "engine.concurrency", "engine.lease"),
)
"""What a running daemon can't change."""


def reloaded(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """What of ``new`` a daemon that began with ``old`` can go by, and the names that want a restart."""
    changed = [name for name in _FIXED if _at(old, name) != _at(new, name)]
    values: dict[str, Any] = {name: getattr(old, name) for name in _FIXED if "." not in name}
    for section in ("engine", "log", "metrics"):
        kept = {name.partition(".")[2]: _at(old, name) for name in _FIXED if name.startswith(f"{section}.")}
        values[section] = getattr(new, section).model_copy(update=kept)
    return new.model_copy(update=values), changed


def _at(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the configuration; ``SettingsInvalid`` names what is wrong and where.

    ``file`` is read with ``conf.d/*.toml`` beside it. Without one the installed file is
    read if it is there. ``flags`` are dotted names with values.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for path in _files(file):
        _merge(merged, _read(path), origins, str(path))
    if "STATE_DIRECTORY" in environ:
        _merge(merged, {"state_dir": environ["STATE_DIRECTORY"]}, origins, "systemd")
    _merge(merged, _from_environment(environ), origins, "the environment")
    for name, value in (flags or {}).items():
        _merge(merged, _nested(name.split("."), value), origins, "the command line")
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsInvalid(_explain(error, origins)) from None


def _files(file: Path | None) -> Iterable[Path]:
    if file is not None and not file.is_file():
        msg = f"There is no configuration file {file}."
        raise SettingsInvalid(msg)
    main = file or ETC / "runner.toml"
    if main.is_file():
        yield main
    yield from sorted((main.parent / "conf.d").glob("*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}."
        raise SettingsInvalid(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read: {error}."
        raise SettingsInvalid(msg) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if name.startswith("RUNNER__"):
            _merge(found, _nested(name.removeprefix("RUNNER__").lower().split("__"), _typed(value)), {}, "")
    return found


def _typed(value: str) -> Any:
    """A list in the environment is written as in TOML; all else is text that the model reads."""
    if value.startswith("["):
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            return value
    return value


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    nested: dict[str, Any] = value
    return nested


def _merge(
    into: dict[str, Any], new: Mapping[str, Any], origins: dict[str, str], origin: str, prefix: str = ""
) -> None:
    for name, value in new.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(name, {})
            if isinstance(inner, dict):
                _merge(inner, value, origins, origin, f"{prefix}{name}.")
                continue
        into[name] = value
        origins[f"{prefix}{name}"] = origin


def _explain(error: ValidationError, origins: Mapping[str, str], inside: tuple[str, ...] = ()) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        where = origins.get(name) or next((o for n, o in origins.items() if n.startswith(name)), "")
        text = _unknown([*inside, *path]) if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{name}: {text.removeprefix('Value error, ')}" + (f" (from {where})" if where else ""))
    return "\n".join(lines)


def _unknown(path: list[str]) -> str:
    model: Any = Settings
    for name in path[:-1]:
        if name == "remote" and model is Settings:
            model = Remote
        elif name == "provider" and model is Settings:
            model = Provider
        elif name in model.model_fields:
            model = model.model_fields[name].annotation
    near = difflib.get_close_matches(path[-1], model.model_fields, n=1)
    return f"there is no such setting{f'; did you mean {near[0]!r}?' if near else ''}"
