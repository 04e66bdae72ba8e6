"""``runner status``: how the daemon is."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.cli.command import DONE, AsJson, on_server
from runner.cli.listings import STATUS, pick
from runner.cli.output import console, facts, local_time, print_json, table, text
from runner.cli.reach import Where, reach
from runner.cli.refusals import Json


@on_server
def status(where: Where, *, as_json: AsJson = False) -> int:
    """Show how the daemon is; exit code 69 if none is running."""
    # Never in process: a monitor that asks often would take the state lock from a daemon that starts.
    with reach(where, needs_daemon="Start it with `runner run`, or as a service.") as client:
        row = pick(STATUS, client.get("status/"))
    if as_json:
        print_json(row)
    else:
        _print(row)
    return DONE


def _print(row: Json) -> None:
    facts(
        [
            ("ready", text("yes", "green") if row["ready"] else text("no", "bold red")),
            *(("because", reason) for reason in row["not_ready"] or []),
            ("state", row["state"]),
            ("paused since", local_time((row["paused"] or {}).get("since"))),
            ("nothing is written until", local_time(row["frozen_until"])),
            ("next scheduled run", local_time(row["next_run"])),
            *_remotes(row["remotes"] or []),
            *_configuration(row["configuration"] or {}),
            ("version", row["version"]),
            ("schema", row["schema"]),
            ("jobs", _counts(row["jobs"])),
            ("running", ", ".join(map(str, row["running"] or [])) or None),
            ("slots", row["slots"]),
            ("connections", row["connections"]),
            *((f"broken: {name}", why) for name, why in (row["broken_systems"] or {}).items()),
        ]
    )
    if row["failures"]:
        console().print(text("\nThe last failures:", "bold"))
        table(
            ["#Job", "Connection", "!Reason", "!When", "Message"],
            (
                [
                    f["id"],
                    f["connection"]["alias"],
                    f["reason"],
                    local_time(f["last_run"]),
                    f["result_message"],
                ]
                for f in row["failures"]
            ),
        )


def _remotes(rows: Sequence[Json]) -> list[tuple[str, Any]]:
    """How each remote server is, and what of it nobody serves."""
    lines: list[tuple[str, Any]] = []
    for row in rows:
        name = f"remote {row['name']}"
        counts = f"{row['taken']} jobs taken, {row['delivered']} results delivered"
        if row["undelivered"] or row["refused"]:
            counts += f", {row['undelivered']} waiting, {row['refused']} refused"
        lines.append((name, text(f"away: {row['away']}", "bold red") if row["away"] else "answers"))
        lines += [(f"{name} since the start", counts), (f"{name} last polled", local_time(row["last_poll"]))]
        lines += [(f"{name}: nobody serves", why) for why in row["unserved"]]
        if row["warning"]:
            lines.append((f"{name}: beware", row["warning"]))
    return lines


def _configuration(row: Json) -> list[tuple[str, Any]]:
    """What a reload could not do."""
    refused, names = row.get("refused"), row.get("restart_needed") or []
    return [
        *([("refused settings", f"the old ones hold: {refused}")] if refused else []),
        *([("wait for a restart", ", ".join(names))] if names else []),
    ]


def _counts(numbers: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{number} {state}" for state, number in (numbers or {}).items())
