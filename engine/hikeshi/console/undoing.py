"""Taking back what a run did, or releasing holds: what that would do is shown first, read from the products now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, tag
from hikeshi.console.frame import Page
from hikeshi.documents.undo import inverse_name
from hikeshi.runtime.standing import in_words

if TYPE_CHECKING:
    from hikeshi.app.undo_plan import Inverse, UndoPlan

__all__ = ["ask_undo"]

_MOST = 50


async def ask_undo(page: Page, *, run: str | None = None, hold: str | None = None) -> None:
    """Plan the undo of a run, or the release of a hold, show it, and do exactly that when somebody says so."""
    say, service = page.say, page.visitor.service
    page.tell(say("undo.asking"))
    if run is not None:
        done, plan = await page.do(lambda who: service.plan_undo(who, run))
    else:
        done, plan = await page.do(lambda who: service.plan_release(who, [hold or ""]))
    if not done or plan is None:
        return
    page.be_quiet()
    shown: UndoPlan = plan

    async def undo(fields: Fields) -> None:
        reason, override = fields.get("reason", "").strip(), fields.get("override") == "on"
        begun, state = await page.do(lambda who: service.undo(who, shown, reason=reason, override=override))
        if begun and state is not None:
            page.go(f"/runs/{state.run}")

    if not shown.tried:
        _say_nothing(page, shown)
        return
    word = "undo" if run is not None else "release"
    with asking(page, say(f"undo.{word}_title"), say(f"undo.{word}"), undo, danger=True) as ask:
        for text in shown.notes:
            tag("p", text, "warn")
        _inverses(page, shown)
        if any(each.does == "decide" for each in shown.inverses):
            with tag("label", "", "tick"):
                tag("input", type="checkbox", name="override")
                tag("span", say("undo.override"))
        ask.reason(say("common.reason"))


def _say_nothing(page: Page, plan: UndoPlan) -> None:
    async def nothing(_: Fields) -> None:
        return

    with asking(page, page.say("undo.nothing"), page.say("common.close"), nothing):
        _inverses(page, plan)


def _inverses(page: Page, plan: UndoPlan) -> None:
    with tag("ol", "", "inverses"):
        for each in plan.inverses[:_MOST]:
            with tag("li"):
                _inverse(page, each)
        if len(plan.inverses) > _MOST:
            tag("li", page.say("common.more", count=len(plan.inverses) - _MOST))


def _inverse(page: Page, inverse: Inverse) -> None:
    say, hold = page.say, inverse.hold
    with tag("p"):
        tag("strong", hold.label)
        tag("span", f" ({hold.connector})", "dim")
    kind = {"undo": "info", "try": "warn", "decide": "bad-text", "cannot": "bad-text"}.get(inverse.does, "dim")
    action = inverse_name(hold) or hold.action
    tag("p", say(f"undo.does.{inverse.does}", action=action), kind)
    if inverse.state is not None:
        tag("p", say("undo.now", state=in_words(inverse.state)), "dim small")
        if inverse.does in ("undo", "try", "decide"):
            tag("p", say("undo.again", state=in_words(hold.prior)), "dim small")
    if inverse.why is not None:
        tag("p", inverse.why, "dim small")
