"""The web service: what each path answers, for a caller who is let in already."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from simulators.rally import search
from simulators.rally.query import QueryError, parse
from simulators.rally.schema import Form
from simulators.rally.shapes import Shapes, envelope, failed
from simulators.rally.things import Refusal, Thing, Things, User
from simulators.rally.writes import Writes, resolve

LONGEST_PAGE = 2000
_ORDINARY_PAGE = 20


class NoSuchPath(Exception):
    """The path leads nowhere: the server answers 404 with a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``path`` begins behind the version."""

    method: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    body: Mapping[str, Any]
    user: User


class Service:
    """Answers calls about some things."""

    def __init__(self, things: Things, base: str, *, rng: Random) -> None:
        self._things = things
        self._shapes = Shapes(things, base)
        self._rng = rng

    def answer(self, call: Call) -> dict[str, Any]:
        """What a call is answered; ``NoSuchPath`` if it has no place here."""
        with self._things.lock:
            try:
                return self._answer(call)
            except Refusal as refusal:
                created = call.path[-1:] == ("create",)
                return failed("CreateResult" if created else "OperationResult", str(refusal))
            except QueryError as error:
                return failed("QueryResult", str(error))

    def _answer(self, call: Call) -> dict[str, Any]:
        match call.path:
            case ("batch",) if call.method == "POST":
                return self._batch(call)
            case (kind,):
                return self._collection(call, kind)
            case (kind, "create") if call.method in ("POST", "PUT"):
                return self._create(call, kind)
            case (kind, oid):
                return self._one(call, kind, oid)
            case (kind, oid, attribute):
                return self._members(call, kind, oid, attribute)
            case (kind, oid, attribute, "add" | "remove" as deed) if call.method == "POST":
                return self._collect(call, kind, oid, attribute, add=deed == "add")
        raise NoSuchPath

    def schema(self) -> list[dict[str, Any]]:
        """All type definitions, as the schema service gives them."""
        with self._things.lock:
            return self._shapes.schema()

    # --- reading -------------------------------------------------------------------------

    def _collection(self, call: Call, kind: str) -> dict[str, Any]:
        if kind not in self._things.types or call.method != "GET":
            raise NoSuchPath
        if kind in ("subscription", "user") and "query" not in call.params:
            only = (
                self._things.subscription
                if kind == "subscription"
                else self._things.find(kind, call.user.oid)
            )
            assert only is not None  # both are there from the start
            return self._read(only, call.params.get("fetch", "true"))
        return self._query(call, self._in_scope(call, kind), fetch=call.params.get("fetch", ""))

    def _query(self, call: Call, rows: list[Thing], *, fetch: str) -> dict[str, Any]:
        text = call.params.get("query", "").strip()
        expression = parse(text) if text else None
        found = search.matching(self._things, rows, expression)
        found = search.ordered(found, call.params.get("order", ""), self._rng)
        size = min(max(_number(call, "pagesize", _ORDINARY_PAGE), 1), LONGEST_PAGE)
        start = max(_number(call, "start", 1), 1)
        page = [self._shapes.whole(row, fetch) for row in found[start - 1 : start - 1 + size]]
        return envelope(
            "QueryResult", TotalResultCount=len(found), StartIndex=start, PageSize=size, Results=page
        )

    def _in_scope(self, call: Call, kind: str) -> list[Thing]:
        rows = self._things.all(kind)
        definition = self._things.types[kind]
        workspace = resolve(self._things, call.params.get("workspace")) or self._default(
            call.user, "DefaultWorkspace"
        )
        if kind == "workspace":
            return [workspace]  # whatever is asked for: names are looked up through the subscription
        if "workspace" in definition.attributes:
            rows = [row for row in rows if row.values.get("Workspace") == workspace.oid]
        if "project" in definition.attributes:
            rows = [row for row in rows if row.values.get("Project") not in call.user.hidden]
            scope = self._projects(call)
            rows = rows if scope is None else [row for row in rows if row.values.get("Project") in scope]
        if kind == "project":
            rows = [row for row in rows if row.oid not in call.user.hidden]
        return rows

    def _projects(self, call: Call) -> set[int] | None:
        """The projects that a query is about; None = the whole workspace."""
        if call.params.get("project") == "null":
            return None
        named = call.params.get("project")
        project = resolve(self._things, named) if named else self._default(call.user, "DefaultProject")
        if project is None:
            raise QueryError(f"Could not read: Cannot find project {named}")
        found = {project.oid}
        if call.params.get("projectScopeDown", "true").lower() == "true":
            while (
                more := {
                    each.oid for each in self._things.all("Project") if each.values.get("Parent") in found
                }
                - found
            ):
                found |= more
        if call.params.get("projectScopeUp", "false").lower() == "true":
            above: Thing | None = project
            while above is not None:
                found.add(above.oid)
                above = self._things.find("Project", above.values.get("Parent") or 0)
        return found

    def _default(self, user: User, which: str) -> Thing:
        shown = self._things.find("User", user.oid)
        profile = self._things.find("UserProfile", shown.values["UserProfile"] if shown else 0)
        found = None if profile is None else self._things.anywhere(profile.values[which])
        assert found is not None  # each user is made with one
        return found

    def _read(self, thing: Thing, fetch: str) -> dict[str, Any]:
        return {thing.type.name: {**self._shapes.whole(thing, fetch), "Errors": [], "Warnings": []}}

    def _find(self, call: Call, kind: str, ident: str) -> Thing | None:
        if kind not in self._things.types:
            raise NoSuchPath
        found = resolve(self._things, f"{kind}/{ident}")
        return None if found is None or found.values.get("Project") in call.user.hidden else found

    def _one(self, call: Call, kind: str, ident: str) -> dict[str, Any]:
        thing = self._find(call, kind, ident)
        writes = Writes(self._things, call.user)
        if call.method == "GET":
            if thing is None:
                return failed("OperationResult", "Cannot find object to read")
            return self._read(thing, call.params.get("fetch", "true"))
        if call.method == "DELETE":
            writes.delete(thing)
            return envelope("OperationResult")
        if not ident.isdecimal():
            raise NoSuchPath
        written = writes.update(self._things.types[kind], thing, int(ident), call.body)
        assert written.thing is not None  # else it was refused
        shown = self._shapes.whole(written.thing, call.params.get("fetch", "true"))
        return envelope("OperationResult", Object=shown, Warnings=written.warnings)

    def _members(self, call: Call, kind: str, ident: str, name: str) -> dict[str, Any]:
        thing = self._find(call, kind, ident)
        attribute = None if thing is None else thing.type.attribute(name)
        if (
            thing is None
            or attribute is None
            or attribute.form is not Form.COLLECTION
            or call.method != "GET"
        ):
            raise NoSuchPath
        members = [found for oid in thing.get(attribute) if (found := self._things.anywhere(oid))]
        return self._query(call, members, fetch=call.params.get("fetch", "true"))

    # --- writing -------------------------------------------------------------------------

    def _create(self, call: Call, kind: str) -> dict[str, Any]:
        if kind not in self._things.types:
            raise NoSuchPath
        written = Writes(self._things, call.user).create(self._things.types[kind], call.body)
        assert written.thing is not None  # else it was refused
        shown = self._shapes.whole(written.thing, call.params.get("fetch", ""))
        return envelope("CreateResult", Object=shown, Warnings=written.warnings)

    def _collect(self, call: Call, kind: str, ident: str, name: str, *, add: bool) -> dict[str, Any]:
        thing = self._find(call, kind, ident)
        attribute = None if thing is None else thing.type.attribute(name)
        if thing is None or attribute is None:
            raise NoSuchPath
        members = Writes(self._things, call.user).collect(thing, attribute, call.body, add=add)
        fetch = call.params.get("fetch", "")
        return envelope("OperationResult", Results=[self._shapes.whole(each, fetch) for each in members])

    def _batch(self, call: Call) -> dict[str, Any]:
        results = []
        for each in call.body.get("Batch") or []:
            entry = each.get("Entry") or {}
            path, _, query = str(entry.get("Path", "")).partition("?")
            params = dict(part.partition("=")[::2] for part in query.split("&") if part)
            inner = Call(
                method=str(entry.get("Method", "GET")).upper(),
                path=tuple(part.removesuffix(".js").lower() for part in path.strip("/").split("/")),
                params=params,
                body=entry.get("Body") or {},
                user=call.user,
            )
            try:
                answer = self.answer(inner)
            except NoSuchPath:
                answer = failed("OperationResult", f"Cannot find path {path}")
            results.append(next(iter(answer.values())))
        return envelope("BatchResult", Results=results)


def _number(call: Call, name: str, otherwise: int) -> int:
    text = call.params.get(name, "")
    try:
        return int(text) if text else otherwise
    except ValueError:
        raise QueryError(f"Could not parse: {name} {json.dumps(text)} is no number") from None
