"""The command line: parse, delegate, print.

Workers import ``__main__`` again, and with it this module: nothing heavy may stand here.
"""

import gc


def main() -> int:
    """Run the command that the process was started with; its exit code."""
    # Code that is loaded stays: to look through it for garbage again and again costs an eighth of a start.
    gc.disable()
    try:
        from runner.cli.app import run

        return run()
    except KeyboardInterrupt:
        return 130  # as a shell reports a process that SIGINT ended
    finally:
        gc.freeze()  # and at the end the process gives all of it back at once


def loaded() -> None:
    """Collect garbage from now on: what is there by now is what the command goes on with."""
    if not gc.isenabled():  # else somebody else's process runs the command, and has garbage of its own
        gc.freeze()
        gc.enable()
