"""What the command line reads and writes, without any server."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import runner.cli
from runner.cli import changes, follow, output, when
from runner.cli.app import run
from runner.cli.client import Client, _words
from runner.cli.multipart import FormWithFile
from runner.cli.reach import Where, read_token
from runner.cli.refusals import BadUsage, RequestRefused

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints name and version."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"runner {runner.__version__}\n"


@pytest.mark.parametrize("line", ["nonsense", "jobs list --nonsense", "jobs show x", "upload", "jobs show 0"])
def test_wrong_usage_ends_with_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be parsed is refused with exit code 2 and a word on standard error."""
    assert run(line.split()) == 2
    assert capsys.readouterr().err


def test_help_names_all_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """The epilogue of ``--help`` documents each exit code of the contract."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {code}  " in shown for code in (0, 1, 2, 3, 69, 73, 75, 77, 78))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("90 s", NOW - timedelta(seconds=90)),
        ("2026-03-30T08:00+02:00", datetime(2026, 3, 30, 6, tzinfo=UTC)),
        ("2026-03-30T08:00Z", datetime(2026, 3, 30, 8, tzinfo=UTC)),
    ],
)
def test_past(typed: str, expected: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans count back from now, written instants stand for themselves."""
    monkeypatch.setattr(when, "utc_now", lambda: NOW)
    assert when.past(typed) == expected


def test_future_counts_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry of 90 days lies ahead."""
    monkeypatch.setattr(when, "utc_now", lambda: NOW)
    assert when.future("90d") == NOW + timedelta(days=90)


def test_a_date_is_local_midnight() -> None:
    """A date without a zone means this machine's."""
    assert when.past("2026-03-30").timestamp() == datetime(2026, 3, 30).timestamp()  # noqa: DTZ001 - local


@pytest.mark.parametrize("typed", ["", "soon", "-2h", "2", "2026-13-01", "99999999999999w"])
def test_bad_times_are_explained(typed: str) -> None:
    """What isn't a time is refused with an example of one."""
    with pytest.raises(BadUsage, match="write for example"):
        when.past(typed)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"detail": "No."}, "No."),
        ({"project": ["Unknown.", "Really."]}, "project: Unknown. Really."),
        ({"non_field_errors": ["Both are set."]}, "Both are set."),
        ({"a": ["x"], "b": ["y"]}, "a: x\nb: y"),
        ({"a": "x"}, "a: x"),
        ([], ""),
        (None, ""),
    ],
)
def test_words_of_an_error(body: object, sentence: str) -> None:
    """An error's body becomes the sentence in it."""
    assert _words(body) == sentence


@pytest.mark.parametrize("url", ["runner.example.org", "ftp://example.org", "https://", "http://192.0.2.1"])
def test_refused_addresses(url: str) -> None:
    """No address that isn't a server's, and no token in clear text beyond this machine."""
    with pytest.raises(BadUsage):
        Client.over_network(url, "secret")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://[::1]:1/", "http://localhost", "https://a.example/x"]
)
def test_accepted_addresses(url: str) -> None:
    """TLS anywhere, clear text on loopback."""
    Client.over_network(url, "secret").close()


def test_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file wins over the environment; line ends don't count."""
    monkeypatch.setenv("RUNNER_TOKEN", "from-environment\n")
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    assert read_token(Where(url="x")) == "from-environment"
    assert read_token(Where(url="x", token_file=tmp_path / "token")) == "from-file"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"two\nlines", b"\xff", "sch\u00f6n".encode()])
def test_what_is_no_token_is_not_sent(content: bytes, tmp_path: Path) -> None:
    """A wrong file is refused before anything of it leaves the machine."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(BadUsage) as refusal:
        read_token(Where(url="x", token_file=tmp_path / "token"))
    assert "two" not in str(refusal.value)


def test_no_flag_takes_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no ``--token``: what stands in flags shows in process lists."""
    assert run(["jobs", "list", "--token", "x"]) == 2
    assert "--token" in capsys.readouterr().err


@given(st.binary(max_size=1000), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_form_has_the_length_it_says(content: bytes, name: str) -> None:
    """The body that is sent is exactly as long as was announced, and the file is in it."""
    form = FormWithFile({"a": "1"}, field="f", name=name, file=io.BytesIO(content), size=len(content))
    body = b"".join(form)
    assert len(body) == len(form)
    assert body.split(b"\r\n\r\n", 2)[2].startswith(content)


def test_form_escapes_the_file_name() -> None:
    """A file name can't end the header that it stands in."""
    form = FormWithFile({}, field="f", name='a"\r\nX: y.xml', file=io.BytesIO(b""), size=0)
    assert b'filename="a%22%0D%0AX: y.xml"' in b"".join(form)


def test_form_notices_a_file_that_shrinks() -> None:
    """A file that gets shorter meanwhile is an error, not a request that never ends."""
    with pytest.raises(RequestRefused, match="shorter"):
        list(FormWithFile({}, field="f", name="n", file=io.BytesIO(b"12"), size=3))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"before": None, "after": {"a": 1, "b": "x"}}, "a: 1\nb: x"),
        ({"before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}}, "b: 2 → 3"),
        ({"before": {"a": 1}, "after": {}}, "a: 1 → null"),
        ({"before": {"a": 1}, "after": None}, "a: 1 → gone"),
        ({"before": None, "after": None}, ""),
        ({"before": {"a": ""}, "after": {"a": "x" * 99}}, 'a: "" → ' + "x" * 59 + "…"),
    ],
)
def test_difference(change: dict[str, object], shown: str) -> None:
    """A change shows what differs, and nothing else."""
    assert changes._difference(change) == shown


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"outcome": "succeeded", "reason": None}, 0),
        ({"outcome": "failed", "reason": "auth"}, 1),
        ({"outcome": "cancelled", "reason": "cancelled"}, 1),
        ({"outcome": "failed", "reason": "ceiling"}, 3),
        ({"outcome": "succeeded", "reason": "ceiling", "preview": True}, 3),
    ],
)
def test_verdict(job: dict[str, object], code: int) -> None:
    """A finished job's outcome and reason tell the exit code."""
    assert follow.verdict(job) == code


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("reading tasks 30 of 120", ("reading tasks", 30.0, 120.0)),
        ("reading tasks 30", ("reading tasks 30", 0.0, None)),
        ("", ("running", 0.0, None)),
    ],
)
def test_progress(told: str, shown: tuple[str, float, float | None]) -> None:
    """Counted progress moves the bar, other progress is shown as text."""
    assert follow._progress({"progress": told, "state": "running"}) == shown


def test_control_codes_don_t_reach_the_terminal() -> None:
    """What another system wrote into a message can't steer the terminal, nor is it markup."""
    shown = output.text("\x1b[2J[red]x[/red]\x9b\x07")
    assert "\x1b" not in shown.plain
    assert "\x9b" not in shown.plain
    assert "[red]x[/red]" in shown.plain


def test_json_array_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty listing is an empty array."""
    output.print_json_array([])
    assert capsys.readouterr().out == "[]\n"


@given(st.lists(st.dictionaries(st.text(), st.integers())))
def test_json_array_is_json(rows: list[dict[str, int]]) -> None:
    """Elements printed one by one are one JSON document."""
    stream, sys.stdout = sys.stdout, io.StringIO()
    try:
        output.print_json_array(rows)
        printed = sys.stdout.getvalue()
    finally:
        sys.stdout = stream
    assert json.loads(printed) == rows
