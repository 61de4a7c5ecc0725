"""Saying what became of a change whose outcome nobody could establish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["resolve"]


def resolve(
    session: Session,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's path, as 'hikeshi log RUN' shows it.")],
    happened: Annotated[bool, typer.Option("--happened", help="You looked: the change is there.")] = False,
    did_not_happen: Annotated[bool, typer.Option("--did-not-happen", help="You looked: it is not there.")] = False,
) -> int:
    """Say what became of an unknown change. Records what you found out, and goes on with its run."""
    from hikeshi.cli.going import CALM_S, go
    from hikeshi.cli.run_view import conclude

    if happened == did_not_happen:
        raise CommandError("usage", "say one of --happened and --did-not-happen")
    app = session.app
    app.check_run(run)
    app.park_after_s = CALM_S

    async def start(watchers: Any) -> RunState:
        return await app.resolve(run, step, happened=happened, actor=session.actor, watchers=watchers)

    return conclude(session.output, session.wait_for(go(session, start, run=run, until="calm")))
