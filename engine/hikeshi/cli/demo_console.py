"""The console over the demo's company, with two people who can sign in."""

from __future__ import annotations

from hikeshi.cli.demo import chapter
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled, pad

__all__ = ["serve_console"]

_A_DAY_S = 86_400.0
_PEOPLE = (("mei", "responder", "finds a playbook, plans it and runs it"), ("ken", "approver", "is asked, and decides"))


async def serve_console(session: Session, port: int) -> int:
    """Serve until Ctrl-C, and return the exit code."""
    from hikeshi.access.roles import Role

    try:
        from hikeshi.serving.server import Listening, Serving
    except ModuleNotFoundError as exc:
        name = exc.name or "a package"
        raise CommandError("missing", f"the console needs {name}: python -m pip install 'hikeshi[server]'") from exc
    output = session.output
    serving = Serving(session.app, Listening("127.0.0.1", port), output.note, triggers=False)
    chapter(output, 6, "The console")
    output.line("Open it in two browsers, one of them in a private window, and sign in with a token:")
    output.line()
    for person, role, what in _PEOPLE:
        _, text = await serving.service.tokens.make(
            "demo", [Role(role)], good_for_s=_A_DAY_S, by=session.actor, person=person
        )
        name = session.app.config.people[person].name
        output.line(f"  {pad(f'{name}, {role}', 26)} ", Styled(text, "cyan"))
        output.line(f"  {pad('', 26)} ", Styled(what, "dim"))
    output.line()
    output.line(
        "Try the playbook ", Styled("isolate-if-agreed", "bold"), ". The company is gone when you press Ctrl-C."
    )
    output.line()
    output.flush()
    return await serving.run()
