"""What an item says: its name, and its description as HTML."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.connectors.rally import text
from runner.connectors.rally.params import RallyParams
from tests.unit.recording import PROJECT, make_task

VOID = {"br", "hr", "img"}


class Balance(HTMLParser):
    """Makes sure that each tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def named(title: str, **params: object) -> str:
    """The name of T21's item."""
    settings = RallyParams.model_validate(params)
    return text.name_of(make_task("T21", title=title), settings, PROJECT)


def test_a_name_begins_with_the_task_and_a_colon() -> None:
    """T2 isn't the beginning of T22, and a title that has its number already doesn't get it twice."""
    assert named("Escape output") == "T21: Escape output"
    assert named("T21: Escape output") == "T21: Escape output"


def test_a_name_follows_the_format() -> None:
    """All placeholders are filled in, and what isn't one stays."""
    shown = named(
        "Escape", alm_title_format="[$application/$project] ${task_id} $title ($context) $5", alm_context="EU"
    )
    assert shown == "[Customer Portal/Webshop] T21: Escape (EU) $5"


def test_a_long_name_is_cut() -> None:
    """Rally takes 256 characters."""
    assert len(named("x" * 400)) == text.NAME_LENGTH


def test_a_description_is_html_and_tells_whose_it_is() -> None:
    """Markdown is rendered, raw HTML is shown, and the last line names the task."""
    task = make_task(
        "T21", text="# Do\n\n- *this*\n- <script>that</script>\n\n`a < b`\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    html = text.description_of(task, PROJECT)
    assert {"h1", "ul", "li", "em", "code", "table"} <= Balance(html).tags
    assert "<script" not in html
    assert text.owner_in(html) == text.owner_of(task, PROJECT)


@given(
    st.lists(
        st.sampled_from(
            ["**bold** ", "- item\n", "\n\n", "> quote ", "`code` ", "& < > ", "word " * 40, "é" * 30]
        ),
        max_size=60,
    ),
    st.integers(200, 2000),
)
def test_a_description_is_cut_cleanly(parts: list[str], room: int) -> None:
    """However little room there is, it isn't exceeded, and no tag stays open."""
    html = text.within("".join(parts), room)
    assert len(html) <= room
    Balance(html)


def test_a_description_that_is_too_long_keeps_its_owner() -> None:
    """What is cut is the task's text, never the line by which the item is known again."""
    task = make_task("T21", text="A paragraph of words.\n\n" * 5000)
    html = text.description_of(task, PROJECT)
    assert len(html) <= text.DESCRIPTION_LENGTH
    assert text.owner_in(html) == text.owner_of(task, PROJECT)
    assert re.search("<p>…</p>", html)


@pytest.mark.parametrize("name", ["R&D <Labs>", "A / B. C", 'Quote "this"'])
def test_odd_names_of_projects_are_read_back(name: str) -> None:
    """Whose an item is comes out of its description as it went in."""
    from dataclasses import replace

    project = replace(PROJECT, name=name)
    task = make_task("T1")
    assert text.owner_in(text.description_of(task, project)) == text.owner_of(task, project)
