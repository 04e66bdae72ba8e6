"""The shell completes the command line."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.machine import COMMAND, Machine
from tests.servers.waiting import PATIENCE

ASKED = """
COMP_WORDS=({words} "")
COMP_CWORD={number}
_runner_completion {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["runner"], {"run", "check", "jobs", "plugins"}),
        (["runner", "jobs"], {"list", "show", "revert"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], offered: set[str]) -> None:
    """What the command prints as bash's script offers the commands there are."""
    machine = Machine(tmp_path / "state")
    script = machine.type(_RUNNER_COMPLETE="source_bash")
    assert script.returncode == 0, script.stderr
    asked = ASKED.format(words=" ".join(words), number=len(words), command=COMMAND)
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "--norc", "-c", script.stdout + asked],
        env=machine.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert offered <= set(done.stdout.split()), done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_scripts(tmp_path: Path, shell: str) -> None:
    """zsh and fish get a script that asks the command in their own way."""
    script = Machine(tmp_path / "state").type(_RUNNER_COMPLETE=f"source_{shell}").stdout
    assert f"_RUNNER_COMPLETE=complete_{shell}" in script
