"""What an import from WhiteHat can be told. Names are those of the SD Elements API and its older tool."""

from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from runner.findings.finding import plain
from runner.findings.params import AnalysisParams
from runner.params import Folded, ProjectParams, Scheme, SiteParams, Text

HOME = "sentinel.whitehatsec.com"


class AssetType(StrEnum):
    """What sort of asset is meant."""

    SITE = "site"  # scanned while it runs
    APPLICATION = "application"  # scanned as source code


def _statuses(value: object) -> object:
    """Read a list of statuses, or their text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return [plain(str(part)).replace("_", " ") for part in parts if str(part).strip()]


class _Common(ProjectParams, AnalysisParams):
    statuses: Annotated[tuple[str, ...], BeforeValidator(_statuses)] = Field(
        default=("open",),
        min_length=1,
        validation_alias=AliasChoices("statuses", "query_status"),
        description="Statuses of findings that count, separated by commas: open, closed, accepted, "
        "out of scope, mitigated, invalid.",
    )


class WhiteHatParams(SiteParams, _Common):
    """Settings of a connection to a WhiteHat server."""

    analysis_server: str = Field(
        default=HOME,
        validation_alias=AliasChoices("analysis_server", "wh_server"),
        description=f"The server, with its port if it has one of its own. Empty = {HOME}.",
    )
    analysis_method: Annotated[Scheme, Folded] = Field(
        default=Scheme.HTTPS,
        validation_alias=AliasChoices("analysis_method", "wh_method"),
        description="https; http works on this machine only, for the key would cross the network in clear.",
    )
    analysis_api_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("analysis_api_token", "wh_api_token", "api_key", "analysis_pass"),
        description="The key of an account that may see the asset. It is sent in a header only.",
    )
    asset_name: str = Field(default="", description="Name of the site or application, as WhiteHat shows it.")
    asset_id: Text = Field(
        default="", description="Its id, instead of the name or to tell apart assets of one name."
    )
    asset_type: Annotated[AssetType | None, Folded] = Field(
        default=None, description="site or application; only needed where both have the name or the id."
    )

    @model_validator(mode="after")
    def _whole(self) -> "WhiteHatParams":
        if not self.analysis_api_token.get_secret_value():
            raise ValueError("analysis_api_token is missing: make a key in WhiteHat and enter it")
        if not self.asset_name and not self.asset_id:
            raise ValueError("asset_name or asset_id is missing: name the site or application to import")
        return self

    @property
    def url(self) -> str:
        """The API's address; a scheme or a path in ``analysis_server`` count."""
        server = self.analysis_server.rstrip("/")
        whole = server if "://" in server else f"{self.analysis_method}://{server}"
        return whole if whole.endswith("/api") else f"{whole}/api"


class WhiteHatFileParams(_Common):
    """Settings of an upload connection."""

    file_upload: str = Field(
        default="",
        validation_alias=AliasChoices("file_upload", "report_file"),
        description="Name of the uploaded file, as the sender called it. Set by the upload itself.",
    )
