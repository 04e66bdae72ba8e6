"""A user's first steps, as the README tells them: a daemon with the sample, and curl."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.machine import Machine, free_port
from tests.servers.waiting import PATIENCE

API = "/api/v2"
FEW = "fortify/fortify_few_findings.xml"


class Terminal:
    """A shell beside a daemon with the sample project, whose import is through."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self._token = token

    def curl(self, path: str, *flags: str) -> tuple[int, Any]:
        """Call the API with curl; status and body."""
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "-w",
                "\n%{http_code}",
                "-H",
                f"Authorization: Token {self._token}",
                *flags,
                f"{self.base}{API}{path}",
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    def upload(
        self, file: Path, *, system: str = "fortify_file_upload", project: str = "1", name: str = ""
    ) -> Any:
        """Send a report as the API's pages do; the answer's status and body."""
        part = f"report_file=@{file};type=text/xml" + (f";filename={name}" if name else "")
        return self.curl(
            "/jobs/analysis-file/", "-F", part, "-F", f"system={system}", "-F", f"project={project}"
        )

    def finished(self, job: int) -> dict[str, Any]:
        """The job, once it is ready."""
        deadline = time.monotonic() + PATIENCE
        while True:
            _, found = self.curl(f"/jobs/analysis/{job}/?include=outcome,reason")
            if found["ready"]:
                assert isinstance(found, dict)
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)  # curl polls as a person would

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The sample project's tasks by id."""
        _, found = self.curl("/projects/1/tasks/")
        return {task["task_id"]: task for task in found["results"]}


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Start `runner run --sample` and wait until the sample report is imported."""
    port = free_port()
    machine = Machine(
        tmp_path_factory.mktemp("first") / "state",
        {"RUNNER__SERVER__LISTEN": f"127.0.0.1:{port}", "RUNNER__SERVER__MAX_UPLOAD": "120MB"},
    )
    with machine.daemon("--sample"):
        token = (machine.state / "admin-token").read_text().strip()
        shell = Terminal(f"http://127.0.0.1:{port}", token)
        assert shell.finished(1)["succeeded"]
        yield shell


def real_report() -> Path:
    """A real tool's report, kept beside the checkout."""
    beside = Path(__file__).parents[3] / "shared" / "samples"
    for folder in (os.environ.get("RUNNER_TEST_SAMPLES"), beside):
        if folder is not None and (file := Path(folder) / FEW).is_file():
            return file
    pytest.skip(f"{FEW} isn't beside the checkout, and RUNNER_TEST_SAMPLES names no folder with it")


@pytest.mark.xdist_group("first-steps")
def test_a_real_report_changes_the_right_tasks(terminal: Terminal) -> None:
    """A real report is uploaded with curl; tasks, notes, changes and message are right."""
    before = terminal.tasks()
    status, job = terminal.upload(real_report())
    assert status == 201
    assert job["ready"] is False
    assert job["attachment"] == "fortify_few_findings.xml"
    assert job["connection"]["system"]["id"] == "fortify_file_upload"
    done = terminal.finished(job["id"])
    assert done["succeeded"] is True
    for said in ("2 findings", "2 tasks", "2 of 8 issues", "No task was set to pass"):
        assert said in done["result_message"]
    after = terminal.tasks()
    _, journal = terminal.curl(f"/jobs/analysis/{job['id']}/changes/")
    touched = {change["key"] for change in journal["results"] if change["kind"] == "verification"}
    differing = {task for task in after if after[task] != before[task]}
    assert len(touched) == 2
    assert differing <= {key.partition("-")[2] for key in touched}
    for key in touched:
        task = after[key.partition("-")[2]]
        assert task["verification_status"] == "fail"
        _, notes = terminal.curl(f"/projects/1/tasks/{key}/analysis-notes/")
        assert notes["results"][-1]["status"] == "fail"
        _, texts = terminal.curl(f"/projects/1/tasks/{key}/notes/")
        assert any("Fortify" in note["text"] for note in texts["results"])
    assert {change["state"] for change in journal["results"]} == {"done"}


BAD_FILES = {
    "no-xml": (b"This is a letter.", ("not XML", "XML")),
    "cut": (b"<?xml version='1.0'?><ReportDefinition type='xml'><ReportSection><Title>a", ("line",)),
    "doctype": (
        b"<?xml version='1.0'?><!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"
        b"<ReportDefinition>&b;</ReportDefinition>",
        ("DOCTYPE",),
    ),
    "external": (
        b"<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><ReportDefinition>&x;</ReportDefinition>",
        ("DOCTYPE",),
    ),
    "wrong-root": (b"<Invoice><Total>3</Total></Invoice>", ("Invoice",)),
    "zip": (b"PK\x03\x04" + bytes(64), ("cut off",)),
}


