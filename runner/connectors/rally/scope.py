"""Which tasks a connection is about."""

from runner.connectors.rally.params import RallyParams
from runner.model.platform import Task


def in_scope(task: Task, params: RallyParams) -> bool:
    """Whether a task is in scope. Selected tasks replace all filters.

    The status is none of them: it says for which tasks items are made, see ``creates``.
    """
    if params.selected_tasks:
        return task.task_id in params.selected_tasks
    verification = params.sde_verification_filter
    return (
        task.phase in params.alm_phases
        and task.priority >= params.sde_min_priority
        and set(params.sde_tags_filter) <= set(task.tags)
        and (not verification or task.verification_status in verification)
    )


def creates(task: Task, params: RallyParams) -> bool:
    """Whether a task in scope gets an item if it has none."""
    return bool(params.selected_tasks) or task.meaning in params.sde_statuses_in_scope


def wanted_only(task: Task, only: str | None) -> bool:
    """Whether a run for one subject is about this task."""
    return only is None or only in (task.id, task.task_id)
