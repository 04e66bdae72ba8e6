"""The platform's things, as connectors read them: projects, tasks, users, groups.

Source: the SD Elements API v2.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Verification(StrEnum):
    """What scanners say of a task, from worst to best; ``none`` = nothing said."""

    FAIL = "fail"
    PARTIAL = "partial"
    PASS = "pass"
    NONE = "none"


class Meaning(StrEnum):
    """What a task status means, however a site calls it."""

    TODO = "TODO"
    DONE = "DONE"
    NA = "NA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and the chain of names that leads to it."""

    id: int
    name: str
    application: str
    business_unit: str
    slug: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of a project."""

    id: str  # as in the API: "7-T21"
    task_id: str  # "T21"; a custom one is "CT8", one of the project alone "PT3"
    title: str
    phase: str  # slug, as "architecture-design"
    priority: int  # 1 to 10
    status: str  # id, as "TS2"
    meaning: Meaning
    verification_status: Verification
    text: str = ""
    updated: str = ""  # ISO 8601, UTC
    status_updated: str = ""  # the same of its status; "" = not known
    cwes: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()  # scanner categories the task answers to
    catch_all: bool = False  # takes findings that match no other task
    tags: tuple[str, ...] = ()
    results: dict[str, Verification] = field(default_factory=dict)
    """The standing verification by scanner, as {"fortify": "fail"}; what ``combine`` folds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One user, as a directory's connector sees the account."""

    id: int
    email: str
    first_name: str
    last_name: str
    is_active: bool
    elevated: bool  # has a role above User
    protected: str  # why no run changes it, as "is a superuser"; "" = runs may
    directory_id: str  # who it is in a directory; "" = no directory knows
    owned: bool  # this connection made it, or took it over
    groups: tuple[str, ...]  # ids, as "G1", of those it is a direct member of


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group."""

    id: str  # as in the API: "G1"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMapping:
    """Who is in the directory's group is to be in ours."""

    ldap_group: str
    group_id: str
