"""The tables, as SQLAlchemy Core sees them. Migrations stand in ``migrations/``.

Instants are integers: microseconds since 1970-01-01 UTC. JSON is text. Booleans are
Booleans. One number space of jobs for all kinds.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_Instant = sa.BigInteger


def _key() -> sa.Column[int]:
    return sa.Column("id", _Id, primary_key=True, autoincrement=True)


facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    comment="what the store knows of itself: its identity, whether it is paused",
)

users = sa.Table(
    "users",
    metadata,
    _key(),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text, nullable=False),  # what it is compared by, see model.people.address_key
    sa.Column("first_name", sa.Text, nullable=False, server_default=""),
    sa.Column("last_name", sa.Text, nullable=False, server_default=""),
    sa.Column("role", sa.Text, nullable=False, server_default="UR5"),
    sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("is_superuser", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("is_service", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("date_joined", _Instant, nullable=False),
    sa.Column("last_login", _Instant),
    sa.Column("directory_id", sa.Text),  # entryUUID or objectGUID of who a directory says it is
    # The connection that made the account or took it over: no other one deactivates it.
    sa.Column("directory_connection_id", _Id),
    sqlite_autoincrement=True,
)
sa.Index("users_email_key", users.c.email_key, unique=True)
_SHIELDED = sa.text("is_superuser OR is_service")  # whom no run touches: each batch looks at all of them
sa.Index("users_shielded", users.c.id, sqlite_where=_SHIELDED, postgresql_where=_SHIELDED)
sa.Index("users_directory_id", users.c.directory_id, unique=True)

groups = sa.Table(
    "groups",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("role", sa.Text),
    sa.Column("updated", _Instant, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("groups_name", sa.func.lower(groups.c.name), unique=True)

group_users = sa.Table(
    "group_users",
    metadata,
    sa.Column("group_id", sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

group_groups = sa.Table(
    "group_groups",
    metadata,
    sa.Column("group_id", sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="groups whose members are members of another group as well",
)

tokens = sa.Table(
    "tokens",
    metadata,
    _key(),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),  # SHA-256 of the token, hexadecimal
    sa.Column("scopes", sa.Text, nullable=False),  # JSON array
    sa.Column("created", _Instant, nullable=False),
    sa.Column("expires", _Instant),
    sa.Column("last_used", _Instant),
    sqlite_autoincrement=True,
)

business_units = sa.Table(
    "business_units",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("created", _Instant, nullable=False),
    sqlite_autoincrement=True,
)

applications = sa.Table(
    "applications",
    metadata,
    _key(),
    sa.Column("business_unit_id", sa.ForeignKey("business_units.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False, server_default="0-none"),
    sa.Column("created", _Instant, nullable=False),
    sa.UniqueConstraint("business_unit_id", "name"),
    sqlite_autoincrement=True,
)

projects = sa.Table(
    "projects",
    metadata,
    _key(),
    sa.Column("application_id", sa.ForeignKey("applications.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    sa.UniqueConstraint("application_id", "name"),
    sqlite_autoincrement=True,
)

tasks = sa.Table(
    "tasks",
    metadata,
    _key(),
    sa.Column("project_id", sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("task_id", sa.Text, nullable=False),  # "T21"
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False, server_default=""),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),  # slug
    sa.Column("status", sa.Text, nullable=False, server_default="TS2"),
    sa.Column("verification_status", sa.Text, nullable=False, server_default="none"),
    sa.Column("cwes", sa.Text, nullable=False, server_default="[]"),  # JSON array of numbers
    sa.Column("categories", sa.Text, nullable=False, server_default="[]"),
    sa.Column("catch_all", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("tags", sa.Text, nullable=False, server_default="[]"),
    sa.Column("results", sa.Text, nullable=False, server_default="{}"),  # verification by scanner
    sa.Column("status_updated", _Instant),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    sa.UniqueConstraint("project_id", "task_id"),
    sqlite_autoincrement=True,
)
sa.Index("tasks_by_project", tasks.c.project_id, tasks.c.id)

analysis_sessions = sa.Table(
    "analysis_sessions",
    metadata,
    _key(),
    sa.Column("project_id", sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("analysis_ref", sa.Text, nullable=False),
    sa.Column("analysis_type", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # the change that made it, recognised on re-read
    sa.Column("created", _Instant, nullable=False),
    sqlite_autoincrement=True,
)

notes = sa.Table(
    "notes",
    metadata,
    _key(),
    sa.Column("task", sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("user_id", sa.ForeignKey("users.id")),
    sa.Column("session_id", sa.ForeignKey("analysis_sessions.id", ondelete="CASCADE"), index=True),
    sa.Column("analysis_type", sa.Text),  # the rest is set on analysis notes only
    sa.Column("status", sa.Text),
    sa.Column("confidence", sa.Text),
    sa.Column("behaviour", sa.Text),
    sa.Column("findings", sa.Text),  # JSON array
    sa.Column("created", _Instant, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("notes_by_task", notes.c.task, notes.c.id)

uploads = sa.Table(
    "uploads",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False),  # as the sender called it
    sa.Column("file", sa.Text, nullable=False),  # below the state directory's uploads/
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("removed", _Instant),
    sqlite_autoincrement=True,
)

connectors = sa.Table(
    "connectors",
    metadata,
    _key(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("params", sa.Text, nullable=False, server_default="{}"),  # under those of its connections
    sa.Column("inaccessible", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fields_editable_on_project", sa.Text),  # JSON array; null = all
    sa.Column("declared", sa.Text, unique=True),  # its name in the configuration files
    sa.Column("updated", _Instant, nullable=False),
    sqlite_autoincrement=True,
    comment="what connections of a system have in common, for the whole organisation",
)
sa.Index("connectors_by_kind", connectors.c.kind, connectors.c.id)

connections = sa.Table(
    "connections",
    metadata,
    _key(),
    sa.Column("connector_id", sa.ForeignKey("connectors.id"), index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("frequency", sa.Text, nullable=False, server_default="manually"),
    sa.Column("project_id", sa.ForeignKey("projects.id")),
    sa.Column("params", sa.Text, nullable=False, server_default="{}"),
    sa.Column("safety", sa.Text, nullable=False, server_default="{}"),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("is_file_upload", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("debug_mode", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("inaccessible", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("memory", sa.Text, nullable=False, server_default="{}"),  # what its runs remember for the next
    sa.Column("schedule", sa.Text),  # a cron expression; it stands in for the frequency
    sa.Column("timezone", sa.Text),  # of its schedule; null = [scheduler] timezone
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("declared", sa.Text, unique=True),  # its name in the configuration files
    sa.Column("next_run", _Instant),
    sa.Column("remote", sa.Text),  # the [remote.NAME] it belongs to; null = it is the embedded server's own
    sa.Column("remote_id", sa.BigInteger),  # its number over there
    sa.Column("remote_project", sa.BigInteger),  # the number of its project over there
    sa.Column("remote_mark", sa.BigInteger),  # the highest number of its jobs over there, as far as is known
    sa.Column("deleted", _Instant),  # out of use; the row stays, for its jobs refer to it
    sa.Column("created", _Instant, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("connections_by_kind", connections.c.kind, connections.c.id)
sa.Index(
    "connections_upload",
    connections.c.project_id,
    connections.c.system,
    unique=True,
    sqlite_where=connections.c.is_file_upload,
    postgresql_where=connections.c.is_file_upload,
)
sa.Index(
    "connections_due",
    connections.c.next_run,
    sqlite_where=connections.c.next_run.is_not(None),
    postgresql_where=connections.c.next_run.is_not(None),
)
sa.Index(
    "connections_remote",
    connections.c.remote,
    connections.c.kind,
    connections.c.remote_id,
    unique=True,
    sqlite_where=connections.c.remote.is_not(None),
    postgresql_where=connections.c.remote.is_not(None),
)
UNSCHEDULED = sa.text(
    "next_run IS NULL AND enabled AND NOT is_file_upload AND deleted IS NULL"
    " AND (frequency <> 'manually' OR schedule IS NOT NULL) AND (NOT inaccessible OR remote IS NOT NULL)"
)
"""Connections that are to run by themselves, of which nobody has said yet when."""

group_mappings = sa.Table(
    "group_mappings",
    metadata,
    _key(),
    sa.Column("connection_id", sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("ldap_group", sa.Text, nullable=False),
    # A group that a mapping names can't be deleted.
    sa.Column("group_id", sa.ForeignKey("groups.id"), nullable=False, index=True),
    sa.Column("last_modified", _Instant, nullable=False),
    sa.UniqueConstraint("connection_id", "ldap_group", "group_id"),
    sqlite_autoincrement=True,
)

sa.Index("connections_unscheduled", connections.c.id, sqlite_where=UNSCHEDULED, postgresql_where=UNSCHEDULED)

jobs = sa.Table(
    "jobs",
    metadata,
    _key(),
    sa.Column("uuid", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("connection_id", sa.ForeignKey("connections.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("result_message", sa.Text, nullable=False, server_default=""),
    sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("preview", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("only", sa.Text),
    sa.Column("user_id", sa.ForeignKey("users.id")),
    sa.Column("triggered_by_id", sa.ForeignKey("users.id")),
    sa.Column("upload_id", sa.ForeignKey("uploads.id")),
    sa.Column("slot", _Instant),  # the scheduled instant, on jobs of the scheduler
    sa.Column(
        "attempt", sa.Integer, nullable=False, server_default="0"
    ),  # counts claims; the fence of each write
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # daemons that died running it
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),  # times it was put off
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", _Instant),  # by the database's clock; PostgreSQL and agents only
    sa.Column("not_before", _Instant, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    # No foreign keys to jobs themselves: SQLite looks for children at each INSERT … RETURNING.
    sa.Column("retry_of", _Id),
    sa.Column("revert_of", _Id),
    sa.Column("totals", sa.Text, nullable=False, server_default="{}"),
    sa.Column("progress", sa.Text, nullable=False, server_default=""),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("started", _Instant),
    sa.Column("finished", _Instant),
    sa.Column("last_run", _Instant, nullable=False),
    sa.UniqueConstraint("connection_id", "slot"),
    sqlite_autoincrement=True,
)


def _partial(
    name: str,
    *columns: sa.Column[object],
    where: sa.ColumnElement[bool] | sa.TextClause,
    unique: bool = False,
) -> None:
    sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# One claimable or running job per connection: "one at a time" holds by structure.
_partial(
    "jobs_one_at_a_time",
    jobs.c.connection_id,
    where=sa.or_(
        jobs.c.state == sa.literal_column("'pending'"), jobs.c.state == sa.literal_column("'running'")
    ),
    unique=True,
)
# A claim is a range of this index, however long the backlog is.
_partial("jobs_claimable", jobs.c.not_before, jobs.c.id, where=jobs.c.state == sa.literal_column("'pending'"))
_partial("jobs_behind", jobs.c.connection_id, jobs.c.id, where=jobs.c.state == sa.literal_column("'behind'"))
# Those that are rare among many. `preview` comes first because listings say which they want: SQLite, which
# knows nothing of how rows are spread, takes an index by what equals something.
_partial(
    "jobs_unsuccessful", jobs.c.preview, jobs.c.id, where=sa.text("outcome IS NULL OR outcome != 'succeeded'")
)
_partial("jobs_by_upload", jobs.c.upload_id, where=jobs.c.upload_id.is_not(None))
_partial("jobs_previews", jobs.c.id, where=sa.text("preview"))
_partial("jobs_by_hand", jobs.c.preview, jobs.c.id, where=sa.text("NOT automatic"))
_partial("jobs_automatic", jobs.c.preview, jobs.c.id, where=sa.text("automatic"))
sa.Index("jobs_by_kind", jobs.c.kind, jobs.c.id)
# With all that listings of a connection ask for, so that what isn't wanted of it costs no look at its rows.
sa.Index("jobs_by_connection", jobs.c.connection_id, jobs.c.id, jobs.c.automatic, jobs.c.outcome)
sa.Index("jobs_by_user", jobs.c.user_id, jobs.c.id, jobs.c.automatic)

job_collections = sa.Table(
    "job_collections",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # JSON: as it came, but for its jobs
    sa.Column("steps", sa.Text, nullable=False),  # JSON: its connections in their order
    sa.Column("schedule", sa.Text),  # a cron expression; null = by hand
    sa.Column("next_run", _Instant),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    sqlite_autoincrement=True,
    comment="datasync jobs that run one after the other",
)

collection_runs = sa.Table(
    "collection_runs",
    metadata,
    _key(),
    sa.Column("collection_id", sa.ForeignKey("job_collections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("preview", sa.Boolean, nullable=False),
    sa.Column("user_id", sa.ForeignKey("users.id")),
    sa.Column("triggered_by_id", sa.ForeignKey("users.id")),
    sa.Column("slot", _Instant),  # the scheduled instant, on those that began by themselves
    sa.Column("outcome", sa.Text),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("finished", _Instant),
    sa.UniqueConstraint("collection_id", "slot"),
    sqlite_autoincrement=True,
)
sa.Index("collection_runs_by_collection", collection_runs.c.collection_id, collection_runs.c.id)
_partial("collection_runs_open", collection_runs.c.id, where=collection_runs.c.finished.is_(None))

collection_steps = sa.Table(
    "collection_steps",
    metadata,
    sa.Column(
        "run_id",
        sa.ForeignKey("collection_runs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("connection_id", sa.ForeignKey("connections.id"), nullable=False),
    sa.Column("aborts", sa.Boolean, nullable=False),  # a failure ends the run
    sa.Column("job_id", _Id),  # no foreign key, it outlives its job; null = it hasn't begun
    sqlite_with_rowid=False,
    comment="what a run of a collection does one after the other",
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.Text, nullable=False),  # SHA-256 of what was asked, hexadecimal
    sa.Column("answer", sa.Text, nullable=False),  # JSON
    sa.Column("created", _Instant, nullable=False, index=True),
    comment="first answers to requests with an Idempotency-Key, to be given again",
)

job_log = sa.Table(
    "job_log",
    metadata,
    _key(),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", _Instant, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),  # JSON object
    sqlite_autoincrement=True,
    comment="what connectors wrote to their jobs' logs",
)
sa.Index("job_log_by_job", job_log.c.job_id, job_log.c.id)

ldap_servers = sa.Table(
    "ldap_servers",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("settings", sa.Text, nullable=False),  # JSON object of texts; the password is sealed
    sa.Column("organizations", sa.Text, nullable=False, server_default="[]"),  # ids of business units
    sa.Column("created", _Instant, nullable=False),
    sa.Column("modified", _Instant, nullable=False),
    sqlite_autoincrement=True,
    comment="directories as the SecurityCenter dialect knows them; connections may name them",
)

remote_agents = sa.Table(
    "remote_agents",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("version", sa.Text, nullable=False, server_default=""),
    sa.Column("platform", sa.Text, nullable=False, server_default=""),
    sa.Column("last_sync", _Instant),
    sqlite_autoincrement=True,
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("remote", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("remote_id", sa.BigInteger),  # the job over there; null = the run was begun here
    sa.Column("seen", sa.Text),  # its last_run when it was first seen; of one that was claimed, its run
    sa.Column("held", sa.Integer),  # the attempt by which it is held over there; null = it wasn't claimed
    sa.Column("state", sa.Text, nullable=False, server_default="owed"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", _Instant, nullable=False, server_default="0"),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("result_id", sa.BigInteger),  # the row over there that has the result
    sa.Column("settled", _Instant),
    sa.UniqueConstraint("remote", "kind", "remote_id", "seen"),
    comment="jobs whose result belongs to a remote server, from before they run until the server has it",
)
_partial("outbox_unsettled", outbox.c.remote, outbox.c.job_id, where=outbox.c.settled.is_(None))

reads = sa.Table(
    "reads",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("target_size", sa.BigInteger),
    sa.Column("additions_hold", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("why", sa.Text, nullable=False, server_default=""),
    comment="which readings of a run were proven whole, and how large the target was",
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("cwes", sa.Text, nullable=False),  # JSON array of numbers
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("mapped", sa.Boolean, nullable=False),
    sa.Column("tasks", sa.Text, nullable=False),  # JSON array
    sa.Column("examples", sa.Text, nullable=False),  # JSON array
    sqlite_with_rowid=False,
    comment="what an import found, a row per weakness, and where it went",
)

mappings = sa.Table(
    "mappings",
    metadata,
    sa.Column("connection_id", sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("csv", sa.Text, nullable=False),
    sa.Column("updated", _Instant, nullable=False),
    comment="which tasks a connection's findings speak about, in its own words",
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("op", sa.Text, nullable=False),
    sa.Column("destructive", sa.Boolean, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("before", sa.Text),  # JSON; null = absent
    sa.Column("after", sa.Text),
    sa.Column("proof", sa.Text),  # name of the reading it rests on
    sa.Column("why", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("assigned", sa.Text),
    sa.Column("settled", _Instant),
    sqlite_with_rowid=False,
    comment="the plan, the preview, the progress, the journal and the source of a revert",
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("connection_id", sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),  # JSON: what the target assigned
    sa.Column("job_id", _Id, nullable=False),  # whose change it was; no foreign key, it outlives its job
    sqlite_with_rowid=False,
    comment="what the things are over there that runs have made: their references",
)

approvals = sa.Table(
    "approvals",
    metadata,
    _key(),
    sa.Column(
        "connection_id", sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("allowed", sa.Integer, nullable=False),  # destructive changes
    sa.Column("user_id", sa.ForeignKey("users.id")),
    sa.Column("created", _Instant, nullable=False),
    sa.Column("until", _Instant, nullable=False),
    sa.Column("job_id", _Id),  # the run it is for; null = the connection's next
    sa.Column("used_by", _Id),  # the job
    sqlite_autoincrement=True,
)
