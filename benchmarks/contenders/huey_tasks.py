"""The huey application; its consumer imports this module too."""

import os

from huey import SqliteHuey

# By default a worker that waits 5 s for its turn to write gives up, and its job or result is lost.
huey = SqliteHuey("bench", filename=os.environ["BENCH_HUEY_FILE"], fsync=True, timeout=60)


@huey.task()  # type: ignore[untyped-decorator]  # huey has no types
def noop(connection: int) -> str:
    """Do nothing, and have it stored."""
    return "nothing to do"
