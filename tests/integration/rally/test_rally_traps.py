"""What users of Rally's other clients complain of, each tried on ours."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.model.changes import ChangeState
from runner.model.jobs import Outcome
from simulators.rally.faults import Fault
from simulators.rally.server import Simulator
from tests.servers.rally_stage import Rig, listed

NewRig = Callable[..., Rig]

ODD_TITLES = (
    'Say "hello" (twice)',
    "100% of R&D | ~home~",
    "back\\slash and sl/ash",
    "((deep) parentheses)",
    "= != AND OR contains",
    "ümläut 漢字 🙂",
    "trailing blanks   inside",
    "é" * 300,
)


def test_trap_hangs_forever(new_rig: NewRig) -> None:
    """A server that never answers a write ends the run with a reason, and the item isn't made twice."""
    rig = new_rig(listed(1), alm_timeout=1)
    rig.faults.plant(Fault.SILENT, times=3, method="POST", path="/create")
    began = time.monotonic()
    failed = rig.run()
    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "unreachable"), failed.message
    assert time.monotonic() - began < 60
    rig.succeed()
    assert len(rig.rally.items()) == 1


def test_trap_slow_drip(new_rig: NewRig) -> None:
    """An answer that comes byte by byte is taken as it comes."""
    rig = new_rig(listed(1))
    rig.faults.plant(Fault.DRIP, times=3)
    rig.succeed()
    assert rig.states() == {"T1": "Defined"}


def test_trap_auth_expiry(new_rig: NewRig) -> None:
    """A security token that runs out in the middle is fetched anew, and nothing is written twice."""
    rig = new_rig(listed(1, 2, 3))
    rig.faults.plant(Fault.STALE_TOKEN, method="POST", path="/create")
    rig.succeed()
    assert len(rig.rally.items()) == 3
    assert rig.requests()["GET security/authorize"] == 2


def test_trap_auth_refused(new_rig: NewRig) -> None:
    """A refused password is told as such, and the process lives on."""
    rig = new_rig(listed(1))
    rig.rally.user.password = "another"
    assert rig.run().reason == "auth"
    rig.rally.user.password = rig.arena.params()["alm_pass"]
    rig.succeed()


def test_trap_read_only_key(new_rig: NewRig) -> None:
    """A key that may only read reads, and its first write ends the run with a reason."""
    rig = new_rig(listed(1), alm_auth_mode="token", alm_api_token="_only4reading")
    rig.rally.user.keys["_only4reading"] = False
    failed = rig.run()
    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "auth"), failed.message
    assert rig.rally.items() == []


def test_trap_unable_to_retrieve_chunks(new_rig: NewRig) -> None:
    """Pages that fail for a while are asked for again, in the same run."""
    rig = new_rig(listed(1, 2))
    rig.succeed()
    for fault in (Fault.GATEWAY, Fault.GATEWAY_TIMEOUT, Fault.UNAVAILABLE, Fault.TOO_MANY_AFTER, Fault.RESET):
        rig.faults.plant(fault, path="/hierarchicalrequirement")
        assert rig.succeed().rows == []


def test_trap_silent_truncation(new_rig: NewRig) -> None:
    """A page with fewer rows than promised fails the run, and nothing is made in place of what is missing."""
    rig = new_rig(listed(*range(1, 9)))
    rig.succeed()
    rig.arena.cut_source()
    failed = rig.run()
    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "incomplete_read"), failed.message
    assert len(rig.rally.items()) == 8


def test_trap_pages_without_a_unique_order(new_rig: NewRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages every item is read once, though the server shuffles what the order leaves open."""
    monkeypatch.setattr("simulators.rally.routes.LONGEST_PAGE", 7)
    rig = new_rig(listed(*range(1, 31)))
    rig.succeed()
    assert rig.succeed().rows == []
    assert rig.requests()["GET hierarchicalrequirement"] > 30 / 7
    assert len(rig.rally.items()) == 30


def test_trap_not_thread_safe(new_rig: NewRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connections that run at the same time against one server don't mix anything up."""
    rigs = [new_rig(listed(1, 2, 3)), new_rig(listed(1, 2, 3))]
    server = rigs[0].rally
    project = server.things.add_project(server.workspace, "Second Project")
    monkeypatch.setattr(rigs[1].arena, "params", lambda: server.params(alm_project="Second Project"))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda rig: rig.run(), rigs))
    assert [job.outcome for job in done] == [Outcome.SUCCEEDED] * 2, [job.message for job in done]
    homes = [item.values["Project"] for item in server.items()]
    assert sorted(homes) == sorted([server.project.oid] * 3 + [project.oid] * 3)


