"""The audit log: how much of it is signed and sent elsewhere, and judging it."""

from __future__ import annotations

from hikeshi.access.roles import Permission
from hikeshi.console.elements import Tag, button, fact, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.documents.audit import verdict_document

__all__ = ["audit_page"]


async def audit_page(page: Page) -> None:
    """Build the page."""
    say = page.say
    page.title(say("place.audit"), about=say("audit.about"))
    with tag("section", "", "card"):
        place = tag("dl", "", "facts")
        verdict = tag("div", "", "", role="status")
        with tag("div", "", "buttons"):
            if page.visitor.may(Permission.AUDIT):
                button(say("audit.verify"), lambda: _verify(page, verdict), "primary")
            else:
                tag("p", say("audit.no_role"), "why-not")
    shown: list[object] = []

    def draw() -> None:
        state = page.visitor.app.audit.state()
        if shown == [state]:
            return
        shown[:] = [state]
        place.clear()
        with place:
            fact(say("audit.records"), str(state["records"]))
            fact(say("audit.signed"), say("audit.signed_to", count=state["signed"]))
            for name, size in state["anchors"].items():
                fact(name, say("audit.anchored_to", count=size))
            if not state["anchors"]:
                fact(say("audit.anchors"), say("audit.no_anchors"))
            fact(say("audit.key"), state["key"] or "–", "code")

    page.live(draw)


async def _verify(page: Page, place: Tag) -> None:
    place.clear()
    with place:
        tag("p", page.say("audit.verifying"), "dim")
    done, found = await page.do(page.visitor.service.verify)
    place.clear()
    if not done or found is None:
        return
    document = verdict_document(found)
    with place:
        with tag("p"):
            mark(page.say, document["status"])
            tag("span", page.say("audit.judged", count=document["records"]))
        tag("p", document["note"])
        for each in document["problems"][:20]:
            tag("p", f"{each['run']} {each['seq']}: {each['what']}", "warn")
