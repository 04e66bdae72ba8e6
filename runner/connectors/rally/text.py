"""What an item says: its name, and its description as Rally's HTML.

Rally takes 256 characters of a name and 32,768 of a description, tags of HTML included.
Descriptions end with a line that tells whose item it is; by it an item whose reference was
lost is known again, and two projects that meet in one Rally project are kept apart.
"""

import html
import re
from collections.abc import Mapping
from string import Template
from typing import Any

from runner.connectors.rally.params import RallyParams
from runner.model.platform import Project, Task

NAME_LENGTH = 256
DESCRIPTION_LENGTH = 32_768
_CUT = "<p>…</p>"
_OWNED = re.compile(r"Kept in step with task (\S+) of (.+?)\.\s*(?:<|$)")
_BLANKS = re.compile(r"\s+")


def words(params: RallyParams, project: Project) -> dict[str, str]:
    """What the placeholders of a project stand for."""
    return {"context": params.alm_context, "application": project.application, "project": project.name}


def name_of(task: Task, params: RallyParams, project: Project) -> str:
    """An item's name. ``$task_id`` has a colon, so that T2 isn't the beginning of T22."""
    title = task.title.removeprefix(f"{task.task_id}: ")
    found = Template(params.alm_title_format).safe_substitute(
        words(params, project), task_id=f"{task.task_id}:", title=title
    )
    found = plain(found)
    return found if len(found) <= NAME_LENGTH else f"{found[: NAME_LENGTH - 1].rstrip()}…"


def plain(name: str) -> str:
    """A name as it is compared: blanks are one space each, as Rally's pages make of them."""
    return _BLANKS.sub(" ", name).strip()


def item_key(task_id: str) -> str:
    """What a task's item is called in changes: another thing than the task."""
    return f"{task_id}/item"


def task_of(key: str) -> str:
    """The task that an item's key speaks of."""
    return key.removesuffix("/item")


def owner_of(task: Task, project: Project) -> str:
    """Whose item it is: the task, and the chain of names that leads to its project."""
    return _told(task.id, f"{project.business_unit} / {project.application} / {project.name}")


def _told(task_id: str, place: str) -> str:
    return f"{task_id} of {place}"


def owner_in(description: str) -> str | None:
    """Whose item a description says it is; None = it doesn't say."""
    found = _OWNED.findall(description)
    return html.unescape(_told(*found[-1])) if found else None  # the line is at the end


def description_of(task: Task, project: Project) -> str:
    """The task's text as HTML, cut between two blocks where it is too long, and whose it is."""
    owned = f"<p>Kept in step with task {html.escape(owner_of(task, project))}.</p>"
    return within(task.text, DESCRIPTION_LENGTH - len(owned)) + owned


def within(markdown: str, room: int) -> str:
    """Markdown as HTML of ``room`` characters at the most.

    What is cut is cut between blocks, so that no tag stays open; a single block that is too
    long by itself goes on as plain text up to where it fits.
    """
    tokens = _parser().parse(markdown)
    whole: str = _rendered(tokens)
    if len(whole) <= room:
        return whole
    kept, room = "", room - len(_CUT)
    for block in _blocks(tokens):
        rendered = _rendered(block)
        if len(kept) + len(rendered) > room:
            return kept + _shortened(block, room - len(kept)) + _CUT
        kept += rendered
    return kept + _CUT


def _parser() -> Any:
    from markdown_it import MarkdownIt

    # Raw HTML of a task's text is shown, not obeyed: what Rally keeps of it is anyone's guess.
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _rendered(tokens: list[Any]) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark").renderer.render(tokens, MarkdownIt("commonmark").options, {}))


def _blocks(tokens: list[Any]) -> list[list[Any]]:
    """The tokens by top-level block: a paragraph, a list, a table."""
    found: list[list[Any]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            found.append([])
        found[-1].append(token)
    return found


def _shortened(block: list[Any], room: int) -> str:
    """As much of one block as fits, as plain text."""
    text = " ".join(token.content for token in block if token.content).strip()
    kept = ""
    for word in _BLANKS.split(text):
        if len(kept) + len(html.escape(word)) + 1 > room - len("<p></p>"):
            break
        kept += f" {html.escape(word)}" if kept else html.escape(word)
    return f"<p>{kept}</p>" if kept else ""


def custom_fields(params: RallyParams, project: Project) -> Mapping[str, Any]:
    """The further fields of new items, with their macros filled in."""
    from runner.connectors.rally.params import filled

    return filled(params.alm_custom_fields, words(params, project))
