"""The settings: every section of the configuration with its keys, defaults and rules.

Durations are written ``"30s"``, sizes ``"64MiB"``. An unknown key is an error that names the
nearest known one. ``configuration.py`` reads them from files and environment.
"""

from runner.settings.explaining import explain
from runner.settings.sections import (
    DAEMON_ONLY,
    Datasync,
    Declaration,
    Engine,
    GroupMapping,
    Log,
    Metrics,
    Plugins,
    Provider,
    Remote,
    Retention,
    Safety,
    Scheduler,
    Server,
    SharedParams,
    Store,
)
from runner.settings.values import SECRET, SIZE, Section, remote_url
from runner.settings.whole import (
    Settings,
    credential_in,
    overridden,
    reloaded,
    secret_settings,
    secrets_of,
)

__all__ = [
    "DAEMON_ONLY",
    "SECRET",
    "SIZE",
    "Datasync",
    "Declaration",
    "Engine",
    "GroupMapping",
    "Log",
    "Metrics",
    "Plugins",
    "Provider",
    "Remote",
    "Retention",
    "Safety",
    "Scheduler",
    "Section",
    "Server",
    "Settings",
    "SharedParams",
    "Store",
    "credential_in",
    "explain",
    "overridden",
    "reloaded",
    "remote_url",
    "secret_settings",
    "secrets_of",
]
