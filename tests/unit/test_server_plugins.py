"""Forms made of the schemas of connectors' parameters."""

from enum import StrEnum

from pydantic import BaseModel, Field

from runner.engine.catalogue import System
from runner.model.jobs import Kind
from runner.server.sdelements.plugins import plugin


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Params(BaseModel):
    """One of each sort."""

    host: str = Field(description="where it is", max_length=99)
    password: str = ""
    colour: Colour = Colour.RED
    second: Colour | None = None
    verify: bool = True
    old: str = Field("", deprecated=True)


SYSTEM = System(
    id="paint",
    kind=Kind.ALM,
    name="Paint",
    short_name="Paint",
    command="sync_paint",
    secrets=("password",),
    schema=Params.model_json_schema(),
)


def test_what_must_be_told_comes_before_what_may_be() -> None:
    """A form has a section of what is required and one of the rest, in the order of the connector."""
    sections = plugin(SYSTEM)["sections"]
    assert [(one["label"], one["optional"]) for one in sections] == [("Required", False), ("Optional", True)]
    names = [[field["name"] for field in one["fields"]] for one in sections]
    assert names == [["host"], ["password", "colour", "second", "verify", "old"]]


def test_each_sort_of_parameter_has_its_field() -> None:
    """Text with its longest length, secrets masked and without a default, choices with their options."""
    fields = {field["name"]: field for one in plugin(SYSTEM)["sections"] for field in one["fields"]}
    assert {name: field["field_type"] for name, field in fields.items()} == {
        "host": "string",
        "password": "masked_string",
        "colour": "select",
        "second": "select",
        "verify": "boolean",
        "old": "string",
    }
    assert (fields["host"]["max_length"], fields["host"]["description"]) == (99, "where it is")
    assert [option["value"] for option in fields["second"]["options"]] == ["red", "blue"]
    assert (fields["colour"]["default"], fields["password"]["default"]) == ("red", None)
    assert (fields["old"]["deprecated"], fields["verify"]["default"]) == (True, True)


def test_a_broken_connector_says_so() -> None:
    """It has no fields, but why it can't be loaded."""
    torn = System(
        id="torn", kind=Kind.ANALYSIS, name="torn", short_name="torn", command="", broken="no module x"
    )
    assert (plugin(torn)["broken"], plugin(torn)["sections"]) == ("no module x", [])
