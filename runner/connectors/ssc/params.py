"""What an import from SSC can be told. Names are those of the SD Elements API's older tool."""

from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, model_validator

from runner.findings.params import AnalysisParams
from runner.params import Folded, Names, Scheme, SiteParams, Text


class SscParams(SiteParams, AnalysisParams):
    """Settings of a connection to a Software Security Center."""

    ssc_server: str = Field(
        min_length=1,
        validation_alias=AliasChoices("ssc_server", "analysis_server"),
        description="The server, with its port: ssc.example.com:8443. A path other than /ssc may follow.",
    )
    ssc_method: Annotated[Scheme, Folded] = Field(
        default=Scheme.HTTPS,
        validation_alias=AliasChoices("ssc_method", "analysis_method"),
        description="https; http works on this machine only, for the token would cross the network in clear.",
    )
    ssc_authtoken: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("ssc_authtoken", "analysis_api_token"),
        description="A token of type UnifiedLoginToken or CIToken, as SSC shows it once. It is sent in a "
        "header only.",
    )
    ssc_project_name: str = Field(default="", description="Name of the application (SSC's project).")
    ssc_project_version: str = Field(default="", description="Name of its version.")
    ssc_version_id: Text = Field(default="", description="The version's id, instead of the two names.")
    import_blacklist: Names = Field(
        default=("Not an Issue",),
        description="Values of the primary tag, separated by commas, whose issues are left out.",
    )

    @model_validator(mode="after")
    def _whole(self) -> "SscParams":
        if not self.ssc_authtoken.get_secret_value():
            raise ValueError("ssc_authtoken is missing: make a token in SSC and enter it")
        if not self.ssc_version_id and not (self.ssc_project_name and self.ssc_project_version):
            raise ValueError(
                "the version is missing: give ssc_project_name and ssc_project_version, or ssc_version_id"
            )
        return self

    @property
    def url(self) -> str:
        """The API's address."""
        server = self.ssc_server.rstrip("/")
        whole = server if "://" in server else f"{self.ssc_method}://{server}"
        if "/" not in whole.partition("://")[2]:
            whole += "/ssc"
        return whole if whole.endswith("/api/v1") else f"{whole}/api/v1"
