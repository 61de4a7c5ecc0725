"""Everything that waits for a person, with what that person types."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.waiting import is_for, stuck_document

__all__ = ["waiting"]

MOST_ENTRIES = 20
MOST = 5
"""So many targets of an approval are named here; 'hikeshi approve' shows all of them first."""


def waiting(
    session: Session,
    mine: Annotated[bool, typer.Option("--mine", help="Only questions that you may decide.")] = False,
) -> int:
    """List what waits for people, with what they type. Approvals, forms, unknown outcomes, paused runs."""
    app, output = session.app, session.output
    there = app.journal_path.exists()
    questions = [each for each in app.questions() if not mine or is_for(app, session.actor, each)] if there else []
    rows = app.stuck() if there and not mine else []
    if output.as_json:
        shown = [{**each, "command": _command(each)} for each in questions]
        output.document({"questions": shown, "stuck": [stuck_document(app, row) for row in rows]})
        return 0
    if not questions and not rows:
        output.line("Nothing waits for you." if mine else "Nothing waits for anybody.")
    for question in questions[:MOST_ENTRIES]:
        _show_question(session, question)
    for row in rows[:MOST_ENTRIES]:
        _show_stuck(session, stuck_document(app, row))
    more = sum(max(0, len(listed) - MOST_ENTRIES) for listed in (questions, rows))
    if more:
        output.line(f"and {more} more; --json names all")
    return 0


def _command(question: Mapping[str, Any]) -> str:
    verb = "approve" if question["kind"] == "approval" else "answer"
    return f"hikeshi {verb} {question['run']} {shlex.quote(question['path'])}"


def _show_question(session: Session, question: Mapping[str, Any]) -> None:
    from hikeshi.cli.question_view import question_lines

    output = session.output
    what = "approval" if question["kind"] == "approval" else "answer"
    output.line(Styled(f"{what} at {question['path']}", "bold"), f"  run {question['run']}")
    output.lines(list(question_lines(question, session.app.clock.now(), most=MOST)))
    instead = (
        "   (or reject)" if what == "approval" else "".join(f" -i {each['name']}=..." for each in question["fields"])
    )
    output.line("  ", Styled(_command(question), "cyan"), Styled(instead, "dim"))
    output.line()


def _show_stuck(session: Session, entry: Mapping[str, Any]) -> None:
    from hikeshi.cli.moments import clock_time

    output, now = session.output, session.app.clock.now()
    started = clock_time(datetime.fromisoformat(entry["started_at"]), now)
    if entry["kind"] == "resume":
        output.line(Styled("paused", "bold"), f"  run {entry['run']}")
    else:
        output.line(Styled(f"unknown outcome at {entry['path']}", "bold"), f"  run {entry['run']}")
        named = [f"{each['label']} on {each['connector']}" for each in entry["targets"][:MOST]]
        more = f" and {len(entry['targets']) - MOST} more" if len(entry["targets"]) > MOST else ""
        output.line(Styled("  sent        ", "dim"), f"{entry['action']}  {', '.join(named)}{more}")
        output.line(Styled("  since then  ", "dim"), entry["what"])
        output.line(Styled("  what to do  ", "dim"), "look in the product itself, then say what you found")
    output.line(Styled("  run         ", "dim"), f"{entry['playbook']}, started by {entry['actor']} at {started}")
    instead = "   (or --did-not-happen)" if entry["kind"] == "resolve" else ""
    output.line("  ", Styled(entry["command"], "cyan"), Styled(instead, "dim"))
    output.line()
