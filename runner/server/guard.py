"""The application's outermost layer: one spelling of paths, and no traceback to anyone."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.log import get
from runner.server.replies import server_error

_log = get("server")

_SLASHED = ("/api/", "/GroupIDDataService/", "/GroupIDSecurityService/")
"""Beginnings of paths whose last slash may be left out."""


class Guard:
    """Completes paths of the API with their slash, and answers for what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith(_SLASHED) and not path.endswith(("/", ".json")):
            scope["path"] = path + "/"
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception:
            _log.exception("request_crashed", method=scope["method"], path=path)
            if begun:
                raise  # the half answer must be seen to be one: the server cuts the connection
            await server_error()(scope, receive, send)
