"""Creations have a ceiling once a job has run: what a person sees, and how they allow more."""

from pathlib import Path

import pytest

from tests.integration.datasync.slapd_place import Place, job
from tests.servers.slapd import SlapdServer

pytestmark = pytest.mark.xdist_group("slapd")

STOPPED = 3  # exit code
MANY = [f"p{number:02}" for number in range(8)]


def test_more_accounts_than_the_ceiling_need_a_person(slapd_server: SlapdServer, tmp_path: Path) -> None:
    """The first run may make any number; a later one stops before it writes, until it is allowed once."""
    place = Place(tmp_path, slapd_server, "[safety]\nmax_creates_later = 3\n")
    place.write("staff", *MANY[:4])
    with place.machine.daemon(*place.flags):
        client = place.client()
        number = client.call("POST", "/", job("People", "Staff"))["data"]
        assert client.run(number)["outCome"] == "Succeeded"
        assert place.people() == set(MANY[:4])

        place.write("staff", *MANY)
        preview = client.run(number, preview=True)
        assert "4 would be created, and [safety] max_creates_later allows 3." in preview["message"]
        stopped = client.run(number)
        command = f"runner jobs retry {stopped['runId']} --allow-destructive 4"
        assert stopped["outCome"] == "Failed"
        assert stopped["message"].startswith(
            "4 would be created, and [safety] max_creates_later allows 3. Nothing was written. Look at "
        )
        assert f"allow it once: `{command}`." in stopped["message"]
        assert place.people() == set(MANY[:4])
        assert place.machine.type("connections", "run", number, "--wait").returncode == STOPPED

        allowed = place.machine.type(*command.split()[1:], "--wait")
        assert allowed.returncode == 0, allowed.stdout + allowed.stderr
        assert place.people() == set(MANY)
        # What was allowed is used up, and three are few enough.
        place.write("staff", *MANY, "q1", "q2", "q3", "q4")
        assert "4 would be created" in client.run(number)["message"]
        place.write("staff", *MANY, "q1", "q2", "q3")
        assert client.run(number)["outCome"] == "Succeeded"
        assert place.people() == {*MANY, "q1", "q2", "q3"}
