"""What the import of a Fortify file can be told."""

from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, Field

from runner.findings.params import AnalysisParams
from runner.params import Folded, Names, ProjectParams


class ReportType(StrEnum):
    """What sort of file is expected."""

    AUTO = "auto"  # whatever the content shows
    XML = "xml"  # a report, root ReportDefinition
    FPR = "fpr"
    FVDL = "fvdl"


class WebInspectParams(ProjectParams, AnalysisParams):
    """Settings of an upload connection. Names are those of the SD Elements API."""

    file_upload: str = Field(
        default="",
        validation_alias=AliasChoices("file_upload", "report_file"),
        description="Name of the uploaded file, as the sender called it. Set by the upload itself.",
    )


class FortifyParams(WebInspectParams):
    """What Fortify's own files can be told besides."""

    report_type: Annotated[ReportType, Folded] = Field(
        default=ReportType.AUTO,
        description="What sort of file to accept: auto (told by its content), fpr, fvdl or xml (a report).",
    )
    import_blacklist: Names = Field(
        default=("Not an Issue",),
        description="Values of the Analysis tag, separated by commas, whose issues are left out.",
    )
