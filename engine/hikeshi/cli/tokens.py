"""Tokens: what programs and people come in with at a service of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.tokens import token_document

if TYPE_CHECKING:
    from hikeshi.access.tokens import Token

__all__ = ["list_tokens", "new", "revoke"]

_STYLES = {"good": "green", "expired": "dim", "revoked": "red"}


def new(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as mei-phone or nightly-report.")],
    role: Annotated[
        list[str],
        typer.Option("--role", metavar="ROLE", help="viewer, responder, approver, engineer, admin. Repeatable."),
    ],
    person: Annotated[
        str | None,
        typer.Option("--person", metavar="ID", help="Whose it is, as hikeshi.yaml names them; else a program's."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="How long it is good, at most 366d.")
    ] = "30d",
) -> int:
    """Make a token. It is shown once, and only its hash is stored."""
    from hikeshi.access.roles import Role
    from hikeshi.playbook.durations import parse_duration

    try:
        roles = [Role(each) for each in role]
    except ValueError:
        wrong = next(each for each in role if each not in set(Role))
        raise CommandError("usage", f"there is no role {wrong!r}; there are {', '.join(Role)}") from None
    try:
        good_for_s = float(parse_duration(expires))
    except ValueError as exc:
        raise CommandError("usage", f"--expires: {exc}") from None

    async def make() -> tuple[Token, str]:
        return await session.app.tokens.make(name, roles, good_for_s=good_for_s, by=session.actor, person=person)

    try:
        token, text = session.wait_for(make())
    except ValueError as exc:
        raise CommandError("usage", str(exc)) from None
    if session.output.as_json:
        session.output.document({**token_document(token, session.app.clock.now()), "text": text})
        return 0
    session.output.verbatim(text + "\n")
    session.output.note(
        "This is shown once. It is good until ", Styled(f"{token.expires_at:%Y-%m-%d %H:%M} UTC", "bold")
    )
    return 0


def list_tokens(session: Session) -> int:
    """List the tokens, without their secrets."""
    now = session.app.clock.now()
    found = session.app.tokens.all() if session.app.journal_path.exists() else []
    if session.output.as_json:
        session.output.document({"tokens": [token_document(each, now) for each in found]})
        return 0
    if not found:
        session.output.line("There are no tokens. 'hikeshi token new NAME --role ROLE' makes one.")
        return 0
    rows: list[list[Any]] = [
        [
            Styled(each.token, "bold"),
            each.name,
            each.person or "(a program)",
            ", ".join(each.roles),
            Styled(each.status(now), _STYLES[each.status(now)]),
            f"{each.expires_at:%Y-%m-%d %H:%M}",
            each.made_by,
        ]
        for each in found
    ]
    session.output.table(["TOKEN", "NAME", "PERSON", "ROLES", "STATUS", "GOOD UNTIL (UTC)", "MADE BY"], rows)
    return 0


def revoke(
    session: Session, token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its ID, as 'token list' shows.")]
) -> int:
    """Let a token, and the sessions that began with it, open nothing any more."""
    from hikeshi.access.tokens import NotKnown

    async def end() -> Token:
        return await session.app.tokens.revoke(token, by=session.actor)

    try:
        revoked = session.wait_for(end())
    except NotKnown as exc:
        raise CommandError("unknown_token", str(exc)) from None
    if session.output.as_json:
        session.output.document(token_document(revoked, session.app.clock.now()))
    else:
        session.output.line(f"Token {revoked.token} ({revoked.name}) opens nothing any more.")
    return 0
