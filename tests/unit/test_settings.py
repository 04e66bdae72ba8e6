"""The configuration: files, environment, units, errors, and the shipped file."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from runner import configuration, settings
from runner.cli.config import example
from runner.errors import SettingsInvalid

SHIPPED = Path(__file__).parents[2] / "config" / "runner.toml"


def read(tmp_path: Path, text: str, **environ: str) -> settings.Settings:
    """Load ``text`` as the configuration file."""
    file = tmp_path / "runner.toml"
    file.write_text(text, encoding="utf-8")
    return configuration.load(file=file, environ=environ)


def test_the_shipped_file_changes_nothing() -> None:
    """As shipped, every option is commented out."""
    assert tomllib.loads(SHIPPED.read_text(encoding="utf-8")) == {
        name: {} for name, field in settings.Settings.model_fields.items() if _is_section(field.annotation)
    }


def test_the_shipped_file_is_what_config_init_writes() -> None:
    """The file in the repository is made from the settings, so it has all of them."""
    assert SHIPPED.read_text(encoding="utf-8") == example()


def test_the_shipped_file_lists_every_option_with_its_default() -> None:
    """Uncommented, the shipped file says the defaults, all of them; and an example of each table."""
    text = re.sub(r"^# (\w+ = |\[)", r"\1", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE).replace(
        "[remote.NAME]", "[remote.name]"
    )
    listed = tomllib.loads(text)
    [connection] = listed.pop("connection")
    assert set(connection) == set(settings.Declaration.model_fields)
    assert settings.Declaration.model_validate(connection).name == "shop-tickets"
    shipped = settings.Settings.model_validate(listed)
    assert set(listed["remote"]["name"]) == set(settings.Remote.model_fields)
    remote = shipped.remote["name"]
    assert remote == settings.Remote(url=remote.url, token=remote.token)
    assert set(listed["connector"]["NAME"]) == set(settings.SharedParams.model_fields)
    assert shipped.connector["NAME"] == settings.SharedParams(system="rally", editable=["alm_project"])
    assert set(listed["provider"]["NAME"]) == set(settings.Provider.model_fields)
    assert shipped.provider["NAME"] == settings.Provider(workbook="people.xlsx")
    assert shipped.model_copy(update={"remote": {}, "provider": {}, "connector": {}}) == settings.Settings()
    for name, field in settings.Settings.model_fields.items():
        if _is_section(field.annotation):
            assert set(listed[name]) == set(field.annotation.model_fields)  # type: ignore[union-attr]  # a section


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"max_destructve": 1}, "max_destructve: there is no such setting; did you mean 'max_destructive'?"),
        ({"max_destructive": "1"}, "max_destructive: Input should be a valid integer"),
        ({"max_destructive": -1, "max_creates": 1.5}, "max_creates"),
    ],
)
def test_ceilings_of_a_connection_are_checked(values: dict[str, object], says: str) -> None:
    """What a connection sets itself is held to the same rules, and named when it breaks them."""
    with pytest.raises(SettingsInvalid) as caught:
        settings.overridden(settings.Safety(), values)
    assert says in caught.value.message


def test_ceilings_of_a_connection_replace_single_ones() -> None:
    """What a connection doesn't set stays as it is for all."""
    base = settings.Safety(max_destructive=50)
    assert settings.overridden(base, {}) is base
    own = settings.overridden(base, {"max_destructive_share": 1})
    assert (own.max_destructive, own.max_destructive_share) == (50, 1.0)


@pytest.mark.parametrize("name", ["unverified_tls", "egress_deny", "egress_allow"])
def test_no_connection_loosens_the_rules_for_the_network(name: str) -> None:
    """What may be reached is the daemon's to say."""
    with pytest.raises(SettingsInvalid, match="only the daemon's configuration"):
        settings.overridden(settings.Safety(), {name: []})


def test_rules_for_the_network_are_checked(tmp_path: Path) -> None:
    """A rule is a network, an address or a name; what is none is refused with its text."""
    rules = read(tmp_path, "[safety]\negress_deny = ['10.1.2.3/8', '*.corp.example']").safety.network()
    assert rules.refuses("any.example", "10.9.9.9")
    assert rules.refuses("db.corp.example", "192.0.2.1")
    assert not rules.refuses("corp.example", "192.0.2.1")
    with pytest.raises(SettingsInvalid, match=r"neither a network"):
        read(tmp_path, "[safety]\negress_deny = ['10.0.0.0/99']")


def test_environment_overrides_files_and_files_defaults(tmp_path: Path) -> None:
    """The order is default, file, drop-in, environment."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("[engine]\nconcurrency = 3\nmax_attempts = 5\n")
    found = read(
        tmp_path, "[engine]\nconcurrency = 2\njob_timeout = '1m'\n", RUNNER__ENGINE__MAX_ATTEMPTS="7"
    )
    assert (found.engine.concurrency, found.engine.max_attempts) == (3, 7)
    assert found.engine.job_timeout == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("written", "seconds"), [("250ms", 0.25), ("30s", 30), ("5m", 300), ("2h", 7200), ("1.5d", 129600)]
)
def test_durations_have_units(tmp_path: Path, written: str, seconds: float) -> None:
    """A duration is a number with its unit."""
    assert (
        read(tmp_path, f"[engine]\njob_timeout = '{written}'").engine.job_timeout.total_seconds() == seconds
    )


@pytest.mark.parametrize(("written", "size"), [("64MiB", 64 << 20), ("1KB", 1000), ("2 GiB", 2 << 30)])
def test_sizes_have_units(tmp_path: Path, written: str, size: int) -> None:
    """A size is a number with its unit, binary or decimal."""
    assert read(tmp_path, f"[engine]\nmemory_limit = '{written}'").engine.memory_limit == size


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[engine]\nconcurency = 1", "did you mean 'concurrency'"),
        ("[engin]\nconcurrency = 1", "did you mean 'engine'"),
        ("[engine]\njob_timeout = 30", 'write "30s" for seconds'),
        ("[engine]\njob_timeout = 'soon'", "is not a duration"),
        ("[engine]\nmemory_limit = 'much'", "is not a size"),
        ("[engine]\nconcurrency = 0", "engine.concurrency"),
        ("[server]\nlisten = '0.0.0.0:8080'", "behind_proxy = true"),
        ("[engine\n", "runner.toml"),
        ("[remote.sde]\nurl = 'https://a'\ntokn = 'x'", "did you mean 'token'"),
        ("[remote.sde]\nurl = 'http://sde.example.com'\ntoken = 'x'", "https://sde.example.com"),
        ("[remote.sde]\nurl = 'sde'\ntoken = 'x'", "is no address"),
        ("[remote.sde]\nurl = 'https://a'\ntoken = 'x'\ntake = 'all'", "remote.sde.take"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    """An error names the setting, what is wrong and where it comes from."""
    with pytest.raises(SettingsInvalid) as caught:
        read(tmp_path, text)
    assert says in caught.value.message
    assert "runner.toml" in caught.value.message


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A configuration file that was asked for has to be there."""
    with pytest.raises(SettingsInvalid, match=r"no configuration file .*nowhere\.toml"):
        configuration.load(file=tmp_path / "nowhere.toml", environ={})


def test_other_environment_is_not_read(tmp_path: Path) -> None:
    """Names without the double underscore are nobody's settings."""
    assert read(tmp_path, "", RUNNER_ENGINE="1", RUNNER_TOKEN="x") == settings.Settings()
