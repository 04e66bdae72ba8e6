"""Places at which a test may end the process, to prove that nothing is lost there.

``RUNNER_FAULTPOINT=main:commit:7`` ends the daemon by SIGKILL at its seventh commit;
``worker:message:3`` ends a worker at its third pipe message. Unset, a call costs one
comparison. Only the acceptance tests set it.
"""

import os
import signal

_armed: tuple[str, str] | None = None
_left = 0


def arm(process: str, spec: str | None) -> None:
    """Take ``spec`` into force if it names this ``process`` ("main" or "worker")."""
    global _armed, _left
    if not spec:
        return
    name, point, count = spec.split(":")
    if name == process:
        _armed, _left = (name, point), int(count)


def reach(point: str) -> None:
    """Count one passage through ``point``; at the armed count the process ends here."""
    global _left  # noqa: PLW0603 - see arm
    if _armed is None or _armed[1] != point:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
