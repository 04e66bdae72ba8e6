"""WhiteHat over HTTP, against the simulator: assets, pages, bad days, and what may pass."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from runner.connectors.whitehat.connector import WhiteHat
from runner.connectors.whitehat.params import WhiteHatParams
from runner.errors import AccessDenied, BadInput, ConfigRejected, RunnerError
from runner.model.changes import Change, Op
from runner.model.network import Network
from runner.model.platform import Meaning, Task, Verification
from simulators.whitehat.estate import KEY, Asset, Estate, vector
from simulators.whitehat.server import Sentinel, Trouble
from tests.unit.recording import RecordingContext, make_task

SITE = Asset(number=171312, sub=93966, name="WebGoat Java", kind="site", scans=[1_768_000_000])
APPLICATION = Asset(number=171313, sub=27972, name="Backend", kind="application", scans=[1_768_000_000])


@pytest.fixture
def sentinel() -> Iterator[Sentinel]:
    """A service with a site, an application, and one open finding of the site."""
    estate = Estate(assets=[replace(SITE, scans=[*SITE.scans]), replace(APPLICATION)])
    estate.add(estate.assets[0], 7, "SQL Injection", attack_vectors=[vector(1, "CWE-89")])
    server = Sentinel(estate).start()
    yield server
    server.stop()


def tasks() -> list[Task]:
    return [
        make_task("T1", cwes=(89,)),
        make_task("T2", categories=("Fingerprinting",)),
        make_task("T3", cwes=(22,)),
        make_task("T193", catch_all=True),
    ]


class Run:
    """One import from a service, as it was planned."""

    def __init__(
        self,
        sentinel: Sentinel,
        after: "Run | None" = None,
        *,
        on: list[Task] | None = None,
        network: Network | None = None,
        **params: Any,
    ) -> None:
        values = {
            "analysis_server": sentinel.address,
            "analysis_method": "http",
            "analysis_api_token": KEY,
            "asset_name": SITE.name,
            "import_behaviour": "replace-scanner",
            **params,
        }
        memory: dict[str, Any] = {} if after is None else {**after.ctx.memory, **after.ctx.remembered}
        self.tasks = on or (tasks() if after is None else after.then())
        self.ctx: RecordingContext = RecordingContext(
            tasks=self.tasks,
            params=WhiteHatParams.model_validate({k: v for k, v in values.items() if v is not None}),
            memory=memory,
        )
        if network is not None:
            self.ctx.network = network
        self.changes: list[Change] = list(WhiteHat().plan(self.ctx))

    @property
    def verdicts(self) -> dict[str, Op]:
        return {change.key: change.op for change in self.changes if change.kind == "verification"}

    def status(self, key: str) -> str:
        """What a task's verification becomes."""
        after = next(change.after for change in self.changes if change.key == key)
        assert after is not None
        return str(after["verification_status"])

    def then(self) -> list[Task]:
        """The tasks once the plan was applied."""
        new = {c.key: c.after or {} for c in self.changes if c.kind == "verification"}
        return [
            replace(
                task,
                verification_status=new[task.id]["verification_status"],
                results=new[task.id]["results"],
            )
            if task.id in new
            else task
            for task in self.tasks
        ]


def refused(sentinel: Sentinel, **params: Any) -> RunnerError:
    """Why a run ends before it plans anything; the key stands in no part of it."""
    with pytest.raises(RunnerError) as caught:
        Run(sentinel, **params)
    key = str(params.get("analysis_api_token", KEY))
    assert key not in f"{caught.value.message} {caught.value.detail}"
    return caught.value


# --- pages -------------------------------------------------------------------------------


def fill(sentinel: Sentinel, number: int) -> None:
    """Let the site have so many findings more."""
    for one in range(1000, 1000 + number):
        sentinel.estate.add(sentinel.estate.assets[0], one, "SQL Injection")


def test_every_page_is_read(sentinel: Sentinel) -> None:
    """Findings past the first page count, and so they do where the server gives less than asked for."""
    fill(sentinel, 2400)
    sentinel.behaviour.largest_page = 700
    run = Run(sentinel)
    assert run.ctx.totals["findings"] == 2401
    assert "has 2401 findings" in run.ctx.message
    assert run.verdicts["7-T2"] is Op.PASS
    assert sum("/api/vuln?" in line for line in sentinel.log) == 4
    assert sentinel.keys_in_urls == 0