def test_trap_slow_start(new_rig: NewRig) -> None:
    """A run looks up eight things at the most, never the schema or users, and remembers them."""
    rig = new_rig(listed(1))
    rig.run(preview=True)
    asked = rig.requests()
    assert sum(asked.values()) - asked["GET hierarchicalrequirement"] <= 8
    assert not [name for name in asked if "schema" in name or "user" in name]
    rig.succeed()
    rig.requests()
    rig.succeed()
    assert rig.requests() == {"GET hierarchicalrequirement": 1}


@pytest.mark.parametrize("title", ODD_TITLES)
def test_trap_special_characters(new_rig: NewRig, title: str) -> None:
    """A title with whatever in it is found again by its exact name when the reference is lost."""
    rig = new_rig([{**listed(1)[0], "title": title}])
    rig.succeed()
    rig.forget()
    done = rig.succeed()
    assert len(rig.rally.items()) == 1, done.message
    assert rig.succeed().rows == []


@pytest.mark.parametrize(
    "fault", [Fault.MAINTENANCE, Fault.GATEWAY, Fault.RESET, Fault.TOO_MANY, Fault.UNAVAILABLE]
)
def test_trap_errors_read_as_empty_results(new_rig: NewRig, fault: Fault) -> None:
    """A server that is out of order is never taken for an empty one: nothing is made anew."""
    rig = new_rig(listed(1, 2))
    rig.succeed()
    rig.forget()
    rig.faults.plant(fault, times=100, path="/hierarchicalrequirement")
    failed = rig.run()
    assert failed.outcome is Outcome.FAILED
    assert failed.reason in {"unreachable", "bad_input"}, failed.message
    assert len(rig.rally.items()) == 2


def test_trap_how_to_set_tags(new_rig: NewRig) -> None:
    """A new item has the label and the task's tags; tags that weren't there are made once."""
    rig = new_rig(listed(1, 2, tags=["Crypto", "Login & more"]))
    rig.succeed()
    assert {tuple(rig.rally.shown(item)["tags"]) for item in rig.rally.items()} == {
        ("Crypto", "Login & more", "SD-Elements")
    }
    assert len(rig.things.all("Tag")) == 3


def test_trap_batch_loses_errors_of_single_items(new_rig: NewRig) -> None:
    """An item that Rally refuses fails alone, in Rally's own words; the others are made."""
    rig = new_rig([*listed(1, 2), *listed(3, tags=["Long " * 60])])
    failed = rig.run()
    assert failed.outcome is Outcome.FAILED
    assert "is longer than" in failed.message
    assert "2 items created" in failed.message
    assert "2 failed. 1 left alone." in failed.message  # the tag and its item; the item's note
    assert rig.states() == {"T1": "Defined", "T2": "Defined"}


def test_trap_one_bad_task_aborts_the_run(new_rig: NewRig) -> None:
    """One task that Rally refuses is named, and the rest of the run is done."""
    rig = new_rig(listed(1, 2, 3), conflict_policy="sde")
    rig.succeed()
    for number in (1, 2, 3):
        rig.set_task(f"T{number}", status="TS1")
    rig.rally.user.read_only.add(rig.rally.elsewhere.oid)
    rig.things.change(rig.item("T2"), Project=rig.rally.elsewhere.oid)
    failed = rig.run()
    assert failed.outcome is Outcome.FAILED
    assert "T2: Not authorized to update" in failed.message
    assert rig.states() == {"T1": "Completed", "T2": "Defined", "T3": "Completed"}


def test_trap_post_is_sent_again_after_any_error(new_rig: NewRig) -> None:
    """A create that was refused isn't sent a second time."""
    rig = new_rig(listed(1), alm_custom_fields='{"PlanEstimate": "three"}')
    rig.run()
    assert rig.requests()["POST hierarchicalrequirement/create"] == 1


@pytest.mark.parametrize(
    "fault", [Fault.RESET_AFTER, Fault.MAINTENANCE, Fault.GATEWAY, Fault.GATEWAY_TIMEOUT]
)
def test_trap_a_create_sent_again_duplicates(new_rig: NewRig, fault: Fault) -> None:
    """A create that got no answer is looked for first: there is one item, with its note, in the same run."""
    rig = new_rig(listed(1, 2))
    rig.faults.plant(fault, method="POST", path="/create")
    rig.succeed()
    assert len(rig.rally.items()) == 2
    assert [len(rig.notes(task)) for task in ("T1", "T2")] == [1, 1]
    assert rig.succeed().rows == []


