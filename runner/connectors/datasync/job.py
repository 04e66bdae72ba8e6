"""What a job says, read strictly before the first row: its fields, keys, containers, passwords."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import ValidationError

from runner.connectors.datasync import transforms
from runner.connectors.datasync.params import DatasyncParams, FieldMap, ObjectsOption
from runner.connectors.datasync.passwords import Making, PasswordOptions
from runner.connectors.datasync.transforms import Script, Static, Transform
from runner.errors import ConfigRejected
from runner.model import datasync

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_DISABLE = {"disable account", "disableaccount", "accountdisabled"}
_NOT_WRITTEN = {"objectclass", "objectguid", "distinguishedname", "useraccountcontrol", "name", "memberof"}


class Kind(StrEnum):
    """Sorts of objects."""

    USER = "user"
    CONTACT = "contact"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """One attribute and what it is made of."""

    attribute: str
    made_of: Transform
    delimiter: str  # between several values; "" = there is one
    create_only: bool
    key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """One sort of objects that the job keeps."""

    kind: Kind
    fields: Sequence[Mapped]
    keys: Sequence[Mapped]
    create: bool
    delete: bool
    container: Transform | str  # DN, or what makes it
    password: Making | None = None
    disable: Transform | None = None
    members: Mapped | None = None

    @property
    def updatable(self) -> list[Mapped]:
        """The fields that follow the source after the creation."""
        return [each for each in self.fields if not each.create_only]

    @property
    def attributes(self) -> list[str]:
        """All attributes that the job knows of these objects."""
        return [each.attribute for each in self.fields]

    def transforms(self) -> Iterator[Transform]:
        """All transforms, each with those inside it."""
        found = [each.made_of for each in self.fields]
        found += [each for each in (self.disable, self.container) if isinstance(each, Transform)]
        if self.members is not None:
            found.append(self.members.made_of)
        for each in found:
            yield from transforms.parts(each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A whole job."""

    objects: Sequence[Objects]
    query: str
    table: str | None
    stamp: str | None  # column by which only newer rows are taken
    destination_query: str
    base: str  # DN below which objects are looked for
    subtree: bool
    abort: bool
    ignored_code: bool = False
    columns: Sequence[str] = field(default=())


def read(params: DatasyncParams) -> Job:
    """Read a job; ``ConfigRejected`` says what is wrong with it."""
    document = params.model_dump(mode="json", by_alias=True)
    # Names of the document again, whichever way it was spelled.
    document = {"fieldsMap": document["fields_map"], "settings": document["settings"]}
    _refuse_code(params, document)
    settings = {each.key.strip().lower(): each.value or "" for each in params.settings}
    base = settings.get("destination.container") or _provider_container(params)
    objects = [
        _objects(option, params, base) for option in params.objects_option if option.is_selected is not False
    ]
    if not objects:
        raise ConfigRejected("The job selects no type of objects: objectsOption is empty.")
    if not base:
        raise ConfigRejected("The job names no container: set Destination.Container to its DN.")
    query, stamp = _source_query(params)
    columns = [name for each in objects for part in each.transforms() for name in transforms.columns(part)]
    columns += [] if stamp is None else [stamp]
    return Job(
        objects=objects,
        query=query,
        table=settings.get("source.table") or None,
        stamp=stamp,
        destination_query=_destination_query(params),
        base=base,
        subtree=settings.get("destination.shouldincludesubtree", "true").strip().lower() != "false",
        abort=(params.job_info.on_failure or "Abort").strip().lower() != "continue",
        ignored_code=bool(datasync.code(document)),
        columns=list(dict.fromkeys(columns)),
    )


def _refuse_code(params: DatasyncParams, document: datasync.Document) -> None:
    digest = datasync.digest(document)
    if digest and (params.scripts_ignored or {}).get("digest") != digest:
        msg = (
            "The job holds script code. The runner executes none, and the code may leave out rows, so that "
            "nothing is done until an administrator accepts that it is ignored: POST to the job's "
            "IgnoreScripts."
        )
        raise ConfigRejected(msg)


def _provider_container(params: DatasyncParams) -> str:
    return "" if params.destination is None else params.destination.container


def _source_query(params: DatasyncParams) -> tuple[str, str | None]:
    for each in params.sync_query:
        if each.is_source:
            stamp = (each.time_stamp_field or "").strip()
            return each.query or "", stamp if stamp and each.update_all is False else None
    return "", None


def _destination_query(params: DatasyncParams) -> str:
    return next((each.query or "" for each in params.sync_query if not each.is_source), "")


