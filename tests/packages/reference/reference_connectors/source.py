"""Both connectors' source: a JSON file that counts its records, so that a cut shows."""

import json
from pathlib import Path
from typing import Any

from runner.errors import BadInput
from runner.model.changes import Complete
from runner.ports import Context


def read_records(path: Path) -> tuple[list[Any], int]:
    """The records of a source, and how many it says it has."""
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
        return list(source["records"]), int(source["count"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path.name} is not a list of records: {error}."
        raise BadInput(msg) from error


def prove(ctx: Context, records: list[Any], count: int, *, target_size: int) -> Complete | None:
    """Declare the source read whole, if it is; None = it isn't."""
    reading = ctx.reading("source", target_size=target_size)
    if len(records) < count:
        reading.incomplete(f"it has {len(records)} of {count} records")
        return None
    return reading.complete(len(records))
