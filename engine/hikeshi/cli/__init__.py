"""The command line of Hikeshi. It has no logic of its own: it calls the application service and shows what comes back.

This module is imported before anything else can be decided, so it imports next to nothing.
"""

__all__ = ["main", "start_quickly"]


def main() -> int:
    """Run the command that the process was started with and return its exit code."""
    import sys

    start_quickly()
    from hikeshi.cli.application import run_command_line

    return run_command_line(sys.argv[1:])


def start_quickly() -> None:
    """Spare the things that cost most while modules are loaded. A responder waits for this."""
    import gc
    import os
    import sys

    # Pydantic looks through every installed package for plugins. None may look over the shoulder of this program.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    # The collector would look through every new class again and again, and find nothing.
    gc.set_threshold(50_000, 20, 20)
    # httpx loads its own command line, with click and Rich, if they are installed; without, it does as well.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None means: not to be found
