"""The command line of Hikeshi. It has no logic of its own: it calls the application service and shows what comes back.

This module is imported before anything else can be decided, so it imports nothing.
"""

__all__ = ["main"]


def main() -> int:
    """Run the command that the process was started with and return its exit code."""
    import sys

    from hikeshi.cli.application import run_command_line

    return run_command_line(sys.argv[1:])
