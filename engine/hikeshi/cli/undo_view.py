"""What an undo would do, change by change, and what is left of it: for people, and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled
from hikeshi.documents.undo import inverse_name
from hikeshi.runtime.standing import in_words

if TYPE_CHECKING:
    from hikeshi.app.undo_plan import Inverse, UndoPlan
    from hikeshi.runtime.ledger import Hold

__all__ = ["show_left", "show_plan"]

_STYLES = {"undo": "bold", "decide": "red", "cannot": "yellow", "try": "yellow"}
_NOT_SENT = {
    "pass_on": "nothing is sent: it passes on",
    "close": "nothing is sent: it is closed",
    "decide": "stops: somebody else changed it since",
    "cannot": "cannot be undone",
    "over": "is over",
}


def show_plan(session: Session, plan: UndoPlan, *, override: bool) -> None:
    """Write what would be done with each change, in that order, and why something would not."""
    output = session.output
    if output.as_json:
        return
    for text in plan.notes:
        output.note(Styled("note: ", "yellow"), text)
    what = "These holds" if plan.run is None else f"Run {plan.run}"
    if not plan.inverses:
        output.line(f"{what} changed nothing that is recorded as a hold; there is nothing to undo.")
        return
    if not plan.tried:
        over = all(each.does == "over" for each in plan.inverses)
        output.line(f"{what}: undone already, nothing is left to do." if over else f"{what}: nothing can be undone.")
    for number, inverse in enumerate(plan.inverses, 1):
        output.lines(list(_lines(number, inverse, override=override)))
    if any(each.does == "decide" for each in plan.inverses) and not override:
        output.note("note: what somebody else has changed stays as it is; a person may decide with --override")
    output.line()


def _lines(number: int, inverse: Inverse, *, override: bool) -> list[list[Piece]]:
    hold = inverse.hold
    sends = inverse.does in ("undo", "try") or (inverse.does == "decide" and override)
    what = inverse_name(hold) if sends else _NOT_SENT[inverse.does]
    style = "bold" if sends else _STYLES.get(inverse.does, "dim")
    lines: list[list[Piece]] = [
        [
            f"{number:>3}  ",
            Styled(hold.label, "bold"),
            "  ",
            Styled(what, style),
            Styled(f"  on {hold.connector}", "dim"),
        ],
        [f"     undoes {hold.action} of step {hold.path}"],
    ]
    if inverse.state is not None:
        lines.append([f"     it is now       {in_words(inverse.state)}"])
    if sends:
        lines.append([f"     will be again   {in_words(hold.prior)}"])
    if inverse.why is not None:
        lines.append(["     ", Styled(inverse.why, _STYLES.get(inverse.does, "dim"))])
    return lines


def show_left(session: Session, left: Sequence[Hold]) -> None:
    """Write what is still held, or may be, and why."""
    output = session.output
    if output.as_json or not left:
        return
    output.line(Styled(f"Still held: {len(left)}", "red"))
    for hold in left:
        why = hold.release_error or f"its status is {hold.status}"
        output.line(f"  {hold.label}  {hold.action} on {hold.connector}  hold {hold.hold}: {why}")
