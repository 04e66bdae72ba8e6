"""The Celery application; its workers import this module too."""

import os

from celery import Celery

_URL = os.environ["BENCH_REDIS_URL"]

app = Celery("bench", broker=f"{_URL}/0", backend=f"{_URL}/1")


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def noop(connection: int) -> str:
    """Do nothing, and have it stored."""
    return "nothing to do"
