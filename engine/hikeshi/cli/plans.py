"""Plans that are saved in a file: shown to somebody, compared, applied once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.cli.ending import Ending
    from hikeshi.core import RunState

__all__ = ["apply", "compare", "read_plan", "save", "seconds_of", "show_saved"]

_MOST_BYTES = 64 * 2**20
PlanFile = Annotated[Path, typer.Argument(metavar="FILE", help="A plan that 'hikeshi plan ID -o FILE' saved.")]


def apply(
    session: Session,
    file: PlanFile,
    detach: Annotated[
        bool, typer.Option("--detach", help="Only begin it, and leave it to 'hikeshi work' to go on with it.")
    ] = False,
) -> int:
    """Do exactly what a saved plan shows, once. What differs from it stops before it is sent."""
    from hikeshi.cli.going import go
    from hikeshi.cli.run_view import conclude

    document = read_plan(file)

    async def start(watchers: Any) -> RunState:
        return await session.app.apply(document, actor=session.actor, watchers=watchers, detach=detach)

    ending = session.wait_for(go(session, start, until="begun" if detach else "over"))
    return conclude(session.output, ending)


def seconds_of(good_for: str) -> float:
    """Return how long a plan is to be good for. Raises CommandError."""
    from hikeshi.app.plans import LONGEST_S
    from hikeshi.playbook.durations import parse_duration

    try:
        seconds = float(parse_duration(good_for) or 0)
    except ValueError as exc:
        raise CommandError("usage", f"--good-for: {exc}") from None
    if not 0 < seconds <= LONGEST_S:
        raise CommandError("usage", "--good-for: a plan is good for more than nothing, and for a week at most")
    return seconds


async def save(session: Session, ending: Ending, file: Path, good_for_s: float) -> dict[str, Any]:
    """Save the plan that a dry run made. Raises CommandError, PlanRefused, RunHalted.

    The file is written before the journal knows of it: a file without an entry is refused, an entry without a file
    would be a plan that nobody has.
    """
    document = await session.app.save_plan(
        ending.state, ending.records, good_for_s=good_for_s, actor=session.actor, keep=lambda made: _write(file, made)
    )
    return dict(document)


def _write(file: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as exc:
        raise CommandError("file", f"the plan could not be written to {file}: {exc.strerror}") from None


def read_plan(file: Path) -> dict[str, Any]:
    """Return the document in a file. Raises CommandError; whether it is a plan of this project is not judged here."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CommandError("file", f"{file} is too large to be a plan")
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CommandError("file", f"{file} can't be read: {exc.strerror}") from None
    except ValueError:
        raise CommandError("file", f"{file} is not JSON; a plan is what 'hikeshi plan ID -o FILE' writes") from None
    if not isinstance(document, dict) or not isinstance(document.get("report"), dict):
        raise CommandError("file", f"{file} is not a plan; a plan is what 'hikeshi plan ID -o FILE' writes")
    return document


def show_saved(session: Session, file: Path) -> int:
    """Show a saved plan as it was when it was made, without asking any product."""
    from hikeshi.cli.plan_view import show_plan

    document = read_plan(file)
    if session.output.as_json:
        session.output.document(document)
        return ExitCode.SUCCEEDED
    try:
        show_plan(session.output, document["report"], saved=str(file))
        made, until = (datetime.fromisoformat(document[key]) for key in ("made_at", "expires_at"))
    except (KeyError, TypeError, ValueError):
        raise CommandError("file", f"{file} is not a whole plan; make it again") from None
    span = f"at {made:%Y-%m-%d %H:%M:%S} UTC, good until {until:%Y-%m-%d %H:%M:%S} UTC"
    session.output.line(f"Made by {document['made_by']} {span}.")
    return ExitCode.SUCCEEDED


def compare(session: Session, before: Mapping[str, Any], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say how a plan differs from a saved one, and return the differences."""
    from hikeshi.report.plan_differences import plan_differences

    try:
        found = plan_differences(before["report"], json.loads(json.dumps(report)))
    except (KeyError, TypeError, AttributeError):
        raise CommandError("file", "what it is to be compared with is not a whole plan; make it again") from None
    output = session.output
    if output.as_json:
        return found
    output.line()
    if not found:
        output.line(Styled("It would do the same as that plan.", "green"))
        return found
    output.line(Styled(f"It differs from the plan {before['plan']}:", "yellow"))
    for each in found:
        output.line("  ", each["text"])
    return found
