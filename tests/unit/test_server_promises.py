"""What the server promises to those who speak to it, and which tests hold it to that."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
_SERVER = "integration/server/test_server_"

PROMISES: dict[str, tuple[str, ...]] = {
    # Who may do what.
    "All dialects share one table of users.": (f"{_SERVER}doors.py::test_one_user_comes_in_by_each_dialect",),
    "A token has a user, scopes, an expiry and a last use.": (
        f"{_SERVER}auth.py::test_a_token_dies_with_its_expiry_and_its_user",
        f"{_SERVER}auth.py::test_the_last_use_is_written_once_a_minute",
        f"{_SERVER}auth.py::test_every_route_wants_its_scope",
    ),
    "Of a token only a hash is kept.": (f"{_SERVER}auth.py::test_a_token_is_told_once_and_kept_as_a_hash",),
    "A token is dead while its user is inactive.": (
        f"{_SERVER}people.py::test_a_user_leaves_and_the_tokens_are_dead",
        f"{_SERVER}doors.py::test_a_token_dies_in_all_dialects_at_once",
    ),
    "SecurityCenter's keys are a token's id and the token; its log-in is e-mail and token.": (
        f"{_SERVER}securitycenter.py::test_keys_that_do_not_belong_together",
        f"{_SERVER}securitycenter.py::test_a_session_by_e_mail_and_token",
    ),
    "GroupID's password grant is e-mail and token.": (
        f"{_SERVER}doors.py::test_one_user_comes_in_by_each_dialect",
    ),
    "Collections of datasync jobs are kept and run as documented, and outlive the daemon.": (
        "acceptance/test_datasync_collections.py::test_the_documented_requests",
        "acceptance/test_datasync_collections.py::test_jobs_run_in_their_order_and_a_failure_does_what_is_asked",
        "acceptance/test_datasync_collections.py::test_killed_at_its_commits_a_run_goes_on",
    ),
    "There are no other passwords, no default credentials, and no sample in an installed service.": (
        f"{_SERVER}doors.py::test_nobody_comes_into_a_fresh_daemon",
        "packaging/test_package.py::test_no_sample_data_and_no_token_come_with_it",
    ),
    "An address that shows bad tokens again and again waits, and is told how long.": (
        f"{_SERVER}more.py::test_bad_tokens_are_slowed_and_good_ones_are_not",
    ),
    "Health, and on this machine the metrics, are told to anybody; nothing else is.": (
        f"{_SERVER}errors.py::test_health_without_a_token",
        f"{_SERVER}metrics.py::test_this_machine_sees_it_without_a_token",
        f"{_SERVER}rights.py::test_every_route_lets_in_whom_its_row_names",
    ),
    # The SD Elements dialect: jobs.
    "The header's scheme is taken in any case, with quotes and a colon.": (
        f"{_SERVER}auth.py::test_spellings_of_the_header",
    ),
    "Each request of the original's pages is answered as they print it.": (
        f"{_SERVER}replay.py::test_a_printed_request_about_jobs",
        f"{_SERVER}replay.py::test_a_printed_request_with_a_report",
        f"{_SERVER}replay.py::test_a_printed_request_about_group_mappings",
        f"{_SERVER}replay.py::test_no_printed_request_is_without_a_row",
    ),
    "Paths are taken in both styles, with and without the last slash, the kind in any case.": (
        f"{_SERVER}replay.py::test_rules_lines_are_answered_as_well",
        f"{_SERVER}jobs.py::test_the_older_path_narrows_to_its_project",
    ),
    "A job carries all fields of all pages, and more by include.": (
        f"{_SERVER}jobs.py::test_a_listing_has_the_fields_of_the_seeds",
        f"{_SERVER}journal.py::test_who_allowed_it_is_told",
    ),
    "user is the account it ran under, triggered_by who asked for it.": (
        f"{_SERVER}jobs.py::test_expand_shows_whole_users",
        f"{_SERVER}initiate.py::test_a_result_without_a_waiting_job_is_history",
    ),
    "The filters take Booleans in any case; a bad value is 400 and named.": (
        f"{_SERVER}replay.py::test_the_filters",
        f"{_SERVER}jobs.py::test_filters",
        f"{_SERVER}jobs.py::test_a_bad_filter_is_named",
    ),
    "A list is the newest first, whole unless pages are asked for, streamed, and never cut.": (
        f"{_SERVER}jobs.py::test_the_newest_comes_first_and_nothing_is_cut",
        f"{_SERVER}jobs.py::test_pages_lead_through_the_whole_listing_and_back",
        f"{_SERVER}jobs.py::test_a_listing_streams_with_flat_memory",
    ),
    "Each POST that asks for a run adds a row; those of a connection run one after another.": (
        f"{_SERVER}initiate.py::test_a_run_is_queued_and_the_engine_told",
    ),
    "A result needs its message unless ready is written out; an empty one will do.": (
        f"{_SERVER}initiate.py::test_ready_true_needs_no_message",
        f"{_SERVER}replay.py::test_rules_lines_are_answered_as_well",
    ),
    "A result ends the oldest waiting job of that sort, or the one it names, or is a row of its own.": (
        f"{_SERVER}initiate.py::test_a_result_finishes_the_oldest_waiting_job",
        f"{_SERVER}initiate.py::test_a_result_may_name_its_job",
        f"{_SERVER}initiate.py::test_a_result_without_a_waiting_job_is_history",
    ),
    "A job that runs here, or is held by an agent, is never ended from outside.": (
        f"{_SERVER}initiate.py::test_a_job_that_runs_is_not_finished_from_outside",
        f"{_SERVER}agents.py::test_what_is_held_is_nobody_elses",
    ),
    "An Idempotency-Key brings the first answer again.": (
        f"{_SERVER}agents.py::test_a_request_sent_again_is_answered_as_the_first_time",
        f"{_SERVER}agents.py::test_a_report_sent_again_is_taken_once",
    ),
    "Kinds without the permission are left out of all jobs, and listed without params by kind.": (
        f"{_SERVER}jobs.py::test_what_may_not_be_seen_is_left_out_or_without_params",
        f"{_SERVER}rights.py::test_params_are_for_those_who_edit_their_kind",
    ),
    "Secrets are shown to agents over private lines only; others see a mask.": (
        f"{_SERVER}agents.py::test_secrets_go_over_private_lines_only",
        f"{_SERVER}jobs.py::test_secrets_are_masked",
    ),
    "The mask written back means unchanged, null and empty clear, PUT replaces and PATCH merges.": (
        f"{_SERVER}connections.py::test_params_are_merged_or_replaced",
    ),
    "Who changes where a secret goes gives it again, in tests too.": (
        f"{_SERVER}connections.py::test_a_stored_secret_goes_to_no_other_host",
        f"{_SERVER}more.py::test_a_test_carries_no_secret_to_another_host",
        f"{_SERVER}connectors.py::test_a_connectors_secret_stays_with_its_host",
    ),
    # Reports, connections, the platform.
    "A report comes with params as JSON text; too large is 413; one connection per project and system.": (
        f"{_SERVER}analysis_file.py::test_params_are_validated_and_kept",
        f"{_SERVER}analysis_file.py::test_too_large_is_413",
        f"{_SERVER}analysis_file.py::test_a_project_has_one_upload_connection_per_system",
    ),
    "Uploaded files go when their time is over.": (
        "contract/test_retention.py::test_files_of_uploads_go_and_their_rows_stay",
    ),
    "Connections are made, changed, removed and tested.": (
        f"{_SERVER}connections.py::test_a_connection_is_made_and_shown",
        f"{_SERVER}connections.py::test_a_removed_connection_keeps_its_history",
        f"{_SERVER}more.py::test_a_stored_connection_is_tested",
    ),
    "What is inaccessible is left to agents.": (
        f"{_SERVER}agents.py::test_the_server_leaves_to_agents_what_it_does_not_reach",
    ),
    "Effective params are the connector's with the connection's own over them.": (
        f"{_SERVER}connectors.py::test_a_connection_runs_with_both",
        f"{_SERVER}connectors.py::test_what_is_shown_can_be_written_back_and_follows",
    ),
    "A mapping goes in and out as CSV, and findings are listed by whether a task answers.": (
        f"{_SERVER}more.py::test_a_mapping_is_put_and_read_back",
        f"{_SERVER}more.py::test_findings_are_told_by_whether_a_task_answers",
    ),
    "Group mappings are a superuser's; all words of a search must match.": (
        f"{_SERVER}people.py::test_group_mappings_are_for_superusers",
        f"{_SERVER}replay.py::test_group_mappings_are_searched",
    ),
    "Projects, applications and business units are made, found, changed and removed.": (
        f"{_SERVER}platform.py::test_the_chain_of_names_is_made_and_found",
        f"{_SERVER}platform.py::test_places_are_changed_moved_and_removed",
    ),
    "Tasks and notes are made, listed, changed and removed.": (
        f"{_SERVER}more.py::test_tasks_of_the_project_alone_come_and_go",
        f"{_SERVER}platform.py::test_tasks_are_listed_and_filtered",
        f"{_SERVER}platform.py::test_a_status_is_set",
        f"{_SERVER}platform.py::test_notes_are_written_listed_and_removed",
    ),
    "Users and groups are made, listed, changed and removed, users also by the dozen.": (
        f"{_SERVER}people.py::test_users_are_added_listed_changed_and_removed",
        f"{_SERVER}people.py::test_groups_have_members_of_both_sorts",
        f"{_SERVER}bulk_users.py::test_a_list_is_looked_at_first_and_then_added",
    ),
    "Analyses of others come in whole, and tasks follow by the status rule.": (
        f"{_SERVER}more.py::test_an_analysis_comes_in_whole",
        f"{_SERVER}more.py::test_a_second_word_stands_as_its_behaviour_says",
    ),
    "Statuses, phases, systems and plug-ins are told.": (
        f"{_SERVER}platform.py::test_the_fixed_lists",
        "unit/test_server_plugins.py::test_each_sort_of_parameter_has_its_field",
        "acceptance/test_export.py::test_connectors_are_listed_and_described",
    ),
    "Remote agents say that they are there.": (
        f"{_SERVER}more.py::test_remote_agents_say_that_they_are_there",
    ),
    # Extensions.
    "Extensions are marked in the description, which is complete and true.": (
        f"{_SERVER}errors.py::test_the_description_is_true",
        f"{_SERVER}schema.py::test_no_answer_is_outside_the_description",
    ),
    "Jobs are claimed, held by heartbeats, given back and ended by agents.": (
        f"{_SERVER}agents.py::test_an_agent_takes_runs_and_reports",
        f"{_SERVER}agents.py::test_given_back_it_is_taken_again",
        f"{_SERVER}agents.py::test_a_silent_agent_loses_its_job",
    ),
    "A job's log, changes and events are told.": (
        f"{_SERVER}more.py::test_a_jobs_log_is_shown",
        f"{_SERVER}deeds.py::test_changes_are_told_in_pages",
        f"{_SERVER}more.py::test_a_job_is_watched_to_its_end",
    ),
    "A job is cancelled, run again as a new one, and taken back.": (
        f"{_SERVER}deeds.py::test_a_waiting_job_is_cancelled_at_once",
        f"{_SERVER}deeds.py::test_a_finished_job_is_run_again",
        f"{_SERVER}deeds.py::test_a_run_is_taken_back",
    ),
    "A preview is never a run: not listed unasked, not claimed, not ended from outside, not sent on.": (
        f"{_SERVER}jobs.py::test_previews_are_seen_by_those_who_ask",
        f"{_SERVER}initiate.py::test_a_preview_is_never_finished_from_outside",
        f"{_SERVER}agents.py::test_the_server_leaves_to_agents_what_it_does_not_reach",
        "acceptance/test_commands.py::test_preview_then_run",
    ),
    "Jobs of datasync have their kind among the others.": (
        f"{_SERVER}doors.py::test_jobs_of_datasync_are_a_kind_like_others",
    ),
    "Errors are those of Django REST framework, each with its status.": (
        f"{_SERVER}errors.py::test_what_there_is_not",
        f"{_SERVER}errors.py::test_a_method_there_is_not",
        f"{_SERVER}errors.py::test_a_body_of_another_kind",
        f"{_SERVER}errors.py::test_a_body_that_is_too_large",
        f"{_SERVER}errors.py::test_a_store_that_takes_nothing_is_503",
        f"{_SERVER}clients.py::test_refusals_are_told",
    ),
    # What must never happen.
    "A job that another holds is not run here.": (f"{_SERVER}agents.py::test_what_is_held_is_nobody_elses",),
    "A mask is never stored.": (f"{_SERVER}connections.py::test_params_are_merged_or_replaced",),
    "A directory never makes a superuser, nor an administrator.": (
        f"{_SERVER}people.py::test_power_over_users_is_not_taken",
    ),
    "No module of others loads unless it is allowed.": (
        "acceptance/test_plugins.py::test_what_is_not_allowed_is_not_loaded",
    ),
    "No code of a datasync job is run.": (
        "acceptance/test_datasync.py::test_code_is_refused_until_it_is_accepted_as_ignored",
    ),
    "A state that was copied or restored starts paused.": (
        "acceptance/test_backup.py::test_a_copied_state_starts_paused",
        "acceptance/test_backup.py::test_a_backup_is_put_back_and_starts_paused",
    ),
}
"""Each promise with the tests that try to break it, as file and name."""


@cache
def _tests_in(file: str) -> dict[str, str]:
    """The tests of a file with their docstrings."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_its_tests(promise: str) -> None:
    """The tests that a promise names are there, and each says what it holds."""
    assert PROMISES[promise], "no test holds it"
    for named in PROMISES[promise]:
        file, _, name = named.partition("::")
        assert _tests_in(file).get(name), f"{named} isn't there"
