"""A measurement in a process of its own: ``python -m benchmarks.child FUNCTION ARGUMENTS ANSWER``.

Worker processes import this module again, for it is their ``__main__``: nothing may be
imported at its top, or every start of a worker pays for it.
"""

import sys
from typing import Any


def call(function: str, *, timeout: float, **arguments: Any) -> Any:
    """Call ``function`` ("module:name") in a fresh process; what it returned, by way of JSON.

    The process leads a session: whatever it started and left behind ends with it.
    """
    import contextlib
    import json
    import os
    import signal
    import subprocess
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="runner-bench-") as name:
        answer, errors = Path(name, "answer"), Path(name, "errors")
        command = [sys.executable, "-m", "benchmarks.child", function, json.dumps(arguments), str(answer)]
        with errors.open("w") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0 or not answer.exists():
            how = f"took longer than {timeout:g} s" if code is None else f"ended with status {code}"
            msg = f"{function} {how}:\n{errors.read_text()[-4000:]}"
            raise RuntimeError(msg)
        return json.loads(answer.read_text())


def main() -> None:
    """Do what the command line says, and write the answer to its file."""
    import importlib
    import json
    from pathlib import Path

    function, arguments, answer = sys.argv[1:]
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
