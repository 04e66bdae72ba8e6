"""The Rally server of the sample: a workspace, a project, and who may log in."""

from pathlib import Path

from simulators.rally.server import Simulator
from simulators.rally.things import Things, User

PORT = 8091
WORKSPACE = "Rally Workspace"
PROJECT = "Rally Project"
USER = "rally_user"
PASSWORD = "rally_password"  # noqa: S105 - of the sample, on loopback
API_KEY = "_rally_key"


def sample_server(
    *,
    port: int = PORT,
    workspace: str = WORKSPACE,
    project: str = PROJECT,
    user: str = USER,
    password: str = PASSWORD,
    api_key: str = API_KEY,
    certificate: tuple[Path, Path] | None = None,
) -> Simulator:
    """A server with one workspace, one project and one user."""
    things = Things()
    place = things.add_workspace(workspace)
    home = things.add_project(place, project)
    things.add_user(User(name=user, password=password, keys={api_key: True}), workspace=place, project=home)
    return Simulator(things, port=port, certificate=certificate)