@pytest.mark.xdist_group("first-steps")
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_a_failed_job_with_a_sentence(terminal: Terminal, name: str, tmp_path: Path) -> None:
    """A bad file fails its job, the message says what is wrong, and nothing changes."""
    content, says = BAD_FILES[name]
    (tmp_path / "bad.xml").write_bytes(content)
    before = terminal.tasks()
    status, job = terminal.upload(tmp_path / "bad.xml")
    assert status == 201
    done = terminal.finished(job["id"])
    assert (done["succeeded"], done["reason"]) == (False, "bad_input")
    assert any(word in done["result_message"] for word in says), done["result_message"]
    assert "Traceback" not in done["result_message"]
    assert "bad.xml" in done["result_message"]
    assert terminal.tasks() == before
    assert terminal.curl(f"/jobs/analysis/{job['id']}/changes/")[1]["results"] == []


@pytest.mark.xdist_group("first-steps")
def test_a_hundred_megabytes_in_one_text_fail_the_job(terminal: Terminal, tmp_path: Path) -> None:
    """A report with 100 MB in one text node fails with a sentence, and the daemon lives on."""
    with (tmp_path / "huge.xml").open("wb") as file:
        file.write(b"<ReportDefinition type='xml'><ReportSection><Title>")
        for _ in range(100):
            file.write(b"a" * 1_000_000)
        file.write(b"</Title></ReportSection></ReportDefinition>")
    _, job = terminal.upload(tmp_path / "huge.xml")
    done = terminal.finished(job["id"])
    assert (done["succeeded"], done["reason"]) == (False, "bad_input"), done
    assert "huge.xml" in done["result_message"]
    assert terminal.curl("/status/")[0] == 200


@pytest.mark.xdist_group("first-steps")
def test_a_path_in_a_file_name_is_only_a_name(terminal: Terminal, tmp_path: Path) -> None:
    """Whatever path a sender puts into the file's name, it is kept as a name and used as none."""
    (tmp_path / "bad.xml").write_bytes(b"<Invoice/>")
    status, job = terminal.upload(tmp_path / "bad.xml", name="../../etc/cron.d/evil.xml")
    assert (status, job["attachment"]) == (201, "evil.xml")


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "unknown system": (
        ["-F", "report_file=@{file}", "-F", "system=nessus", "-F", "project=1"],
        400,
        "system",
    ),
    "unknown project": (
        ["-F", "report_file=@{file}", "-F", "system=fortify_file_upload", "-F", "project=4711"],
        400,
        "project",
    ),
    "project of a wrong type": (
        ["-F", "report_file=@{file}", "-F", "system=fortify_file_upload", "-F", "project=one"],
        400,
        "project",
    ),
    "no file": (["-F", "system=fortify_file_upload", "-F", "project=1"], 400, "report_file"),
    "an empty file": (
        ["-F", "report_file=@{empty}", "-F", "system=fortify_file_upload", "-F", "project=1"],
        400,
        "report_file",
    ),
    "params that are no JSON": (
        [
            "-F",
            "report_file=@{file}",
            "-F",
            "system=fortify_file_upload",
            "-F",
            "project=1",
            "-F",
            "params={{",
        ],
        400,
        "params",
    ),
    "params the connector refuses": (
        [
            "-F",
            "report_file=@{file}",
            "-F",
            "system=fortify_file_upload",
            "-F",
            "project=1",
            "-F",
            'params={{"import_behaviour": "guess"}}',
        ],
        400,
        "params",
    ),
    "a body that is no form": (["-H", "Content-Type: application/json", "-d", "{{"], 415, "detail"),
    "a file that is too large": (
        ["-F", "report_file=@{large}", "-F", "system=fortify_file_upload", "-F", "project=1"],
        413,
        "detail",
    ),
}


@pytest.mark.xdist_group("first-steps")
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_by_field(terminal: Terminal, name: str, tmp_path: Path) -> None:
    """What can't be taken is refused with the field that is wrong, and makes no job."""
    flags, expected, field = REFUSED[name]
    paths = {"file": tmp_path / "file.xml", "empty": tmp_path / "empty.xml", "large": tmp_path / "large.xml"}
    paths["file"].write_bytes(b"<ReportDefinition/>")
    paths["empty"].write_bytes(b"")
    if name.endswith("too large"):
        with paths["large"].open("wb") as file:
            file.truncate(121_000_000)
    count = terminal.curl("/jobs/?page_size=1")[1]["count"]
    status, body = terminal.curl("/jobs/analysis-file/", *[flag.format(**paths) for flag in flags])
    assert (status, list(body)) == (expected, [field]), body
    assert terminal.curl("/jobs/?page_size=1")[1]["count"] == count


@pytest.mark.xdist_group("first-steps")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"connection": 999, "automatic": false, "ready": false}', "connection"),
        ('{"connection": "x", "automatic": false, "ready": false}', "connection"),
        ('{"connection": 1, "automatic": "maybe", "ready": false}', "automatic"),
        ("{", "detail"),
        ("[1]", "non_field_errors"),
    ],
)
def test_a_bad_initiating_request_is_refused_by_field(terminal: Terminal, body: str, field: str) -> None:
    """Unknown ids, wrong types and broken JSON are 400 with the field's name."""
    status, answer = terminal.curl("/jobs/alm/", "-H", "Content-Type: application/json", "-d", body)
    assert status == 400
    assert field in answer