def _objects(option: ObjectsOption, params: DatasyncParams, base: str) -> Objects:
    given = [each for each in params.fields_map if (each.object_type or 1) == (option.object_type or 1)]
    kind = _kind(option)
    fields: list[Mapped] = []
    password, disable, members = None, None, None
    for each in given:
        name = each.destination_field.strip()
        if datasync.is_password({"destinationField": name}):
            password = _password(each, params)
        elif name.lower() in _DISABLE:
            disable = transforms.parse(each.transform or "", each.source_field or "")
        elif name.lower() == "member" and kind is Kind.GROUP:
            members = _mapped(each)
        else:
            fields.append(_mapped(each))
    fields = [each for each in fields if not isinstance(each.made_of, Script)]
    keys = [each for each in fields if each.key]
    _check(kind, fields, keys, option)
    return Objects(
        kind=kind,
        fields=fields,
        keys=keys,
        create=bool(option.is_create),
        delete=bool(option.is_delete),
        container=_container(option, base),
        password=password,
        disable=disable,
        members=members,
    )


def _kind(option: ObjectsOption) -> Kind:
    name = (option.display_name or "").strip().lower()
    for kind in Kind:
        if kind.value in name:
            return kind
    if name or option.object_type not in {None, 1}:
        msg = f"The job wants objects of the type {option.display_name or option.object_type!r}; "
        raise ConfigRejected(msg + "the runner keeps users, contacts and groups.")
    return Kind.USER


def _mapped(given: FieldMap) -> Mapped:
    attribute = given.destination_field.strip()
    if not _ATTRIBUTE.fullmatch(attribute) or attribute.lower() in _NOT_WRITTEN:
        msg = f"{attribute!r} is not an attribute that a job can set."
        raise ConfigRejected(msg)
    made_of = transforms.parse(given.transform or "", given.source_field or "")
    key = bool(given.is_key)
    create_only = bool(given.for_create_only) or key
    varying = any("NOW" in part.variables for part in transforms.parts(made_of) if isinstance(part, Static))
    if varying and not create_only:
        msg = f"{attribute} would change at each run, for it has %NOW%. Set its forCreateOnly."
        raise ConfigRejected(msg)
    return Mapped(
        attribute=attribute,
        made_of=made_of,
        delimiter=given.delimiter or "",
        create_only=create_only,
        key=key,
    )


def _check(kind: Kind, fields: Sequence[Mapped], keys: Sequence[Mapped], option: ObjectsOption) -> None:
    if not keys:
        msg = f"The job has no key for its {kind.value}s: set isKey on the field that names them."
        raise ConfigRejected(msg)
    names = [each.attribute.lower() for each in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"The job sets {twice!r} twice."
        raise ConfigRejected(msg)
    if option.is_create and "cn" not in names:
        msg = f"The job creates {kind.value}s and has no field for cn, their name."
        raise ConfigRejected(msg)
    if any(each.delimiter for each in keys):
        raise ConfigRejected("A key has one value: take the delimiter from the key field.")


def _container(option: ObjectsOption, base: str) -> Transform | str:
    value = (option.container_option_value or "").strip()
    how = (option.container_option or str(option.strategy or 1)).strip()
    if how == "1":
        return value or base
    if how == "2":
        return transforms.parse(value if ":" in value else "", "" if ":" in value else value)
    raise ConfigRejected(
        "The job chooses containers by a script, which is never executed: choose a container, or a field."
    )


def _password(given: FieldMap, params: DatasyncParams) -> Making:
    try:
        options = PasswordOptions.model_validate(
            json.loads(given.options) if isinstance(given.options, str) else given.options or {}
        )
    except (json.JSONDecodeError, ValidationError) as error:
        msg = "The password's options can't be understood; they are an object with passwordLength and others."
        raise ConfigRejected(msg) from error
    name = datasync.password_name(
        {"objectType": given.object_type or 1, "destinationField": given.destination_field}
    )
    stored = params.static_passwords.get(name)
    transform = (given.transform or "").strip()
    if options.password_type == 1 or not transform:
        if (given.source_field or "").strip():
            raise ConfigRejected(
                "The password comes from a column. That would leave it in the workbook and in the journal: "
                "let the runner make one for each account (passwordType 1), or set a static one."
            )
        return Making(options=options, static=None)
    if stored is None or not stored.get_secret_value():
        raise ConfigRejected("The job's static password isn't stored: give it again.")
    return Making(options=options, static=stored.get_secret_value())