def test_an_application_is_asked_for_as_one(sentinel: Sentinel) -> None:
    """Findings of an application come by query_application, not by query_site."""
    sentinel.estate.add(sentinel.estate.assets[1], 9, "Path Traversal")
    run = Run(sentinel, asset_name="Backend")
    assert run.verdicts["7-T3"] is Op.FAIL
    assert "The WhiteHat application Backend has 1 finding" in run.ctx.message
    [asked] = [line for line in sentinel.log if "/api/vuln?" in line]
    assert "query_application=27972" in asked
    assert "query_site" not in asked


def test_a_walk_over_moving_ground_begins_again(sentinel: Sentinel) -> None:
    """Where a finding goes away on an earlier page, none of those that follow is missed."""
    fill(sentinel, 1500)
    sentinel.estate.add(sentinel.estate.assets[0], 999_999, "Fingerprinting")

    def close_the_first(path: str, number: int) -> None:
        if path == "/api/vuln" and number == 1:
            sentinel.estate.findings[0]["status"] = "closed"

    sentinel.behaviour.before_answer = close_the_first
    run = Run(sentinel)
    assert run.ctx.totals["findings"] == 1501
    assert run.verdicts["7-T2"] is Op.FAIL
    assert run.verdicts["7-T3"] is Op.PASS


def test_a_walk_that_never_gets_through_passes_nothing(sentinel: Sentinel) -> None:
    """Where findings move all the time, what was seen fails its tasks and no more is concluded."""
    fill(sentinel, 1500)

    def close_one(path: str, number: int) -> None:
        if path == "/api/vuln":
            sentinel.estate.findings[number]["status"] = "closed"

    sentinel.behaviour.before_answer = close_one
    run = Run(sentinel)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert "changed while they were read" in run.ctx.message


def test_fewer_than_counted_pass_nothing(sentinel: Sentinel) -> None:
    """A list that ends before its total is a part."""
    fill(sentinel, 20)
    sentinel.behaviour.hide = 3
    run = Run(sentinel)
    assert run.verdicts == {"7-T1": Op.FAIL}
    assert "It gave 18 of 21" in run.ctx.message
    assert run.ctx.readings[-1].additions_hold


# --- bad days ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["overload", "429", "truncated", "dropped"])
def test_a_bad_moment_is_waited_for(sentinel: Sentinel, kind: str) -> None:
    """Overload (which is a 500 there), and answers that break off, are asked for again."""
    sentinel.behaviour.troubles.append(Trouble(kind=kind, path="/api/vuln", times=2))
    assert Run(sentinel).verdicts["7-T1"] is Op.FAIL


def test_a_storm_past_the_limit_ends_by_itself(sentinel: Sentinel) -> None:
    """More requests than the window takes are answered 500; the run waits and gets through."""
    sentinel.behaviour.requests_in_window = 1
    sentinel.behaviour.before_answer = lambda _path, _number: setattr(
        sentinel.behaviour, "requests_in_window", 3000
    )
    assert Run(sentinel).verdicts["7-T1"] is Op.FAIL


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("forbidden", AccessDenied, "doesn't let this credential do GET /api/vuln (403)"),
        ("page for people", BadInput, "a page for people where JSON was expected"),
    ],
)
def test_a_bad_day_ends_the_run(sentinel: Sentinel, kind: str, error: type, says: str) -> None:
    """What waiting doesn't help ends the run with what to do, and nothing was planned."""
    sentinel.behaviour.troubles.append(Trouble(kind=kind, path="/api/vuln", times=99))
    caught = refused(sentinel)
    assert isinstance(caught, error)
    assert says in caught.message


def test_a_key_that_the_server_echoes_is_masked(sentinel: Sentinel) -> None:
    """A refused key is shown by nobody, though the server repeats it."""
    caught = refused(sentinel, analysis_api_token="ffffffffffffffffffffffffffffffff")
    assert isinstance(caught, AccessDenied)
    assert "is not valid" in caught.message


def test_egress_rules_hold(sentinel: Sentinel) -> None:
    """A server that the administrator's rules exclude isn't reached."""
    with pytest.raises(ConfigRejected, match="egress_deny"):
        Run(sentinel, network=Network(deny=("127.0.0.0/8",)))
    assert sentinel.log == []


# --- assets ------------------------------------------------------------------------------


