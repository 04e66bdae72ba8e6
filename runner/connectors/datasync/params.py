"""The parameters: the job's document as it came, and what the runner adds to it."""

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, model_validator

from runner.connectors.datasync import transforms
from runner.ports import Params


class _Part(BaseModel):
    """A part of the document; what isn't named here is kept in the store and not looked at."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, coerce_numbers_to_str=True)


class JobInfo(_Part):
    """The job itself."""

    name: str = ""
    source_provider: str | None = Field(None, alias="sourceProvider")
    destination_provider: str | None = Field(None, alias="destinationProvider")
    on_failure: str | None = Field("Abort", alias="onFailure")


class FieldMap(_Part):
    """One field of the destination and what it is made of."""

    source_field: str | None = Field("", alias="sourceField")
    destination_field: str = Field(alias="destinationField")
    delimiter: str | None = ""
    transform: str | None = ""
    for_create_only: bool | None = Field(False, alias="forCreateOnly")
    object_type: int | None = Field(1, alias="objectType")
    is_key: bool | None = Field(False, alias="isKey")
    options: str | dict[str, Any] | None = None


class ObjectsOption(_Part):
    """What may be done with objects of one type, and where new ones go."""

    object_type: int | None = Field(1, alias="objectType")
    display_name: str | None = Field("", alias="displayName")
    is_create: bool | None = Field(False, alias="isCreate")
    is_delete: bool | None = Field(False, alias="isDelete")
    is_selected: bool | None = Field(True, alias="isSelected")
    container_option: str | None = Field("1", alias="containerOption")
    container_option_value: str | None = Field("", alias="containerOptionValue")
    strategy: int | None = Field(1, alias="createObjectContainerStrategy")


class SyncQuery(_Part):
    """A query to the source or to the destination."""

    query: str | None = ""
    query_type: str | None = Field("", alias="queryType")
    is_source: bool | None = Field(False, alias="isSource")
    time_stamp_field: str | None = Field("", alias="timeStampField")
    update_all: bool | None = Field(True, alias="updateAll")


class Setting(_Part):
    """A setting; keys may stand several times, and the last counts."""

    key: str = ""
    value: str | None = ""


class SourceProvider(_Part):
    """A workbook, as the job's source provider names it."""

    name: str
    path: str
    trouble: str = ""  # why it can't be used


class DestinationProvider(_Part):
    """A directory, as the job's destination provider names it."""

    name: str
    servers: str
    security: str = "ldaps"
    bind_dn: str = ""
    ca_bundle: str = ""  # a file, or PEM
    verify: bool = True
    container: str = ""
    trouble: str = ""  # why it can't be used
    page_size: int = 1000


class DatasyncParams(Params):
    """A datasync job's document (see the README), with its passwords apart."""

    job_info: JobInfo = Field(
        default_factory=JobInfo, validation_alias=AliasChoices("jobInfo", "job_info"), description="the job"
    )
    fields_map: list[FieldMap] = Field(
        [], validation_alias=AliasChoices("fieldsMap", "fields_map"), description="fields of the destination"
    )
    objects_option: list[ObjectsOption] = Field(
        [], validation_alias=AliasChoices("objectsOption", "objects_option"), description="types of objects"
    )
    sync_query: list[SyncQuery] = Field(
        [], validation_alias=AliasChoices("syncQuery", "sync_query"), description="queries to both sides"
    )
    settings: list[Setting] = Field([], description="settings by key")
    static_passwords: dict[str, SecretStr] = Field(
        {}, description='passwords of the document, as {"1:password": "…"}: object type and field'
    )
    scripts_ignored: dict[str, str] | None = Field(
        None, description="which code an administrator accepted to be ignored; set by the server"
    )
    source: SourceProvider | None = Field(None, description="set by the runner from [provider.NAME]")
    destination: DestinationProvider | None = Field(
        None, description="set by the runner from [provider.NAME]"
    )
    destination_password: SecretStr = Field(SecretStr(""), description="set by the runner")
    password_folder: str = Field("", description="set by the runner: where made passwords are announced")

    @model_validator(mode="after")
    def _can_be_read(self) -> "DatasyncParams":
        for each in self.fields_map:
            transforms.parse(each.transform or "", each.source_field or "-")
        return self
