"""The shapes of what the dialect takes and tells, for the API's description."""

from collections.abc import Mapping

from runner.server.openapi import Schema
from runner.server.sdelements.schemas.connections import CONNECTIONS
from runner.server.sdelements.schemas.jobs import JOBS
from runner.server.sdelements.schemas.others import OTHERS
from runner.server.sdelements.schemas.people import PEOPLE
from runner.server.sdelements.schemas.platform import PLATFORM

SCHEMAS: Mapping[str, Schema] = {**JOBS, **CONNECTIONS, **PLATFORM, **PEOPLE, **OTHERS}
"""All shapes by the names that the routes refer to."""
