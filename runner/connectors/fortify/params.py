"""What the import of a Fortify file can be told."""

from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field

from runner.findings.params import AnalysisParams


class ReportType(StrEnum):
    """What sort of file is expected."""

    AUTO = "auto"  # whatever the content shows
    XML = "xml"  # a report, root ReportDefinition
    FPR = "fpr"
    FVDL = "fvdl"


def _folded(value: object) -> object:
    return value.strip().casefold() if isinstance(value, str) else value


def _names(value: object) -> object:
    """Read a list of names, or their text with commas."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class WebInspectParams(AnalysisParams):
    """Settings of an upload connection. Names are those of the SD Elements API."""

    file_upload: str = Field(
        default="",
        validation_alias=AliasChoices("file_upload", "report_file"),
        description="Name of the uploaded file, as the sender called it. Set by the upload itself.",
    )
    sde_project: int | str | None = Field(
        default=None, description="Project, by id or name. Kept as it came; the connection says which."
    )
    sde_application: int | str | None = Field(
        default=None, description="Application of the project, by id or name. Kept as it came."
    )
    sde_businessunit: int | str | None = Field(
        default=None, description="Business unit of the project, by id or name. Kept as it came."
    )


class FortifyParams(WebInspectParams):
    """What Fortify's own files can be told besides."""

    report_type: Annotated[ReportType, BeforeValidator(_folded)] = Field(
        default=ReportType.AUTO,
        description="What sort of file to accept: auto (told by its content), fpr, fvdl or xml (a report).",
    )
    import_blacklist: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=("Not an Issue",),
        description="Values of the Analysis tag, separated by commas, whose issues are left out.",
    )