def test_assets_of_one_name_are_told_apart(sentinel: Sentinel) -> None:
    """Two of a name are named with their ids; the type or the id decides."""
    twin = Asset(number=5, sub=4711, name=SITE.name, kind="application", status="retired")
    sentinel.estate.assets.append(twin)
    caught = refused(sentinel)
    assert isinstance(caught, ConfigRejected)
    assert "2 assets at WhiteHat have the name" in caught.message
    assert "site 93966, application 4711, retired" in caught.message
    assert Run(sentinel, asset_type="site").verdicts["7-T1"] is Op.FAIL
    assert Run(sentinel, asset_name=None, asset_id=93966).verdicts["7-T1"] is Op.FAIL


def test_the_exact_name_comes_first(sentinel: Sentinel) -> None:
    """A name that differs in case only is taken if no other fits."""
    sentinel.estate.assets.append(Asset(number=5, sub=4711, name="WEBGOAT JAVA", kind="site"))
    assert Run(sentinel).verdicts["7-T1"] is Op.FAIL
    assert "2 assets" in refused(sentinel, asset_name="webgoat java").message
    sentinel.estate.assets.pop()
    assert Run(sentinel, asset_name="webgoat  java").verdicts["7-T1"] is Op.FAIL


def test_a_name_that_isn_t_there_is_told_with_those_near(sentinel: Sentinel) -> None:
    """A misspelt asset is refused with what may have been meant."""
    caught = refused(sentinel, asset_name="Webgoat Jva")
    assert isinstance(caught, ConfigRejected)
    assert "did you mean WebGoat Java" in caught.message


def test_many_assets_are_all_looked_through(sentinel: Sentinel) -> None:
    """An asset past the first page of assets is found."""
    sentinel.estate.assets[:0] = [
        Asset(number=n, sub=n, name=f"Site {n}", kind="site") for n in range(1, 1300)
    ]
    assert Run(sentinel).verdicts["7-T1"] is Op.FAIL


# --- what may pass -----------------------------------------------------------------------


def close_all(sentinel: Sentinel) -> None:
    for one in sentinel.estate.findings:
        one["status"] = "closed"


def test_a_closed_finding_passes_after_a_new_scan(sentinel: Sentinel) -> None:
    """By confidence: a task that names a class passes, one that has a CWE alone becomes partial."""
    asset = sentinel.estate.assets[0]
    sentinel.estate.add(asset, 8, "Fingerprinting")
    first = Run(sentinel)
    assert {key for key, op in first.verdicts.items() if op is Op.FAIL} == {"7-T1", "7-T2"}
    close_all(sentinel)
    second = Run(sentinel, first)
    assert second.changes == []
    assert "No scan of it has completed since the last import" in second.ctx.message
    asset.scans.append(1_768_100_000)
    third = Run(sentinel, second)
    assert (third.status("7-T1"), third.status("7-T2")) == ("partial", "pass")
    assert third.changes[1].proof is not None
    assert Run(sentinel, third).changes == []


@pytest.mark.parametrize("scans", [[], [1_768_000_000]])
def test_an_empty_answer_without_a_new_scan_passes_nothing(sentinel: Sentinel, scans: list[int]) -> None:
    """Neither a site that was never scanned nor one without a scan since then is clean."""
    first = Run(sentinel)
    close_all(sentinel)
    sentinel.estate.assets[0].scans = scans
    assert Run(sentinel, first).changes == []
    if not scans:
        assert "No scan of it has completed yet" in Run(sentinel).ctx.message


def test_a_retired_site_passes_nothing(sentinel: Sentinel) -> None:
    """Its findings are gone, a scan has ended, and still nobody looks there any more."""
    first = Run(sentinel)
    close_all(sentinel)
    sentinel.estate.assets[0].scans.append(1_768_100_000)
    sentinel.estate.assets[0].status = "retired"
    run = Run(sentinel, first)
    assert run.changes == []
    assert "The site is retired at WhiteHat" in run.ctx.message


def test_a_scan_that_still_runs_counts_for_nothing(sentinel: Sentinel) -> None:
    """Only completed scans of an application count."""
    application = sentinel.estate.assets[1]
    application.scans, application.running = [], True
    run = Run(sentinel, asset_name="Backend")
    assert run.changes == []
    assert "No scan of it has completed yet" in run.ctx.message


def test_the_same_answer_again_plans_nothing(sentinel: Sentinel) -> None:
    """A second run with nothing new writes nothing, whatever scans have ended."""
    first = Run(sentinel)
    assert Run(sentinel, first).changes == []
    sentinel.estate.assets[0].scans.append(1_768_100_000)
    assert Run(sentinel, first).changes == []


