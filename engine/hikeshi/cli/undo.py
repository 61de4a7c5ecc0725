"""Taking back what runs did: of a run as a whole or one step of it, and single holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.app.undo_plan import UndoPlan
    from hikeshi.cli.ending import Ending
    from hikeshi.core import RunState
    from hikeshi.runtime.ledger import Hold

__all__ = ["release", "undo"]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure. Needed without a terminal.")]
Override = Annotated[
    bool, typer.Option("--override", help="Undo also what somebody else has changed since. It is recorded who said so.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]


def undo(
    session: Session,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")],
    step: Annotated[
        str | None, typer.Option("--step", metavar="PATH", help="Only this step, and what is in it.")
    ] = None,
    reason: Reason = "",
    override: Override = False,
    yes: Yes = False,
) -> int:
    """Undo what a run did, the last change first. Shows what that is, and asks before anything is sent."""
    return _take_back(session, lambda: session.app.plan_undo(run, step), reason, override=override, yes=yes)


def release(
    session: Session,
    holds: Annotated[list[str], typer.Argument(metavar="HOLD...", help="Holds, as 'hikeshi holds' names them.")],
    reason: Reason = "",
    override: Override = False,
    yes: Yes = False,
) -> int:
    """End holds now, by undoing their changes. Shows what that is, and asks before anything is sent."""
    return _take_back(session, lambda: session.app.plan_release(holds), reason, override=override, yes=yes)


def _take_back(
    session: Session, look: Callable[[], Coroutine[Any, Any, UndoPlan]], reason: str, *, override: bool, yes: bool
) -> int:
    from hikeshi.cli.undo_view import show_plan

    return session.wait_for(_taken_back(session, look, show_plan, reason, override=override, yes=yes))


async def _taken_back(
    session: Session,
    look: Callable[[], Coroutine[Any, Any, UndoPlan]],
    show_plan: Callable[..., None],
    reason: str,
    *,
    override: bool,
    yes: bool,
) -> int:
    plan = await _looked(look)
    show_plan(session, plan, override=override)
    if not plan.tried:
        return _nothing(session, plan)
    if not override and all(each.does == "decide" for each in plan.tried):
        text = "somebody else has changed all of it since; nothing was sent. To undo it all the same: --override"
        raise CommandError("changed", text, refused=True)
    if not yes and not _is_sure(session, len(plan.tried)):
        session.output.note("Nothing was sent; everything is held as before.")
        return ExitCode.WAITING
    from hikeshi.cli.going import go

    async def start(watchers: Any) -> RunState:
        return await session.app.undo(plan, actor=session.actor, reason=reason, override=override, watchers=watchers)

    return _ended(session, plan, await go(session, start))


async def _looked(look: Callable[[], Coroutine[Any, Any, UndoPlan]]) -> UndoPlan:
    """Return the plan. Raises CommandError with what the application refuses."""
    from hikeshi.app.undo_plan import HoldRefused, UnknownHold

    try:
        return await look()
    except UnknownHold as exc:
        raise CommandError("unknown_hold", str(exc)) from exc
    except HoldRefused as exc:
        raise CommandError("refused", str(exc), refused=True) from exc


def _nothing(session: Session, plan: UndoPlan) -> int:
    """Say that nothing is to be done. What cannot be said to be over is no success."""
    from hikeshi.documents.undo import plan_document

    if session.output.as_json:
        session.output.document({**plan_document(plan), "run": None, "left": [_left(hold) for hold in _kept(plan)]})
    unknown = any(hold.status == "unknown" for hold in _kept(plan))
    return ExitCode.UNKNOWN if unknown else ExitCode.REFUSED if _kept(plan) else ExitCode.SUCCEEDED


def _kept(plan: UndoPlan) -> list[Hold]:
    return [each.hold for each in plan.inverses if each.hold.is_kept]


def _ended(session: Session, plan: UndoPlan, ending: Ending) -> int:
    """Say how it went and what is left. What was left alone because it could not be undone is left as well."""
    from hikeshi.cli.run_view import conclude
    from hikeshi.cli.undo_view import show_left
    from hikeshi.documents.undo import plan_document

    left = session.app.left_of(plan)
    more = {**plan_document(plan), "left": [_left(hold) for hold in left]}
    code = conclude(session.output, ending, more)
    show_left(session, left)
    if code is ExitCode.SUCCEEDED and left:
        return ExitCode.UNKNOWN if any(hold.status == "unknown" for hold in left) else ExitCode.FAILED
    return code


def _left(hold: Hold) -> dict[str, Any]:
    return {
        "hold": hold.hold,
        "target": hold.target,
        "label": hold.label,
        "action": hold.action,
        "status": hold.status,
        "run": hold.run,
        "path": hold.path,
        "error": hold.release_error,
    }


def _is_sure(session: Session, count: int) -> bool:
    if session.output.as_json or not sys.stdin.isatty():
        raise CommandError("usage", "nobody can be asked here whether to undo this; --yes says so beforehand")
    from hikeshi.cli.decisions import input_line

    session.output.flush()
    try:
        given = input_line(f"Undo {count} change{'' if count == 1 else 's'}? [y/N] ")
    except EOFError:
        return False
    return given.strip().lower() in ("y", "yes")