def test_trap_a_tag_sent_again_duplicates(new_rig: NewRig) -> None:
    """The same holds for tags."""
    rig = new_rig(listed(1, tags=["Crypto"]))
    rig.faults.plant(Fault.RESET_AFTER, method="POST", path="/tag/create")
    rig.succeed()
    assert sorted(tag.name for tag in rig.things.all("Tag")) == ["Crypto", "SD-Elements"]


def test_trap_t2_is_not_t22(new_rig: NewRig) -> None:
    """A task's item is never taken for that of another whose name goes on."""
    rig = new_rig(listed(2, 22, title="Same title"))
    rig.rally.add("T22: Same title", state="Completed")
    rig.succeed()
    assert (rig.statuses()["T2"], rig.statuses()["T22"]) == ("TS2", "TS1")
    assert rig.states() == {"T22": "Completed", "T2": "Defined"}


def test_trap_a_renamed_item_is_made_again(new_rig: NewRig) -> None:
    """A new title and a removed tag at Rally, and a new title at the platform, make no second item."""
    rig = new_rig(listed(1))
    rig.succeed()
    item = rig.item("T1")
    rig.things.change(item, Name="Something else entirely", Tags=[], ScheduleState="Accepted")
    rig.succeed()
    assert rig.statuses()["T1"] == "TS1"
    rig.set_task("T1", title="A new title")
    assert rig.succeed().rows == []
    assert len(rig.rally.items()) == 1


def test_trap_deleted_moved_and_closed_are_told_apart(new_rig: NewRig) -> None:
    """An item in the recycle bin, one in another project and one closed by hand each have their own end."""
    rig = new_rig(listed(1, 2, 3, 4))
    rig.succeed()
    gone, binned, moved, closed = (rig.item(f"T{n}") for n in (1, 2, 3, 4))
    rig.things.throw_away(gone)
    rig.things.empty_bin()
    rig.things.throw_away(binned)
    rig.things.change(moved, Project=rig.rally.elsewhere.oid)
    rig.things.change(closed, ScheduleState="Accepted")
    done = rig.succeed()
    assert "T1: US1 is deleted or out of sight" in done.message
    assert "T2: US2 is in the recycle bin" in done.message
    assert "1 were moved to another Rally project" in done.message
    assert rig.statuses() == {"T1": "TS2", "T2": "TS2", "T3": "TS2", "T4": "TS1"}
    assert len(rig.rally.items()) == 2
    rig.things.restore("US2")
    assert "recycle bin" not in rig.succeed().message


def test_a_deleted_item_is_made_again_where_that_is_asked_for(new_rig: NewRig) -> None:
    """With rally_recreate_deleted a task gets a new item, and a note of it."""
    rig = new_rig(listed(1), rally_recreate_deleted=True)
    rig.succeed()
    rig.things.throw_away(rig.item("T1"))
    rig.succeed()
    assert rig.item("T1").values["FormattedID"] == "US2"
    assert [("US1" in text, "US2" in text) for text in rig.notes("T1")] == [(True, False), (False, True)]
    assert rig.succeed().rows == []


def test_a_task_that_comes_back_into_scope_reopens_its_item(new_rig: NewRig) -> None:
    """An item that was closed because its task left the scope says nothing of the task when it comes back."""
    rig = new_rig(listed(1, 2), alm_close_removed=True)
    rig.succeed()
    rig.set_task("T1", priority=1)
    rig.succeed()
    assert rig.states() == {"T1": "Completed", "T2": "Defined"}
    rig.set_task("T1", priority=8)
    rig.succeed()
    assert rig.states() == {"T1": "Defined", "T2": "Defined"}
    assert rig.statuses()["T1"] == "TS2"
    assert rig.succeed().rows == []


def test_trap_tls_is_not_verified_by_default(
    new_rig: NewRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that nobody vouches for ends the run before the password is sent."""
    import trustme

    certificate = trustme.CA().issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(key))
    rig = new_rig(listed(1))
    with Simulator(rig.things, certificate=(chain, key)) as secure:
        params = {**rig.arena.params(), "alm_server": f"127.0.0.1:{secure.port}", "alm_method": "https"}
        monkeypatch.setattr(rig.arena, "params", lambda: params)
        failed = rig.run()
        assert failed.reason == "tls", failed.message
        assert secure.traffic.total == 0


def test_one_run_for_one_subject(new_rig: NewRig) -> None:
    """A run with --only touches that task's pair and no other."""
    rig = new_rig(listed(1, 2))
    done = rig.succeed(only="T2")
    assert {row.subject for row in done.rows if row.kind == "item"} == {"T2"}
    assert {row.state for row in done.rows} == {ChangeState.DONE}
