"""Serving a project: API, console, triggers and worker in one process."""

from __future__ import annotations

from typing import Annotated

import typer

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

__all__ = ["serve"]


def serve(
    session: Session,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 for any that is free.")] = 8315,
    certificate: Annotated[
        str | None, typer.Option("--tls-certificate", metavar="FILE", help="Serve HTTPS with this certificate chain.")
    ] = None,
    key: Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="The key of the certificate.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe X-Forwarded-* of a proxy on this machine.")
    ] = False,
    no_triggers: Annotated[bool, typer.Option("--no-triggers", help="Let nothing start by itself.")] = False,
) -> int:
    """Serve API and console, and go on with whatever is due, until Ctrl-C or SIGTERM."""
    if (certificate is None) != (key is None):
        raise CommandError("usage", "--tls-certificate and --tls-key go together")
    try:
        from hikeshi.serving.server import Listening, serve_project
    except ModuleNotFoundError as exc:
        name = exc.name or "a package"
        raise CommandError("missing", f"serving needs {name}: python -m pip install 'hikeshi[server]'") from exc
    if session.log_level is None:  # a service runs where somebody reads its log
        from hikeshi.cli.logs import write_logs

        write_logs("info", session.app.redactor)
    listening = Listening(host, port, certificate, key, behind_proxy=behind_proxy)
    return session.wait_for(serve_project(session.app, listening, session.output.note, triggers=not no_triggers))
