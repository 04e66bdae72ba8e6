"""The Unix socket's application: the same one, whose callers are the machine's administrator.

Who may open the socket is settled by the file system (mode 0660). A header can't set the
mark below, for the scope is the server's own.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = "runner.local"
"""Key in an ASGI scope: the request came over the Unix socket."""


def as_local_administrator(app: ASGIApp) -> ASGIApp:
    """Wrap ``app`` so that every request is the service account's, with all rights."""

    async def local(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[LOCAL] = True
        await app(scope, receive, send)

    return local
