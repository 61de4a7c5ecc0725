"""Telling runs that something happened outside."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["signal"]


def signal(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What happened, as playbooks call it: wait: {event: NAME}.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="KEY=VALUE", help="A text of its data; KEY=@FILE reads a file. Repeatable."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON", help="Its data as a JSON map; @FILE or - reads it.")
    ] = None,
) -> int:
    """Tell runs that something happened outside. Those under way see it, also if they wait for it later."""
    if not name.strip() or "\0" in name:
        raise CommandError("usage", "a signal needs a name; nothing was recorded")
    given = _data(inputs or [], data)
    app, output = session.app, session.output
    before = set(app.due().runs) if app.journal_path.exists() else set()
    number = session.wait_for(_record(session, name, given, before))
    if output.as_json:
        output.document({"signal": number[0], "name": name, "data": given, "due": number[1]})
        return 0
    output.line(
        f"Signal {number[0]} ", Styled(name, "bold"), " is recorded. Runs that are driven and wait for it see it now."
    )
    for run in number[1]:
        output.line(f"  run {run} waited for it, and nobody drives it: 'hikeshi work' goes on with it")
    return 0


async def _record(session: Session, name: str, data: dict[str, Any], before: set[str]) -> tuple[int, list[str]]:
    """Return the signal's number, and the runs that are due because of it."""
    number = await session.app.signal(name, data, source=session.actor)
    return number, [run for run in session.app.due().runs if run not in before]


def _data(inputs: list[str], data: str | None) -> dict[str, Any]:
    from hikeshi.cli.inputs import read_inputs

    if inputs and data is not None:
        raise CommandError("usage", "give the data with -i or with --data, not with both; nothing was recorded")
    if data is None:
        return dict(read_inputs(inputs, "nothing was recorded"))
    text = read_inputs([f"data={data}"], "nothing was recorded")["data"]
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        where = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise CommandError("inputs", f"--data is not JSON{where}; nothing was recorded") from None
    if not isinstance(found, dict):
        raise CommandError("inputs", '--data has to be a JSON map, such as {"host": "pc7"}; nothing was recorded')
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
