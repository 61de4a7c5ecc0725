"""What somebody may say to a run, each with a dialog that names what will happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, button, link, tag
from hikeshi.console.frame import Page
from hikeshi.console.undoing import ask_undo

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["buttons_of"]


def buttons_of(page: Page, state: RunState) -> None:
    """Draw the buttons that fit how a run stands."""
    say, visitor = page.say, page.visitor
    may_run, may_undo = visitor.may(Permission.RUN), visitor.may(Permission.UNDO)
    if state.finished is None:
        if may_run and state.mode == "live":
            if state.paused:
                button(say("run.resume"), lambda: _tell(page, state, "resume"), "primary")
            else:
                button(say("run.pause"), lambda: _tell(page, state, "pause"))
        if may_run:
            button(say("run.cancel"), lambda: _cancel(page, state), "danger")
        return
    if state.mode == "plan":
        link(say("run.see_plan"), f"/plans/{state.run}", "as-button")
        return
    if may_undo:
        button(say("run.undo"), lambda: ask_undo(page, run=state.run))
    if may_run and state.finished != "succeeded" and not state.unknown:
        button(say("run.retry"), lambda: _retry(page, state), "primary")
    if may_run and state.program.main in visitor.app.library.files:
        link(say("run.again"), f"/playbooks/{state.program.main}?again={state.run}", "as-button")


async def _tell(page: Page, state: RunState, kind: str) -> None:
    done, _ = await page.do(lambda who: page.visitor.service.tell(who, state.run, kind, {}))
    if done:
        page.tell(page.say(f"run.told.{kind}"))


async def _cancel(page: Page, state: RunState) -> None:
    say = page.say

    async def cancel(fields: Fields) -> None:
        data = {"reason": fields.get("reason", "").strip()}
        done, _ = await page.do(lambda who: page.visitor.service.tell(who, state.run, "cancel", data))
        if done:
            page.tell(say("run.cancelled"))

    with asking(page, say("run.cancel_title"), say("run.cancel"), cancel, danger=True) as ask:
        tag("p", say("run.cancel_then"))
        ask.reason(say("common.reason"))


async def _retry(page: Page, state: RunState) -> None:
    say = page.say

    async def retry(_: Fields) -> None:
        done, begun = await page.do(lambda who: page.visitor.service.retry(who, state.run))
        if done and begun is not None:
            page.go(f"/runs/{begun.run}")

    with asking(page, say("run.retry_title"), say("run.retry"), retry, danger=True):
        tag("p", say("run.retry_then"))
        with tag("ul", "", "short"):
            for path in state.failures[:20]:
                tag("li", path, "code")
