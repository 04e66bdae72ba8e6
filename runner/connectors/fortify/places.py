"""Where a vulnerability is: the line that Fortify's own tools point at.

It is in the first trace: the entry whose node is the default one, else the last. Entries may
refer to nodes of a pool that comes after all vulnerabilities. Without a trace, what the
description's placeholders are filled with says where, or the function around it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lxml import etree


@dataclass(frozen=True, slots=True)
class Place:
    """A place that may have to wait for the pool of nodes."""

    known: str = ""  # "src/A.java:4"; what holds if no node of the pool does
    nodes: tuple[str, ...] = ()  # of the pool, in the order of the trace
    ends_in_pool: bool = False  # the last entry of the trace is one of them

    def resolve(self, pool: Mapping[str, "Node"]) -> str:
        """The place, now that the pool is known."""
        nodes = [pool[node] for node in self.nodes if node in pool]
        default = next((node.where for node in nodes if node.default), "")
        last = pool.get(self.nodes[-1]) if self.ends_in_pool else None
        return default or (last.where if last is not None else "") or self.known


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the pool."""

    where: str
    default: bool


def read_node(element: etree._Element) -> Node:
    """A Node of a trace or of the pool."""
    source = next(element.iterchildren("{*}SourceLocation"), None)
    return Node("" if source is None else _where(source), element.get("isDefault") == "true")


def place_of(vulnerability: etree._Element) -> Place:
    """Where a Vulnerability is."""
    unified = next(_down(vulnerability, "AnalysisInfo", "Unified"), None)
    if unified is None:
        return Place()
    nodes: list[str] = []
    last, ends_in_pool = "", False
    trace = next(unified.iterchildren("{*}Trace"), None)
    for entry in () if trace is None else _down(trace, "Primary", "Entry"):
        for child in entry:
            match etree.QName(child).localname:
                case "Node":
                    node = read_node(child)
                    if node.default and node.where:
                        return Place(node.where)
                    last, ends_in_pool = node.where or last, False
                case "NodeRef":
                    nodes.append(child.get("id", ""))
                    ends_in_pool = True
    return Place(last or _elsewhere(unified), tuple(nodes), ends_in_pool)


def _elsewhere(unified: etree._Element) -> str:
    """A place that the trace doesn't know."""
    definitions: dict[str, str] = {}
    for definition in _down(unified, "ReplacementDefinitions", "*"):
        key = definition.get("key", "")
        if key == "PrimaryLocation" and definition.get("path"):
            return _where(definition)
        definitions[key] = definition.get("value", "")
    if file := definitions.get("PrimaryLocation.file"):
        line = definitions.get("PrimaryLocation.line")
        return f"{file}:{line}" if line else file
    around = next(_down(unified, "Context", "FunctionDeclarationSourceLocation"), None)
    return "" if around is None else _where(around)


def _down(element: etree._Element, first: str, *rest: str) -> Iterator[etree._Element]:
    """The elements at the end of a path of names, whatever their namespace."""
    for child in element.iterchildren("{*}" + first):
        if rest:
            yield from _down(child, *rest)
        else:
            yield child


def _where(source: etree._Element) -> str:
    path, line = source.get("path", ""), source.get("line", "")
    return f"{path}:{line}" if path and line else path


def wanted(places: Collection[Place]) -> set[str]:
    """The nodes of the pool that some place waits for."""
    return {node for place in places for node in place.nodes}
