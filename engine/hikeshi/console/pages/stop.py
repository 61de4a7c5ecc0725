"""The kill switch: engaging it, and letting changes start again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, button, fact, moment, submit, tag
from hikeshi.console.frame import Page
from hikeshi.console.shelf import Shelf

if TYPE_CHECKING:
    from hikeshi.runtime.stops import EngagedStop

__all__ = ["stop_page"]

_NAMED = ("connector", "action", "playbook")


async def stop_page(page: Page) -> None:
    """Build the page."""
    say = page.say
    page.title(say("place.stop"), about=say("stop.about"))
    nothing = tag("p", say("stop.nothing"), "empty")
    shelf = Shelf(tag("div", "", "cards"))

    def draw() -> None:
        engaged = page.visitor.app.kill_switch.engaged()
        permissions = page.visitor.who().permissions
        shelf.put([(each.stop, (each, permissions), _drawing(page, each)) for each in engaged])
        nothing.set_visibility(not engaged)

    page.live(draw)
    if page.visitor.may(Permission.STOP):
        with tag("section", "", "card danger-edge") as section:
            section.put(aria_labelledby=f"c{tag('h2', say('stop.engage_title')).id}")
            _engage(page)


def _drawing(page: Page, each: EngagedStop) -> Any:
    return lambda: _engaged(page, each)


def _engaged(page: Page, each: EngagedStop) -> None:
    say, name_of = page.say, page.visitor.name_of
    tag("p", say("stop.engaged"), "kicker bad-text")
    tag("h2", each.stop, "card-title code")
    with tag("dl", "", "facts"):
        fact(say("holds.by"), name_of(each.by))
        fact(say("holds.why"), each.why or "–")
        with fact(say("holds.since")):
            moment(each.at)
        who = f" ({', '.join(map(name_of, each.released_by))})" if each.released_by else ""
        fact(say("stop.people"), say("question.so_far", given=len(each.released_by), needed=each.people) + who)
    if not page.visitor.may(Permission.RELEASE_STOP):
        tag("p", say("stop.no_role"), "why-not")
        return
    app, who_is = page.visitor.app, page.visitor.who()
    if any(app.same_person(one, who_is.actor) for one in each.released_by):
        tag("p", say("stop.you_said"), "why-not")
        return
    with tag("div", "", "buttons"):
        button(say("stop.release"), lambda: _release(page, each), "primary")


async def _release(page: Page, each: EngagedStop) -> None:
    say = page.say

    async def release(fields: Fields) -> None:
        reason = fields.get("reason", "").strip()
        done, left = await page.do(lambda who: page.visitor.service.release_stop(who, each.stop, reason=reason))
        if done:
            missing = 0 if left is None else left.people - len(left.released_by)
            page.tell(say("stop.released") if left is None else say("stop.still", count=missing))

    with asking(page, say("stop.release_title", what=each.stop), say("stop.release"), release, danger=True) as ask:
        tag("p", say("stop.release_then"))
        ask.reason(say("common.reason"))


def _engage(page: Page) -> None:
    say = page.say
    names = _names(page)
    with tag("form", "", "inputs engage") as form:
        with tag("label", "", "field"):
            tag("span", say("stop.what"))
            with tag("select", "", "", name="what"):
                tag("option", say("scope.everything"), value="everything")
                for scope in _NAMED:
                    with tag("optgroup", "", "", label=say(f"scope.{scope}")):
                        for name in names[scope]:
                            tag("option", say(f"scope.{scope}.named", name=name), value=f"{scope}:{name}")
        with tag("label", "", "field"):
            tag("span", say("common.reason"))
            tag("input", type="text", name="reason", maxlength="500", required=True, autocomplete="off")
        with tag("div", "", "buttons"):
            tag("button", say("stop.engage"), "danger", type="submit")

    async def sent(fields: Fields) -> None:
        what, reason = fields.get("what", ""), fields.get("reason", "").strip()

        async def engage(_: Fields) -> None:
            done, _stops = await page.do(lambda who: page.visitor.service.stop(who, what, reason=reason))
            if done:
                page.tell(say("stop.done"))

        with asking(page, say("stop.sure"), say("stop.engage"), engage, danger=True):
            tag("p", what, "code strong")
            tag("p", reason)
            tag("p", say("stop.then"))

    submit(form, sent)


def _names(page: Page) -> dict[str, list[str]]:
    app = page.visitor.app
    actions = sorted(name for name in app.catalogue.specs if _is_change(app.catalogue.specs[name]))
    return {"connector": list(app.config.products), "action": actions, "playbook": list(app.library.ids())}


def _is_change(spec: Any) -> bool:
    from hikeshi.capabilities import Effect

    return bool(spec.marks.effect is Effect.CHANGE)
