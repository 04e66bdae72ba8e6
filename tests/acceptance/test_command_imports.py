"""What a command loads before it knows what it has to do."""

import ast
import subprocess
import sys


def test_main_module_is_light() -> None:
    """A worker that imports ``__main__`` again gets nothing heavy with it."""
    heavy = "typer", "rich", "requests", "pydantic", "sqlalchemy", "starlette"
    code = f"import sys, runner.cli; print([m for m in {heavy} if m in sys.modules])"
    assert ast.literal_eval(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


def test_help_loads_no_http_client() -> None:
    """Help and completion don't wait for libraries that they don't use."""
    code = (
        "import sys; sys.argv = ['runner', '--version']; import runner.cli; runner.cli.main();"
        "print([m for m in ('requests', 'sqlalchemy', 'pydantic', 'starlette') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"
