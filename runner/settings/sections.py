"""The sections of the configuration, and the tables of which there may be many."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runner.model import calendar
from runner.model.jobs import Frequency, Kind
from runner.model.network import METADATA, Network, Where, parse_rule
from runner.settings.values import (
    SECRET,
    Duration,
    KeptSecret,
    Secret,
    Section,
    Share,
    Size,
    is_here,
    proxy_url,
    remote_url,
    written,
)


class Server(Section):
    """The embedded server."""

    listen: str = Field("127.0.0.1:8080", description='address and port; "" switches it off')
    max_upload: Size = Field(2 * 2**30, description="largest report file that is taken")
    tls_cert: str = Field("", description='certificate chain for TLS, a PEM file; "" = clear HTTP')
    tls_key: str = Field("", description='its private key, a PEM file; "" = it stands in tls_cert')
    behind_proxy: bool = Field(
        False, description="a proxy that ends TLS stands in front; beyond loopback nothing else is served"
    )

    @model_validator(mode="after")
    def _stay_home(self) -> "Server":
        host = self.listen.rpartition(":")[0].strip("[]")
        if self.tls_key and not self.tls_cert:
            msg = "tls_key is set without tls_cert; name the certificate as well, or neither"
            raise ValueError(msg)
        if not self.listen or self.behind_proxy or self.tls_cert or is_here(host):
            return self
        msg = (
            f"{self.listen!r} is reached from other machines, and tokens would cross the network in clear "
            "text; set tls_cert and tls_key, or put a proxy that ends TLS in front and set "
            "behind_proxy = true, or listen on 127.0.0.1"
        )
        raise ValueError(msg)


class Store(Section):
    """Where everything durable is kept."""

    url: Secret = Field(
        "", description='"sqlite:///…" or "postgresql+psycopg://…"; "" = runner.db in state_dir'
    )


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

    timezone: Annotated[str, written(calendar.parse_zone)] = Field(
        "UTC", description="zone of all times here; a connection may have its own"
    )
    hourly_at: int = Field(26, ge=0, le=59, description="minute of each hour")
    daily_at: Annotated[str, written(calendar.parse_daily)] = Field("01:26", description="time of each day")
    weekly_on: Annotated[str, written(calendar.parse_weekly)] = Field(
        "saturday 04:33", description="day and time of each week"
    )
    monthly_on: Annotated[str, written(calendar.parse_monthly)] = Field(
        "1 04:26", description="day and time of each month; its last day where it has fewer"
    )
    spread: Duration = Field(
        timedelta(0),
        ge=timedelta(0),
        le=timedelta(days=1),
        description="connections of a frequency start within this time, each always at the same moment of it",
    )
    freeze: list[Annotated[str, written(calendar.parse_window)]] = Field(
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
    egress_deny: list[Annotated[str, written(parse_rule)]] = Field(
        list(METADATA),
        description='what connections never reach: networks, addresses, host names ("*.example.com")',
    )
    egress_allow: list[Annotated[str, written(parse_rule)]] = Field(
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
    directory: str = Field(
        "", description="id or name of an LDAP server kept here, with its log-in, in place of servers"
    )
    security: Literal["ldaps", "starttls", "clear"] = Field("ldaps", description="how the wire is protected")
    bind_dn: str = Field("", description="account that writes")
    password: KeptSecret = Field(
        "", repr=False, description='its password: "file:/path", "env:NAME" or "credential:NAME"'
    )
    ca_bundle: str = Field("", description="file with the authorities that the certificate is held against")
    verify: bool = Field(True, description="hold the servers' certificates against authorities and names")
    container: str = Field("", description="DN below which objects are kept, where a job names none")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Provider":
        if sum(map(bool, (self.workbook, self.servers, self.directory))) != 1:
            msg = "a provider is a workbook or a directory: set one of workbook, servers and directory"
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

    url: Annotated[str, written(remote_url)] = Field(description="address of the server, without /api/v2")
    token: KeptSecret = Field(
        repr=False, description='API token: "file:/path", "env:NAME" or "credential:NAME"'
    )
    poll_interval: Duration = Field(
        timedelta(seconds=30), ge=timedelta(milliseconds=50), description="between two looks for pending jobs"
    )
    kinds: list[Kind] = Field(
        [Kind.ALM, Kind.ANALYSIS, Kind.LDAP], description="families of jobs that are looked for"
    )
    systems: list[str] = Field([], description="systems that are run here; none named = all there are")
    take: Literal["auto", "inaccessible", "pending"] = Field(
        "auto",
        description="auto = by claims, else what the server can't reach, or all if it doesn't tell",
    )
    mode: Literal["run", "observe"] = Field(
        "run", description="observe = plan everything, write and post nothing, and compare"
    )
    ca_bundle: str = Field("", description="file with the authorities that its certificate is held against")
    proxy: Annotated[str, written(proxy_url)] = Field(
        "", description="proxy to reach it through, as http://host:port"
    )
    timeout: Duration = Field(
        timedelta(seconds=30), gt=timedelta(0), description="silence after which a request is given up"
    )
    secrets: Annotated[dict[str, dict[str, str]], SECRET] = Field(
        {}, repr=False, description="params the server needn't hold, by the host they are for"
    )


RemoteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class GroupMapping(Section):
    """Who is in a directory's group is to be in ours."""

    ldap_group: str = Field(description="the directory's group, by its distinguished name")
    group: str = Field(description="our group, by its name; made if it isn't there")


class SharedParams(Section):
    """A connector of the organisation: what declared connections of a system have in common."""

    system: str = Field(description="the system that it is for")
    alias: str = Field("", description='what people call it; "" = its name')
    params: dict[str, Any] = Field(
        {}, description="params under those of its connections; a secret may be a reference"
    )
    editable: list[str] | None = Field(
        None, description="params that a connection may set otherwise; without it all of them"
    )


class Declaration(Section):
    """A connection that the files declare; the API shows it and can't change it."""

    name: str = Field(min_length=1, max_length=200, description="its identity, for good: unique in all files")
    system: str = Field(
        description="the connector; `runner status` and /api/v2/systems/ tell which there are"
    )
    connector: str | None = Field(
        None, description="the [connector.NAME] whose params lie under those of this connection"
    )
    kind: Kind | None = Field(None, description="the system's, where it is to be said")
    alias: str = Field("", description='what people call it; "" = its name')
    frequency: Frequency = Field(Frequency.MANUALLY, description="how often it is due by itself")
    schedule: Annotated[str, written(calendar.parse_cron)] | None = Field(
        None, description="a cron expression; it stands in for the frequency"
    )
    timezone: Annotated[str, written(calendar.parse_zone)] | None = Field(
        None, description="of its schedule; else [scheduler] timezone"
    )
    project: int | str | None = Field(None, description='number, "Name", or "Business unit/Application/Name"')
    enabled: bool = Field(True, description="whether it may run")
    params: dict[str, Any] = Field(
        {}, description='the connector\'s; a secret may be "file:/path", "env:NAME" or "credential:NAME"'
    )
    group_mappings: list[GroupMapping] = Field([], description="of a directory's groups, for LDAP")
    safety: dict[str, Any] = Field({}, description="ceilings of its own, as in [safety]")
