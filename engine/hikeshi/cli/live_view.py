"""The tree of a run while it goes on, redrawn on a terminal. The only module that draws with Rich.

The run comes first: Rich is loaded beside it, and only when the run takes long enough for somebody to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from hikeshi.cli.output import Output
from hikeshi.cli.text import Styled, harmless

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["LiveView"]

_PATIENCE_S = 0.4
_REDRAW_S = 0.15


class LiveView:
    """Shows a run on the standard error while it goes on, where that is a terminal. Leaves nothing behind."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.state: RunState | None = None

    def watch(self, _: object, state: RunState) -> None:
        """Take notice of the run. Called for each event, so it does nothing else."""
        self.state = state

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show the run for the time of the block."""
        if not self._output.can_animate:
            yield
            return
        drawing = asyncio.create_task(self._draw())
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)

    async def _draw(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        console = await asyncio.to_thread(_console)
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._picture(console), refresh=True)
                await asyncio.sleep(_REDRAW_S)

    def _picture(self, console: Any) -> Any:
        from rich.text import Text

        from hikeshi.cli.tree_view import lines_of, tree_lines

        state = self.state
        if state is None:
            return Text("starting")
        rows = tree_lines(state)
        room = max(4, console.height - 3)
        if len(rows) > room:  # what is over and went well may go out of sight first
            urgent = [row for row in rows if not row.calm] or rows
            rows = urgent[-room:]
        picture = Text(no_wrap=True, overflow="crop")
        picture.append(f"run {state.run} of {harmless(state.program.main)}\n", style="bold")
        for pieces in lines_of(rows, console.width - 1):
            for piece in pieces:
                text = harmless(self._output.mask(piece.text if isinstance(piece, Styled) else piece))
                picture.append(text, style=piece.style if isinstance(piece, Styled) else "")
            picture.append("\n")
        picture.append("Ctrl-C stops here; 'hikeshi work' goes on later.", style="dim")
        return picture


def _console() -> Any:
    """Return a console on the standard error. Loading Rich takes a while, so this runs beside the event loop."""
    import sys
    from importlib import import_module

    import_module("rich.live")
    return import_module("rich.console").Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
