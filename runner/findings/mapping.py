"""Which tasks a finding speaks about.

In this order, the first that gives any task wins: the connection's own mapping, the CWEs
that tasks carry, the categories they answer to (with subtype, then without), and the task
that takes whatever matches no other. A finding counts for every task of the winning step.

Tasks of the testing phase take no part: a scanner can't show that a person has tested.
Tasks are told apart by their whole id; the custom task CT8 has nothing to do with T8.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from runner.findings.finding import Weakness, plain
from runner.model.platform import Task

TESTING = "testing"

WILDCARD = "*"
"""Stands for every weakness no other rule names, in a connection's mapping."""


class Confidence(StrEnum):
    """How far a scanner's silence about a task can be trusted."""

    HIGH = "high"  # nothing found = pass
    LOW = "low"  # nothing found = partial


class Via(StrEnum):
    """What brought a finding to its tasks."""

    RULE = "rule"  # the connection's mapping
    CWE = "cwe"
    CATEGORY = "category"
    CATCH_ALL = "catch_all"  # it matched nothing
    NOTHING = "nothing"  # and no task takes such


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of a connection's own mapping."""

    task_id: str  # "T21", or a custom "CT8"
    weakness: str  # a category, "CWE-89", or the wildcard
    confidence: Confidence = Confidence.LOW


@dataclass(frozen=True, slots=True)
class Match:
    """The tasks, by the platform's id ("7-T21"), that a weakness speaks about."""

    via: Via
    tasks: tuple[str, ...] = ()

    @property
    def mapped(self) -> bool:
        """Whether a task answers to this weakness, rather than to whatever is left over."""
        return self.via not in {Via.CATCH_ALL, Via.NOTHING}


class TaskIndex:
    """The tasks of a project, by what they answer to."""

    def __init__(self, tasks: Iterable[Task], rules: Iterable[Rule] = ()) -> None:
        self.tasks: dict[str, Task] = {task.id: task for task in tasks if plain(task.phase) != TESTING}
        self._by_rule: Mapping[str, Mapping[str, None]]
        self._by_cwe: defaultdict[int, dict[str, None]] = defaultdict(dict)
        self._by_category: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._left_over = tuple(task.id for task in self.tasks.values() if task.catch_all)
        self._confidence: dict[str, Confidence] = {}
        self._take_tasks()
        self._by_rule = self._take_rules(rules)

    def _take_tasks(self) -> None:
        for task in self.tasks.values():
            for cwe in task.cwes:
                self._by_cwe[cwe][task.id] = None
            for category in task.categories:
                self._by_category[plain(category)][task.id] = None
            # A category is in the scanner's own words, so the scanner looks for it. A CWE is
            # not: many have no rule in this scanner, and its silence about them says less.
            if task.categories or task.catch_all:
                self._confidence[task.id] = Confidence.HIGH
            elif task.cwes:
                self._confidence[task.id] = Confidence.LOW

    def _take_rules(self, rules: Iterable[Rule]) -> Mapping[str, Mapping[str, None]]:
        by_name = {task.task_id: task.id for task in self.tasks.values()}
        by_rule: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for rule in rules:
            task = by_name.get(rule.task_id)
            if task is not None:
                by_rule[plain(rule.weakness)][task] = None
                self._confidence[task] = rule.confidence
        return by_rule

    def confidence(self, task: str) -> Confidence | None:
        """How far silence about a task can be trusted; None = nothing the scanner says is about it."""
        return self._confidence.get(task)

    def match(self, weakness: Weakness) -> Match:
        """The tasks that ``weakness`` speaks about."""
        for via, found in self._steps(weakness):
            if found:
                return Match(via, tuple(found))
        return Match(Via.CATCH_ALL, self._left_over) if self._left_over else Match(Via.NOTHING)

    def _steps(self, weakness: Weakness) -> Iterator[tuple[Via, Iterable[str]]]:
        names = tuple(weakness.names())
        yield Via.RULE, self._by_rule.get(names[0], ())
        yield Via.RULE, _union(self._by_rule, (f"cwe-{cwe}" for cwe in weakness.cwes))
        yield from ((Via.RULE, self._by_rule.get(name, ())) for name in names[1:])
        yield Via.CWE, _union(self._by_cwe, weakness.cwes)
        yield from ((Via.CATEGORY, self._by_category.get(name, ())) for name in names)
        yield Via.CATCH_ALL, self._by_rule.get(WILDCARD, ())


K = TypeVar("K")


def _union(index: Mapping[K, Mapping[str, None]], keys: Iterable[K]) -> tuple[str, ...]:
    """The tasks of all ``keys``, each once, in the order of first appearance."""
    return tuple(dict.fromkeys(task for key in keys for task in index.get(key, ())))
