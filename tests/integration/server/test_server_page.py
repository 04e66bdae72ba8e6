"""The status page: for a person with a browser and a token."""

from runner.store.accounts import Scope
from runner.store.vault import Vault
from tests.integration.server.kit import Running

SECRET = "hunter2-hunter2"


def test_the_page_wants_a_token_as_browsers_show_it(server: Running) -> None:
    """Without one the browser is told to ask; e-mail and token, or the header, let in."""
    nobody = server.client()
    asked = nobody.get("/")
    assert (asked.status_code, asked.headers["WWW-Authenticate"].split()[0]) == (401, "Basic")
    token = server.token(Scope.READ)
    assert nobody.get("/", auth=("somebody@example.com", token)).status_code == 200
    assert nobody.get("/", auth=("somebody@example.com", "wrong")).status_code == 401
    assert nobody.get("/", headers={"Authorization": "Basic ***"}).status_code == 401
    assert server.client(Scope.READ).get("/").status_code == 200
    assert server.client(Scope.RUN, email="r@example.com").get("/").status_code == 403
    assert nobody.get("jobs/", auth=("somebody@example.com", token)).status_code == 401


def test_the_page_tells_what_runs_what_comes_and_what_is_wrong(server: Running) -> None:
    """Jobs, connections with their next run, and failures stand there; nothing secret, no script."""
    vault: Vault = server.services.vault
    connection = server.connection(
        alias="<b>Plant</b> 7", params=vault.seal({"alm_pass": SECRET}, lambda _name: True)
    )
    server.connection("whitehat", alias="Sentinel", params={"wh_api_token": SECRET})
    server.finished_jobs(connection, 3)
    server.finished_jobs(connection, 1, outcome="failed", result_message="The password was refused.")
    server.engine.told["trouble"] = "The disk is full."
    answer = server.client(Scope.READ).get("/")
    page = answer.text
    assert answer.headers["content-type"].startswith("text/html")
    for text in ("The disk is full.", "The password was refused.", "Sentinel", "manually", "no module"):
        assert text in page
    assert "&lt;b&gt;Plant&lt;/b&gt; 7" in page
    for text in (SECRET, "<script", "alm_pass", "<b>"):
        assert text not in page
    assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_all_is_well(server: Running) -> None:
    """Where nothing is wrong the page says so."""
    server.connection()
    # The stand-in has one connector that can't be loaded; that alone is told.
    page = server.client(Scope.READ).get("/").text
    assert page.count("<li>") == 1
    assert "torn" in page
