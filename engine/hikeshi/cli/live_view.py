"""The tree of a run while it goes on, redrawn on a terminal. The only module that draws with Rich.

The run comes first: Rich is loaded beside it, and only when the run takes long enough for somebody to wait. Where
nothing can be redrawn, one line says when the run begins to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.cli.output import Output
from hikeshi.cli.text import Piece, Styled, harmless

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.journal import Record
    from hikeshi.report import Times, Wait

__all__ = ["LiveView"]

_PATIENCE_S = 0.4
_REDRAW_S = 0.15
_COUNT_DOWN_S = 1.0
_SHORT = timedelta(seconds=10)  # so short a wait of the run's own is not worth a line
_STOPS = "Ctrl-C stops here; 'hikeshi work' goes on later."


class LiveView:
    """Shows a run on the standard error while it goes on. Leaves nothing behind on a terminal.

    `records` gives what is stored of a run that began before it was looked at; `foot` is the last line.
    """

    def __init__(
        self,
        output: Output,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        records: Callable[[str], Iterable[Record]] = lambda _: (),
        foot: str = _STOPS,
        quietly: bool = False,
    ) -> None:
        self._output = output
        self._now = now
        self._records = records
        self.foot = foot
        self._quietly = quietly
        self.state: RunState | None = None
        self._draws = output.can_animate
        self._new: list[tuple[str, str, datetime]] = []
        self._times: Times | None = None
        self._began_before = False
        self._told: set[tuple[str, str, str]] = set()
        self._under_way: dict[str, RunState] = {}

    def watch(self, event: object, state: RunState) -> None:
        """Take notice of the run. Called for each event, so it does next to nothing else."""
        kind = type(event).__name__
        if state is not self.state:
            self._began_before = kind != "RunStarted"
            self.state, self._times = state, None
            self._new.clear()
        if not self._draws:
            return
        self._under_way[state.run] = state
        if state.finished is not None or state.parked:
            del self._under_way[state.run]
        if state.now is not None:
            self._new.append((kind, getattr(event, "path", ""), state.now))

    def look_on(self, state: RunState, foot: str) -> None:
        """Show a run from now on that another process drives."""
        self.state, self._times, self._began_before, self.foot = state, None, True, foot
        self._new.clear()

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show the run for the time of the block."""
        if self._quietly and not self._draws:
            yield
            return
        showing = asyncio.create_task(self._draw() if self._draws else self._tell())
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    # --- on a terminal ----------------------------------------------------------------------------------------

    async def _draw(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        console = await asyncio.to_thread(_console)
        from rich.live import Live

        shown: tuple[RunState | None, int] = (None, 0)
        drawn_at = 0.0
        clock = asyncio.get_running_loop()
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                present = (self.state, self.state.seq if self.state is not None else 0)
                if present != shown or clock.time() - drawn_at >= _COUNT_DOWN_S:
                    shown, drawn_at = present, clock.time()
                    live.update(self._picture(console), refresh=True)
                await asyncio.sleep(_REDRAW_S)

    def _picture(self, console: Any) -> Any:
        from rich.text import Text

        from hikeshi.cli.tree_view import lines_of, tree_lines

        state = self.state
        if state is None:
            return Text("starting")
        if len(self._under_way) > 1:
            return self._many(console)
        rows = tree_lines(state, self._times_of(state), self._now())
        waits = self._wait_lines(state)
        room = max(4, console.height - 3 - len(waits))
        if len(rows) > room:  # what is over and went well may go out of sight first
            urgent = [row for row in rows if not row.calm] or rows
            rows = urgent[-room:]
        picture = Text(no_wrap=True, overflow="crop")
        picture.append(f"run {state.run} of {harmless(state.program.main)}\n", style="bold")
        for pieces in (*lines_of(rows, console.width - 1), *waits):
            for piece in pieces:
                text = harmless(self._output.mask(piece.text if isinstance(piece, Styled) else piece))
                picture.append(text, style=piece.style if isinstance(piece, Styled) else "")
            picture.append("\n")
        picture.append(self.foot, style="dim")
        return picture

    def _many(self, console: Any) -> Any:
        """Draw several runs that go on at the same time, a line for each."""
        from rich.text import Text

        from hikeshi.cli.moments import duration
        from hikeshi.cli.text import cut

        picture, states = Text(no_wrap=True, overflow="crop"), list(self._under_way.values())
        room = max(1, console.height - 3)
        for state in states[:room]:
            begun = state.started_at
            since = "" if begun is None else f", since {duration(int((self._now() - begun).total_seconds()))}"
            line = harmless(f"{state.status.value:10} run {state.run} of {state.program.main}{since}")
            picture.append(cut(line, console.width - 1) + "\n")
        if len(states) > room:
            picture.append(f"and {len(states) - room} more runs\n")
        picture.append(self.foot, style="dim")
        return picture

    def _times_of(self, state: RunState) -> Times:
        from hikeshi.report import Times

        if self._times is None:
            self._times = Times(self._records(state.run) if self._began_before else ())
        for kind, path, at in self._new:
            self._times.note(kind, path, at)
        self._new.clear()
        return self._times

    def _wait_lines(self, state: RunState) -> list[list[Piece]]:
        from hikeshi.cli.waits_view import wait_lines
        from hikeshi.report import waits_of

        waits = [wait for wait in waits_of(state) if wait.kind != "retry"]  # the tree says when
        return list(wait_lines(state.run, waits, self._now()))

    # --- on a pipe --------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        seen: tuple[RunState | None, int] = (None, 0)
        while True:
            present = (self.state, self.state.seq if self.state is not None else 0)
            if present != seen and self.state is not None:
                self._tell_waits(self.state)
            seen = present
            await asyncio.sleep(_REDRAW_S)

    def _tell_waits(self, state: RunState) -> None:
        """Write a line for each wait that has begun and is worth it."""
        from hikeshi.cli.waits_view import command_for, wait_text
        from hikeshi.report import waits_of

        for wait in waits_of(state):
            key = (wait.kind, wait.path, wait.digest or str(wait.due_at))
            if key in self._told or not (wait.needs_people or self._is_long(wait)):
                continue
            self._told.add(key)
            command = command_for(state.run, wait)
            self._output.note(
                Styled(f"run {state.run} waits for ", "yellow"),
                wait_text(wait, self._now()),
                "" if command is None else f"; {command}",
            )

    def _is_long(self, wait: Wait) -> bool:
        return wait.due_at is None or wait.due_at - self._now() > _SHORT


def _console() -> Any:
    """Return a console on the standard error. Loading Rich takes a while, so this runs beside the event loop."""
    import sys
    from importlib import import_module

    import_module("rich.live")
    import_module("hikeshi.cli.tree_view")
    return import_module("rich.console").Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
