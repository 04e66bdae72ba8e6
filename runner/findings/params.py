"""The parameters that all importers of findings share."""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from runner.findings.status import Behaviour
from runner.model.platform import Meaning, Verification
from runner.ports import Params

_MEANINGS = {
    "todo": Meaning.TODO,
    "incomplete": Meaning.TODO,
    "ts2": Meaning.TODO,
    "done": Meaning.DONE,
    "complete": Meaning.DONE,
    "ts1": Meaning.DONE,
}
"""Ways to write a task status. Not applicable is left out: no scan can show that."""


def _meanings(value: object) -> dict[str, Meaning]:
    """Read ``task_status_mapping``, an object or its JSON text; an empty entry = leave as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError('write it as a JSON object, as {"fail": "TODO", "pass": "DONE"}') from None
    if not isinstance(value, dict):
        raise ValueError('it has to be an object, as {"fail": "TODO", "pass": "DONE"}')  # noqa: TRY004 - pydantic reports ValueError only
    mapping: dict[str, Meaning] = {}
    for verdict, status in value.items():
        if status in (None, ""):
            continue
        meaning = _MEANINGS.get(str(status).strip().casefold())
        if verdict not in {Verification.PASS, Verification.PARTIAL, Verification.FAIL}:
            raise ValueError(f"{verdict!r} is no result of a scan; there are pass, partial and fail")
        if meaning is None or (verdict == Verification.FAIL and meaning is not Meaning.TODO):
            allowed = "TODO" if verdict == Verification.FAIL else "TODO or DONE"
            raise ValueError(f"{verdict} can't set a task to {status!r}, only to {allowed}")
        mapping[str(verdict)] = meaning
    return mapping


class AnalysisParams(Params):
    """What every importer of findings can be told."""

    import_behaviour: Behaviour = Field(
        default=Behaviour.REPLACE,
        description="What happens to earlier results of a task: replace (all of them go), replace-scanner "
        "(those of the same scanner go) or combine (they stay, and the worst one counts).",
    )
    task_status_mapping: Annotated[dict[Verification, Meaning], BeforeValidator(_meanings)] = Field(
        default={},
        description="Task status to set for each result of the scan, as a JSON object with the keys pass, "
        "partial and fail and the values TODO or DONE. A result that isn't named leaves the status alone.",
    )
    flaws_only: bool = Field(
        default=False,
        description="Only set tasks to fail; never set one to pass because nothing was found.",
    )
    confirm_empty: bool = Field(
        default=False,
        description="Let a source without any finding set tasks to pass at once. Without this, it has to "
        "be imported twice in a row, started by a person the second time.",
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: Any) -> Any:
        """Take ``""`` and null as not given: that is how forms and the API clear a value."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None and value != ""}
