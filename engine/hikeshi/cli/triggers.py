"""What starts runs by itself: what there is, what came of it, and the plans that wait for somebody to accept them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled

if TYPE_CHECKING:
    from hikeshi.triggers import Triggers

__all__ = ["accept", "decline", "fires", "test", "triggers"]

_MOST_BYTES = 64 * 2**20
_STYLES = {"started": "green", "joined": "green", "planned": "yellow", "refused": "red", "missed": "red"}

Plan = Annotated[str, typer.Argument(metavar="PLAN", help="A plan that 'hikeshi triggers' shows as offered.")]


def triggers(session: Session) -> int:
    """List what starts runs by itself, when it is due, and what came of it last; and the plans that are offered."""
    problems: list[str] = []
    found = _triggers(session, problems)
    session.wait_for(found.refresh())
    rows = found.overview()
    offers = found.offers() if session.app.journal_path.exists() else []
    if session.output.as_json:
        session.output.document({"triggers": rows, "offers": offers, "problems": problems})
        return ExitCode.SUCCEEDED
    if not rows:
        session.output.line("No playbook has a trigger that can be read.")
    else:
        header = ["TRIGGER", "KIND", "SOURCE", "NEXT", "LAST", "CAME OF IT", "PROBLEM"]
        session.output.table(header, [_row(row) for row in rows])
    for offer in offers:
        session.output.line(
            Styled("Offered: ", "yellow"),
            f"the plan {offer['plan']} of {offer['playbook']}/{offer['trigger']} to {', '.join(offer['by'])}"
            f" until {_time(offer['expires_at'])}",
        )
        session.output.line(f"  hikeshi triggers accept {offer['plan']}   or: hikeshi triggers decline {offer['plan']}")
    return ExitCode.SUCCEEDED


def fires(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many at most.")] = 50,
    playbook: Annotated[str | None, typer.Option("--playbook", metavar="ID", help="Of this playbook only.")] = None,
) -> int:
    """List what became of the newest events: which started a run, and why the others did not."""
    found = _triggers(session).fires(limit, playbook) if session.app.journal_path.exists() else []
    if session.output.as_json:
        session.output.document({"fires": found})
        return ExitCode.SUCCEEDED
    if not found:
        session.output.line("No event has come yet.")
        return ExitCode.SUCCEEDED
    header = ["AT", "TRIGGER", "EVENT", "CAME OF IT", "RUN", "WHY"]
    session.output.table(
        header,
        [
            [
                _time(each["at"]),
                f"{each['playbook']}/{each['trigger']}",
                each["id"],
                Styled(each["outcome"], _STYLES.get(each["outcome"], "")),
                each["run"] or "",
                each["reason"] or "",
            ]
            for each in found
        ],
    )
    return ExitCode.SUCCEEDED


def test(
    session: Session,
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The ID of the playbook.")],
    trigger: Annotated[str, typer.Argument(metavar="TRIGGER", help="The ID of its trigger.")],
    event: Annotated[Path, typer.Option("--event", metavar="FILE", help="An event as JSON, as it would come in.")],
) -> int:
    """Say what a trigger would make of an event. Nothing is recorded, and nothing starts."""
    from hikeshi.triggers import UnknownTrigger

    data = _event(event)
    try:
        found = session.wait_for(_triggers(session).test(playbook, trigger, data))
    except UnknownTrigger as exc:
        raise CommandError("unknown_trigger", str(exc)) from None
    if session.output.as_json:
        session.output.document(found)
    else:
        _show_test(session, found)
    return ExitCode.FAILED if found["outcome"] == "refused" else ExitCode.SUCCEEDED


def _show_test(session: Session, found: dict[str, Any]) -> None:
    name = f"{found['playbook']}/{found['trigger']}"
    line = session.output.line
    match found["outcome"]:
        case "started":
            line(f"{name} would start a run with these inputs:")
        case "planned":
            line(f"{name} would have a plan made with these inputs:")
        case "deduplicated":
            line(f"{name} would start nothing: run {found['run']} was started for the same value")
        case _:
            line(f"{name} would start nothing: {found['reason']}")
    if found["outcome"] in ("started", "planned"):
        for key, value in (found["inputs"] or {}).items():
            line(f"  {key}: {json.dumps(value, ensure_ascii=False)}")


def accept(session: Session, plan: Plan) -> int:
    """Let a plan that is offered be carried out, exactly as it is, once. Whoever works goes on with it."""

    async def take() -> str:
        return (await _triggers(session).accept_offer(plan, session.actor)).run

    run = _decided(session, take)
    if session.output.as_json:
        session.output.document({"plan": plan, "run": run})
    else:
        session.output.line(f"Accepted: run {run} does what the plan shows. 'hikeshi work' goes on with it.")
    return ExitCode.SUCCEEDED


def decline(
    session: Session,
    plan: Plan,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
) -> int:
    """Let a plan that is offered be."""

    async def leave() -> None:
        await _triggers(session).decline_offer(plan, session.actor, reason)

    _decided(session, leave)
    if session.output.as_json:
        session.output.document({"plan": plan, "run": None})
    else:
        session.output.line(f"Declined: the plan {plan} is not carried out.")
    return ExitCode.SUCCEEDED


def _decided(session: Session, decide: Any) -> Any:
    from hikeshi.triggers import OfferRefused, UnknownOffer

    if not session.app.journal_path.exists():
        raise CommandError("unknown_offer", "nothing is offered: nothing ran in this project yet")
    try:
        return session.wait_for(decide())
    except UnknownOffer as exc:
        raise CommandError("unknown_offer", str(exc)) from None
    except OfferRefused as exc:
        raise CommandError("offer_refused", str(exc), refused=True) from None


def _triggers(session: Session, problems: list[str] | None = None) -> Triggers:
    """Return the triggers; what people have to know of them is said beside the result, and put into `problems`."""
    from hikeshi.triggers import Triggers

    def alert(text: str) -> None:
        session.output.note(Styled("trouble: ", "red"), text)
        if problems is not None:
            problems.append(text)

    return Triggers(session.app, alert=alert)


def _event(file: Path) -> Any:
    """Return the event in a file, read as strictly as one that is sent. Raises CommandError."""
    from hikeshi.triggers.body import Malformed, object_of

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CommandError("file", f"{file} is too large to be an event")
        return object_of(file.read_bytes())
    except OSError as exc:
        raise CommandError("file", f"{file} can't be read: {exc.strerror}") from None
    except Malformed as exc:
        raise CommandError("file", f"{file}: {exc}") from None


def _row(row: dict[str, Any]) -> list[Piece]:
    last = row["last_outcome"]
    came = "" if last is None else f"{last} {row['last_run'] or row['last_reason'] or ''}".strip()
    following = _time(row["next_at"]) if row["enabled"] else "not enabled"
    return [
        f"{row['playbook']}/{row['trigger']}",
        row["kind"] if row["mode"] == "live" else f"{row['kind']} (plan)",
        row["source"],
        following,
        _time(row["last_at"]),
        Styled(came, _STYLES.get(last or "", "")),
        Styled(row["problem"] or "", "red"),
    ]


def _time(text: str | None) -> str:
    return "" if text is None else f"{text[:19].replace('T', ' ')} UTC"
