"""The document of a datasync job, as far as it is understood without running it."""

import pytest

from runner.model.datasync import code, digest, holds_code, static_password, without_passwords

SKELETON = """Option Strict Off\r
\r
Imports System\r
Imports Microsoft.VisualBasic\r
\r
Module ImanamiExposedCode\r
#Region "Generated"\r
'<--- instances --->\t\r
#End Region\r
 Sub DTM_RowStarting(ByVal dtmsource As Object, ByVal args As EventArgs) Handles DTM.RowStarting\r
 ' User-definable script goes here -----------------\r
\r
 End Sub\r
end Module ' ImanamiExposedCode\r
"""


def test_empty_skeleton_is_no_code() -> None:
    """The skeleton that every job carries does nothing."""
    assert not holds_code(SKELETON)
    assert not holds_code("")
    assert not holds_code("def DTM_RowStarting(source, args):\n    # nothing\n    pass\n")


@pytest.mark.parametrize("line", ["DTM.CancelRow()", "If True Then", "Dim x = 1 ' harmless"])
def test_a_single_line_is_code(line: str) -> None:
    """One statement within the skeleton is code, for it may leave rows out."""
    assert holds_code(SKELETON.replace(" End Sub", f"  {line}\r\n End Sub"))


def test_digest_follows_the_code() -> None:
    """What was accepted is this code and no other; without code there is nothing to accept."""
    plain = {"settings": [{"key": "Destination.ExposedScriptCode", "value": SKELETON}], "fieldsMap": []}
    one = {**plain, "fieldsMap": [{"destinationField": "cn", "transform": "Script:DTM.Result = 1"}]}
    two = {**plain, "fieldsMap": [{"destinationField": "cn", "transform": "Script:DTM.Result = 2"}]}
    assert digest(plain) == ""
    assert code(one) == ["Script:DTM.Result = 1"]
    assert digest(one) != digest(two)


def test_passwords_leave_the_document() -> None:
    """A static password is taken out and leaves SET behind; other fields stay as they are."""
    secret = {"objectType": 1, "destinationField": "Password", "transform": "Static:value=a;b=c", "id": 65}
    other = {"destinationField": "l", "transform": "Static:value=Berlin"}
    kept, taken = without_passwords({"fieldsMap": [secret, other, "odd"], "hasAccess": True})
    assert taken == {"1:password": "a;b=c"}
    assert kept["fieldsMap"] == [{**secret, "transform": "Static:value=SET"}, other, "odd"]
    assert kept["hasAccess"] is True
    assert static_password(other) is None
