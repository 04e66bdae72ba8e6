"""``python -m benchmarks.bare FILE PORT``: the route that the server is compared with.

One insert, committed to the disk, and one select: what an ordinary FastAPI handler does with
the standard library's sqlite3, a connection per thread.
"""

import sqlite3
import sys
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI

_local = threading.local()


def create(path: str) -> FastAPI:
    """The application."""
    app = FastAPI()

    def connection() -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(_local, "connection", None)
        if found is None:
            found = _local.connection = sqlite3.connect(path, timeout=30)
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=FULL")
            found.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, state TEXT, made TEXT)")
        return found

    @app.get("/")  # type: ignore[untyped-decorator]  # it comes with `make bench` only
    def there() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/", status_code=201)  # type: ignore[untyped-decorator]  # as above
    def add(body: dict[str, Any]) -> dict[str, Any]:
        c = connection()
        with c:
            made = c.execute(
                "INSERT INTO jobs (state, made) VALUES (?, datetime()) RETURNING id", (str(body)[:9],)
            ).fetchone()[0]
        row = c.execute("SELECT id, state, made FROM jobs WHERE id = ?", (made,)).fetchone()
        return {"id": row[0], "state": row[1], "made": row[2]}

    return app


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[1]), port=int(sys.argv[2]), log_level="error", access_log=False)
