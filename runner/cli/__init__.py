"""The command line: parse, delegate, print.

Workers import ``__main__`` again, and with it this module: nothing heavy may stand here.
"""


def main() -> int:
    """Run the command that the process was started with; its exit code."""
    try:
        from runner.cli.app import run

        return run()
    except KeyboardInterrupt:
        return 130  # as a shell reports a process that SIGINT ended
