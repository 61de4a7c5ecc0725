"""A check-up of the project and the machine that it is on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.app.finding import Finding

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    session: Session,
    products: Annotated[
        bool, typer.Option("--products", help="Also ask each product one cheap read; otherwise nothing is sent.")
    ] = False,
) -> int:
    """Look at everything that a project needs to work, and say what to mend. Changes nothing; exit 1 on a problem."""
    from hikeshi.app.finding import gravest

    findings = asyncio.run(_look(session, products))
    status = gravest(findings)
    if session.output.as_json:
        session.output.document({"status": status, "findings": [each.to_json() for each in findings]})
    else:
        _show(session, findings)
    return ExitCode.FAILED if status == "problem" else ExitCode.SUCCEEDED


async def _look(session: Session, products: bool) -> list[Finding]:
    from hikeshi.app import Hikeshi
    from hikeshi.app.doctor import check_products, check_project
    from hikeshi.app.finding import problem
    from hikeshi.project import Config, ProjectError

    findings: list[Finding] = []
    try:
        app = session.app
    except ProjectError as exc:
        if not session.folder.is_dir():
            raise
        findings += [problem("hikeshi.yaml", text, "", "mend the file: hikeshi check") for text in exc.problems]
        app = session.use(Hikeshi(Config(session.folder, playbooks=(session.folder / "playbooks",))))
    try:
        findings += check_project(app)
        findings += await _triggers(app)
        if products:
            findings += await check_products(app)
    finally:
        await app.aclose()
    return findings


async def _triggers(app: Hikeshi) -> list[Finding]:
    """Say which triggers of the playbooks could start something. They are read, and not begun."""
    from hikeshi.app.finding import fine, problem

    try:
        from hikeshi.triggers.roster import Roster
        from hikeshi.triggers.times import times_of
    except ModuleNotFoundError as exc:
        step = "python -m pip install 'hikeshi[server]'"
        return [problem("triggers", f"they need {exc.name}", "", step)] if app.config.webhooks else []
    roster = Roster(app, lambda _: None)
    await roster.refresh()
    findings = []
    for entry in roster.entries:
        wrong = entry.problem
        if wrong is None and entry.trigger.kind == "schedule":
            try:
                times_of(entry.trigger).next_after(app.clock.now())
            except (ValueError, LookupError, OSError) as exc:
                wrong = f"its times can't be read: {exc}"
        if wrong is not None:
            findings.append(problem("triggers", wrong, "/".join(entry.name), "mend it, or set enabled: false"))
    return findings or [fine("triggers", f"{len(roster.entries)} read, no problems")]


def _show(session: Session, findings: list[Finding]) -> None:
    for each in findings:
        place = f" ({each.where})" if each.where else ""
        step = f". Next: {each.next_step}" if each.next_step else ""
        status = Styled(f"{each.status:8}", _COLOURS[each.status])
        session.output.line(status, f" {each.check:12} ", each.what, place, step)
    counts = {status: sum(each.status == status for each in findings) for status in _COLOURS}
    session.output.line(f"{counts['problem']} problems, {counts['warning']} warnings, {counts['ok']} ok")
