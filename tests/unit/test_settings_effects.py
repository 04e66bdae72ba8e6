"""Every setting has a test that shows what it does: the list of them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from runner.settings import Settings

TESTS = Path(__file__).parents[1]

_LIFE = "acceptance/test_life.py"
_UNRULY = "acceptance/test_unruly.py::test_each_fails_its_own_job_alone"
_SLOTS = "integration/test_settings_in_force.py::test_times_are_those_that_are_set"
_CEILINGS = "unit/test_boundary.py::test_destruction_has_a_floor_a_count_and_a_share"
_TOO_MUCH = "unit/test_boundary.py::test_passing_and_creating_too_much_want_an_approval_too"
_NETWORK = "integration/test_settings_in_force.py::test_rules_for_the_network_hold_for_connections"
_RETENTION = "contract/test_retention.py"
_REMOTE = "integration/remote/test_remote.py"
_REMOTE_SETTINGS = "integration/remote/test_remote_settings.py"
_FAR = f"{_REMOTE_SETTINGS}::test_a_private_authority_and_a_proxy"
_PROVIDER = "unit/test_providers.py::test_a_provider_is_what_its_job_is_given"
_KEPT_SERVER = "integration/server/test_server_providers.py::test_destination_may_be_a_kept_server"
_PLUGINS = "acceptance/test_plugins.py"
_DECLARED = "acceptance/test_declared.py"
_ALL_OF_IT = f"{_DECLARED}::test_all_that_is_declared_is_in_force"

_SHARED = f"{_DECLARED}::test_a_connector_of_the_organisation_lies_under_its_connections"

EFFECTS = {
    "state_dir": "acceptance/test_config.py::test_the_state_is_where_it_is_set",
    "server.listen": "acceptance/test_metrics.py::test_what_is_told_is_clean",
    "server.max_upload": "integration/server/test_server_analysis_file.py::test_too_large_is_413",
    "server.tls_cert": _FAR,
    "server.tls_key": _FAR,
    "server.behind_proxy": "integration/server/test_server_metrics.py::test_behind_a_proxy_it_wants_a_token",
    "store.url": "integration/test_two_daemons.py::test_a_killed_daemons_jobs_are_done_by_the_other",
    "engine.concurrency": "acceptance/test_unruly.py::test_no_more_run_than_are_allowed",
    "engine.job_timeout": _UNRULY,
    "engine.memory_limit": _UNRULY,
    "engine.max_attempts": "acceptance/test_unruly.py::test_a_run_that_never_ends_dies_with_the_daemon",
    "engine.drain_deadline": f"{_LIFE}::test_the_deadline_hands_jobs_back",
    "engine.lease": "integration/test_two_daemons.py::test_a_killed_daemons_jobs_are_done_by_the_other",
    "engine.retries": f"{_LIFE}::test_a_job_whose_other_side_asks_for_later_is_tried_again",
    "engine.retry_delay": f"{_LIFE}::test_a_job_that_waits_for_another_attempt_can_be_cancelled",
    "scheduler.timezone": _SLOTS,
    "scheduler.hourly_at": _SLOTS,
    "scheduler.daily_at": _SLOTS,
    "scheduler.weekly_on": _SLOTS,
    "scheduler.monthly_on": _SLOTS,
    "scheduler.spread": "integration/test_settings_in_force.py::test_connections_spread_as_far_as_is_set",
    "scheduler.freeze": f"{_LIFE}::test_in_a_window_nothing_is_written",
    "safety.max_destructive": _CEILINGS,
    "safety.max_destructive_share": _CEILINGS,
    "safety.destructive_floor": _CEILINGS,
    "safety.max_pass_share": _TOO_MUCH,
    "safety.max_creates": _TOO_MUCH,
    "safety.max_creates_later": "unit/test_boundary.py::test_after_a_first_run_creations_have_a_ceiling",
    "safety.unverified_tls": _NETWORK,
    "safety.clear_text_ldap": _NETWORK,
    "safety.egress_deny": _NETWORK,
    "safety.egress_allow": _NETWORK,
    "retention.jobs": f"{_RETENTION}::test_changes_go_before_their_job",
    "retention.changes": f"{_RETENTION}::test_changes_go_before_their_job",
    "retention.logs": f"{_RETENTION}::test_logs_go_long_before_their_job",
    "retention.uploads": f"{_RETENTION}::test_files_of_uploads_go_and_their_rows_stay",
    "retention.previews": f"{_RETENTION}::test_previews_go_early",
    "metrics.listen": "acceptance/test_metrics.py::test_an_alert_fires_and_resolves",
    "metrics.connections": "integration/server/test_server_metrics.py::test_too_many_connections_have_none",
    "remote.url": f"{_REMOTE}::test_a_pending_job_is_run_here_and_its_result_is_there",
    "remote.token": f"{_REMOTE}::test_a_renewed_token_is_read_again",
    "remote.poll_interval": "integration/test_settings_in_force.py::test_polls_come_as_often_as_is_set",
    "remote.kinds": f"{_REMOTE_SETTINGS}::test_kinds_and_systems_are_those_that_are_named",
    "remote.systems": f"{_REMOTE_SETTINGS}::test_kinds_and_systems_are_those_that_are_named",
    "remote.take": f"{_REMOTE}::test_what_the_server_can_reach_itself_is_left_to_it",
    "remote.mode": f"{_REMOTE}::test_observing_writes_and_posts_nothing",
    "remote.ca_bundle": _FAR,
    "remote.proxy": _FAR,
    "remote.timeout": f"{_REMOTE_SETTINGS}::test_who_says_nothing_is_given_up_in_time",
    "remote.secrets": f"{_REMOTE}::test_secrets_kept_at_home_go_to_their_host_only",
    "datasync.folders": "unit/test_providers.py::test_no_workbook_is_read_elsewhere",
    "datasync.password_folder": "unit/test_providers.py::test_made_passwords_have_their_folder",
    "provider.workbook": _PROVIDER,
    "provider.servers": _PROVIDER,
    "provider.security": _PROVIDER,
    "provider.directory": _KEPT_SERVER,
    "provider.bind_dn": _PROVIDER,
    "provider.password": _PROVIDER,
    "provider.ca_bundle": _PROVIDER,
    "provider.verify": _PROVIDER,
    "provider.container": _PROVIDER,
    "plugins.allow": f"{_PLUGINS}::test_what_is_not_allowed_is_not_loaded",
    "plugins.path": f"{_PLUGINS}::test_what_is_allowed_runs",
    "log.level": f"{_LIFE}::test_the_log_level_is_swapped",
    "log.format": "acceptance/test_config.py::test_the_log_is_for_people_where_they_want_it",
    "connector.system": _SHARED,
    "connector.alias": _SHARED,
    "connector.params": _SHARED,
    "connector.editable": f"{_DECLARED}::test_what_is_wrong_with_a_shared_connector_is_told",
    "connection.connector": _SHARED,
    "connection.name": f"{_DECLARED}::test_a_reload_adds_changes_and_removes",
    "connection.system": _ALL_OF_IT,
    "connection.kind": _ALL_OF_IT,
    "connection.alias": _ALL_OF_IT,
    "connection.frequency": _ALL_OF_IT,
    "connection.schedule": _ALL_OF_IT,
    "connection.timezone": _ALL_OF_IT,
    "connection.project": _ALL_OF_IT,
    "connection.enabled": _ALL_OF_IT,
    "connection.params": _ALL_OF_IT,
    "connection.safety": _ALL_OF_IT,
    "connection.group_mappings.ldap_group": f"{_DECLARED}::test_the_api_shows_them_and_can_not_change_them",
    "connection.group_mappings.group": f"{_DECLARED}::test_the_api_shows_them_and_can_not_change_them",
}
"""By setting the test that shows its effect; a table's keys stand once, for all of its names."""


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all single settings."""
    for name, field in model.model_fields.items():
        inner: Any = field.annotation
        while not isinstance(inner, type) and get_args(inner):
            inner = get_args(inner)[-1]  # of a list or a table what it is of
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from settings_of(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


@cache
def functions_of(file: str) -> frozenset[str]:
    """The functions of a module."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_setting_has_its_test() -> None:
    """A new setting comes with a test of its effect; a removed one takes its row along."""
    assert set(EFFECTS) == set(settings_of(Settings))


@pytest.mark.parametrize("name", EFFECTS)
def test_the_tests_are_there(name: str) -> None:
    """The named test exists, in a module that speaks of the setting."""
    file, test = EFFECTS[name].split("::")
    assert test.startswith("test_")
    assert test in functions_of(file)
    key = name.rpartition(".")[2]
    assert key in (TESTS / file).read_text(encoding="utf-8").casefold()