@pytest.mark.parametrize(
    ("behaviour", "status", "results"),
    [
        ("replace", "partial", {"whitehat": "partial"}),
        ("replace-scanner", "fail", {"whitehat": "partial", "fortify": "fail"}),
        ("combine", "fail", {"whitehat": "partial", "fortify": "fail"}),
    ],
)
def test_behaviours_beside_results_of_fortify(
    sentinel: Sentinel, behaviour: str, status: str, results: dict[str, str]
) -> None:
    """WhiteHat's silence replaces what Fortify found only if it is told to."""
    close_all(sentinel)
    found = {"fortify": Verification.FAIL}
    task = make_task("T1", cwes=(89,), verification_status=Verification.FAIL, results=found)
    run = Run(sentinel, on=[task], import_behaviour=behaviour)
    after = next((c.after for c in run.changes if c.key == "7-T1"), None)
    assert after is not None
    assert (after["verification_status"], after["results"]) == (status, results)


def test_replace_scanner_takes_back_its_own_only(sentinel: Sentinel) -> None:
    """A task that both found at fault stays at fail while either says so."""
    both = {"fortify": Verification.PASS, "whitehat": Verification.PASS}
    task = make_task("T1", cwes=(89,), verification_status=Verification.PASS, results=both)
    first = Run(sentinel, on=[task])
    assert first.status("7-T1") == "fail"
    [now] = first.then()
    assert now.results == {"fortify": "pass", "whitehat": "fail"}
    close_all(sentinel)
    sentinel.estate.assets[0].scans.append(1_768_100_000)
    assert Run(sentinel, first).status("7-T1") == "partial"


def test_a_task_s_status_follows_where_it_is_mapped(sentinel: Sentinel) -> None:
    """A finding reopens a task that was done, if the mapping says so."""
    done = make_task("T1", cwes=(89,), status="TS1", meaning=Meaning.DONE)
    run = Run(sentinel, on=[done], task_status_mapping='{"fail": "TODO"}')
    after = next(c.after for c in run.changes if c.key == "7-T1")
    assert after is not None
    assert after["status"] == "TS2"


# --- the connection test -----------------------------------------------------------------


def test_the_connection_test_goes_step_by_step(sentinel: Sentinel) -> None:
    """It says who we are, which asset it is, when it was scanned and how much there is; it writes nothing."""
    ctx = RecordingContext(tasks=[], params=Run(sentinel).ctx.params)
    steps = list(WhiteHat().check(ctx))
    assert [(step.name, step.ok) for step in steps] == [
        ("server", True),
        ("asset", True),
        ("scans", True),
        ("findings", True),
    ]
    assert "importer@example.com" in steps[0].message
    assert steps[3].message == "There are 1."
    sentinel.estate.key = "another"
    steps = list(WhiteHat().check(ctx))
    assert [(step.name, step.ok) for step in steps] == [("server", False)]


# --- the simulator itself ----------------------------------------------------------------


def test_the_simulator_takes_keys_and_formats_as_the_original(sentinel: Sentinel) -> None:
    """Key by header, query or cookie; XML unless JSON is asked for in one of three ways."""
    url = f"http://{sentinel.address}/api/vuln/"
    by_header = {"Key": KEY}
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, headers={"Key": "x"}, timeout=10).status_code == 403
    for how in ({"headers": by_header}, {"params": {"key": KEY}}, {"cookies": {"APID": KEY}}):
        answer = requests.get(url, timeout=10, **how)  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert "<vulnerabilities xmlns=" in answer.text
    for ask in ({"format": "json"}, {"accept_fmt": "application/json"}):
        shown = requests.get(url, headers=by_header, params=ask, timeout=10).json()["collection"][0]
        assert "attack_vectors" not in shown
        assert "risk" not in shown
    asked = {"display_all": "1", "page:limit": "1"}
    shown = requests.get(
        url, headers={**by_header, "Accept": "application/json"}, params=asked, timeout=10
    ).json()
    assert shown["collection"][0]["attack_vectors"][0]["request"]["method"] == "GET"
    assert shown["page"]["total"] == 1
    newer = requests.get(
        f"http://{sentinel.address}/api/findings?limit=1", headers=by_header, timeout=10
    ).json()
    assert newer["collection"][0]["subTypeTags"] == ["CWE-89"]
    assert requests.post(url, headers=by_header, timeout=10).status_code == 405
