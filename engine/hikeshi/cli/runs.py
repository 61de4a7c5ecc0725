"""What is recorded: the runs, and what happened in one of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled

if TYPE_CHECKING:
    from hikeshi.report import TimelineEntry

__all__ = ["entry_pieces", "log", "runs"]

_DUE = "nothing: it is due"
_FOR_PEOPLE = ("people", "resolve", "resume")

_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "red",
    "waiting": "yellow",
    "interrupted": "yellow",
    "good": "green",
    "warning": "yellow",
    "bad": "red",
    "detail": "dim",
}


RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")]


def runs(session: Session, limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 50) -> int:
    """List the newest runs."""
    found = session.app.runs(limit) if session.app.journal_path.exists() else []
    if session.output.as_json:
        session.output.document({"runs": found})
        return 0
    if not found:
        session.output.line("There are no runs here yet.")
        return 0
    now = session.app.clock.now()
    session.output.table(
        ["RUN", "PLAYBOOK", "MODE", "STATUS", "WAITS FOR", "BY", "STARTED (UTC)", "ENDED (UTC)"],
        [
            [
                Styled(row["run"], "bold"),
                row["playbook"],
                "dry run" if row["mode"] == "plan" else "live",
                Styled(row["status"], _STYLES.get(row["status"], "")),
                _waits_for(row["waits_for"], now),
                row["actor"],
                _minute(row["started_at"]),
                _minute(row["finished_at"]),
            ]
            for row in found
        ],
    )
    if any(row["status"] == "interrupted" for row in found):
        session.output.note("note: 'hikeshi work' goes on with the interrupted runs")
    if any(_waits_for(row["waits_for"], now) == _DUE for row in found):
        session.output.note("note: 'hikeshi work' goes on with those that are due")
    if any(row["waits_for"] in _FOR_PEOPLE for row in found):
        session.output.note("note: 'hikeshi waiting' says what people are asked, and what they type")
    return 0


def log(session: Session, run: RunId) -> int:
    """Show everything that happened in a run. That somebody looked is on the record, too."""
    entries = session.wait_for(_read_log(session, run))
    if session.output.as_json:
        session.output.document({"run": run, "events": [entry.to_json() for entry in entries]})
        return 0
    for entry in entries:
        session.output.line(*entry_pieces(entry))
    return 0


async def _read_log(session: Session, run: str) -> list[TimelineEntry]:
    from hikeshi.journal import JournalError
    from hikeshi.report import timeline

    session.app.check_run(run)
    entries = list(timeline(session.app.records(run)))
    try:
        await session.app.audit.record_read(session.actor, "log", run)
    except JournalError as exc:
        # Whoever may read the file can read it without us, and who looks while the disk is full is needed there.
        session.output.note(f"note: that you looked could not be recorded: {exc}")
    return entries


def entry_pieces(entry: TimelineEntry) -> list[Piece]:
    """Return the line of one event."""
    return [
        Styled(f"{entry.seq:5}  {entry.at:%Y-%m-%d %H:%M:%S}.{entry.at.microsecond // 1000:03}Z  ", "dim"),
        entry.path + ("  " if entry.path else ""),
        Styled(entry.text, _STYLES.get(entry.weight, "")),
    ]


def _waits_for(what: str | None, now: datetime) -> str:
    """Return what a run waits for: in words already, or a time."""
    if what is None or not what[:1].isdigit():
        return what or ""
    return f"{_minute(what)} UTC" if datetime.fromisoformat(what) > now else _DUE


def _minute(at: str | None) -> str:
    return "" if at is None else at[:19].replace("T", " ")
