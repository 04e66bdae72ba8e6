"""What a worker tells is without its connection's secrets before anything is made of it."""

import json
from typing import Any

import pytest

from runner.engine.catalogue import System
from runner.engine.cleaning import Cleaner, secrets_of
from runner.errors import Reason, Refused
from runner.messages import (
    Failed,
    FromWorker,
    LogLine,
    OutcomeRow,
    Outcomes,
    Plan,
    Planned,
    PlanRow,
    Progress,
    Read,
)
from runner.model.changes import ChangeState, Op, Target
from runner.model.jobs import Connection, Frequency, Kind

SECRET = 'pa"ss/wörd'


def row(sequence: int = 1, target: Target = Target.PLATFORM, **fields: Any) -> PlanRow:
    """A planned change that holds nothing secret but what ``fields`` says."""
    values: dict[str, Any] = {
        "kind": "task",
        "key": "7-T1",
        "subject": "T1",
        "before": None,
        "after": "{}",
        "proof": None,
        "why": "",
    }
    return PlanRow(sequence=sequence, target=target, op=Op.UPDATE, **{**values, **fields})


def connection(**params: Any) -> Connection:
    """A connection with some parameters."""
    return Connection(
        id=1,
        kind=Kind.ALM,
        system="acme",
        alias="Acme",
        command="",
        frequency=Frequency.MANUALLY,
        project_id=None,
        params=params,
    )


SYSTEM = System(id="acme", kind=Kind.ALM, name="", short_name="", command="", secrets=("pin", "login"))


def test_which_parameters_are_secret() -> None:
    """The connector says which; what is inside of a structure counts, and a number as well."""
    found = connection(pin=1234567, login={"user": "anna-lena", "more": ["secret-1"]}, password="not-one")
    assert secrets_of(found, lambda: {"acme": SYSTEM}) == {"1234567", "anna-lena", "secret-1"}


def test_unknown_connectors_have_secrets_too() -> None:
    """Where the connector can't be asked, what sounds like a secret is one."""

    def away() -> dict[str, System]:
        raise Refused("The connectors are busy.", status=503)

    found = connection(password="abcdefg", url="https://example.org")
    assert secrets_of(found, away) == secrets_of(found, dict) == {"abcdefg"}
    assert secrets_of(connection(), away) == set()


@pytest.mark.parametrize("written", [SECRET, json.dumps(SECRET)[1:-1], "pa%22ss%2Fw%C3%B6rd"])
def test_all_texts_are_cleaned(written: str) -> None:
    """Each message loses the secret in each of its spellings, and nothing else."""
    cleaner = Cleaner([SECRET])
    messages: list[FromWorker] = [
        Plan(rows=[row(subject=f"a {written} b", why=f"{written}!", proof=written)]),
        Read(name=f"read {written}", complete=True, why=f"{written}"),
        Planned(sentences=[f"Said {written}."], totals={f"n {written}": 1}),
        Outcomes(rows=[OutcomeRow(1, ChangeState.FAILED, f"no {written}", None)]),
        LogLine(event=f"{written}", fields={written: [{"a": written}], "n": 1}),
    ]
    for message in messages:
        cleaned = cleaner.message(message).model_dump_json()
        assert "wörd" not in cleaned
        assert "w%C3" not in cleaned
        assert "********" in cleaned
    failed = cleaner.message(Failed(reason=Reason.INTERNAL, message=written, detail=written))
    assert isinstance(failed, Failed)
    assert (failed.message, failed.detail) == ("********", "********")


def test_values_stay_json() -> None:
    """What is stored as JSON can be read after it was cleaned, whatever the secret looked like."""
    cleaner = Cleaner([SECRET, "123456", '{"a":1}'])
    afters = ['{"text":"pa\\"ss/wörd"}', '{"n":1234567}', '{"a":1}', '{"fine":true}']
    plan = cleaner.message(Plan(rows=[row(n, after=after) for n, after in enumerate(afters, 1)]))
    assert isinstance(plan, Plan)
    values = [json.loads(one.after or "") for one in plan.rows]
    mask = {"********": "********"}
    assert values == [{"text": "********"}, mask, mask, {"fine": True}]


def test_what_would_be_sent_with_a_mask_is_marked() -> None:
    """A change for the outside whose key or values held a secret isn't sent; a name may hold one."""
    cleaner = Cleaner([SECRET])
    value = json.dumps({"text": SECRET}, ensure_ascii=False)
    outside = [
        row(1, Target.OUTSIDE, key=SECRET),
        row(2, Target.OUTSIDE, before=value),
        row(3, Target.OUTSIDE, after=value),
        row(4, Target.OUTSIDE, subject=SECRET, why=SECRET),
    ]
    cleaner.message(Plan(rows=[*outside, row(5, after=value)]))
    assert cleaner.tainted == {1, 2, 3}


def test_without_secrets_nothing_is_touched() -> None:
    """Most connections have nothing to hide; their messages pass as they are."""
    message = Plan(rows=[row(why="password=abc")])
    assert Cleaner([]).message(message) is message
    assert Cleaner([SECRET]).message(message) is message
    told = Progress(text="reading")
    assert Cleaner([SECRET]).message(told) is told
