"""What every command has: the options that all of them share, the project, and where its words go."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hikeshi.cli.output import Output

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["Session"]

T = TypeVar("T")


class Session:
    """One invocation of the command line. The project is opened when it is first asked for."""

    def __init__(self, *, folder: Path, output: Output, debug: bool, log_level: str | None) -> None:
        self.folder = folder
        self.output = output
        self.debug = debug
        self.log_level = log_level

    @cached_property
    def app(self) -> Hikeshi:
        """Raises ProjectError."""
        from hikeshi.app import Hikeshi

        return self.use(Hikeshi.open(self.folder))

    def use(self, app: Hikeshi) -> Hikeshi:
        """Let everything that is written from now on pass the redactor of this project."""
        self.output.mask = app.redactor.data
        if self.log_level is not None:
            from hikeshi.cli.logs import write_logs

            write_logs(self.log_level, app.redactor)
        return app

    @property
    def actor(self) -> str:
        """Return the name of this process's user in the password database. No option and no variable says another."""
        import os
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container's user without a name
            return f"uid-{os.getuid()}"

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and close the project in the same event loop."""
        import asyncio

        results: list[T] = []

        async def and_close() -> None:
            try:
                results.append(await work)
            finally:
                await self.app.aclose()

        # Not the task's own result: asyncio looks at the handler of Ctrl-C at the end, in a way that writes the task
        # out with its result, and the state of a run is large.
        asyncio.run(and_close())
        return results[0]

    def close(self) -> None:
        """Close the project, if it was opened and is still open."""
        if "app" in self.__dict__:
            import asyncio

            asyncio.run(self.app.aclose())
