"""Transforms, as the text of a job has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.connectors.datasync import transforms
from runner.connectors.datasync.transforms import NotResolved, parse, value_of
from runner.errors import ConfigRejected

ROW = {"First": "Ada", "Last": "Lovelace", "Phone": "+92-42-5787711", "Blank": None, "Boss": "bob"}
PEOPLE = {("sAMAccountName", "bob"): "CN=Bob,DC=x"}


def made(text: str, field: str = "") -> str | None:
    """What a transform makes of the row above."""
    lookup = lambda attribute, value: PEOPLE.get((attribute, value))  # noqa: E731 - shorter than a def
    return value_of(parse(text, field), ROW.get, lookup, {"NOW": "2026-01-02"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Join:field=First;separator=_api_;field=Last", "Ada_api_Lovelace"),
        ("join:field=First;separator=;field=Last", "AdaLovelace"),
        ("Join:field=First;separator=;;field=Last", "Ada;Lovelace"),
        ("Join:field=First;separator=;field=;field=Last", "Ada;field=Lovelace"),
        ("Join:field=First;separator=-;field=Blank", "Ada"),
        ("Join:field=Blank;separator=-;field=Blank", None),
        ("Static:value=a;b=c", "a;b=c"),
        ("Static:value=", None),
        ("Static:value=on %NOW%, 50%", "on 2026-01-02, 50%"),
        ("Left:field=Last;length=4", "Love"),
        ("Left:field=Blank;length=4", None),
        ("Left:field=Last;length=0", None),
        ("Substring:field=Phone;start=1;length=2", "92"),
        ("Substring:field=Phone;start=99;length=2", None),
        ("Resolve:field=Boss;attribute=sAMAccountName", "CN=Bob,DC=x"),
        ("Resolve:field=Blank;attribute=sAMAccountName", None),
        ("Left:field={Join:field=First;separator=.;field=Last};length=5", "Ada.L"),
        ("Join:field={Left:field=First;length=1};separator=.;field={Left:field=Last;length=2}", "A.Lo"),
        ("Script:Result=1", None),
    ],
)
def test_transforms_make_what_they_say(text: str, expected: str | None) -> None:
    """Each transform makes its value, alone and within others."""
    assert made(text) == expected


def test_field_without_transform_is_its_column() -> None:
    """Without a transform the source's column is the value."""
    assert made("", "Last") == "Lovelace"


def test_nobody_found_is_told() -> None:
    """A Resolve that finds nobody isn't a blank."""
    with pytest.raises(NotResolved):
        made("Resolve:field=First;attribute=sAMAccountName")


@pytest.mark.parametrize(
    "text",
    [
        "Join:field=First;field=Last",
        "Join:separator=x",
        "Left:field=First",
        "Left:field=First;length=-1",
        "Left:field=First;length=x",
        "Substring:field=First;start=1",
        "Resolve:field=First;attribute=*)(x",
        "Resolve:field=First",
        "Upper:field=First",
        "hello",
        "Left:field=;length=1",
        "Left:field={" * 20 + "Static:value=x" + "};length=1" * 20,
        "Static:value=" + "x" * 5000,
    ],
)
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    """A transform that can't be read is refused with a sentence that has it."""
    with pytest.raises(ConfigRejected, match=r"transform"):
        parse(text)


def test_field_without_anything_is_refused() -> None:
    """A field wants a column or a transform."""
    with pytest.raises(ConfigRejected, match="neither"):
        parse(" ", " ")


NAME = st.text(alphabet="abcXYZ äß_.-", min_size=1).map(str.strip).filter(bool)


@given(NAME, st.text(max_size=20).filter(lambda text: ";field=" not in text.lower()), NAME)
def test_any_separator_survives(first: str, separator: str, second: str) -> None:
    """Whatever stands between two names is the separator, semicolons and equal signs too."""
    if "{" in separator or "}" in separator:
        return
    found = parse(f"Join:field={first};separator={separator};field={second}".rstrip())
    assert found == transforms.Join(transforms.Column(first), separator, transforms.Column(second))


def test_columns_are_found_within_transforms() -> None:
    """A job knows all columns that it needs before the first row."""
    nested = parse("Join:field={Left:field=First;length=1};separator=.;field=Last")
    assert list(transforms.columns(nested)) == ["First", "Last"]
