"""What is shown at an address at which there is no page."""

from __future__ import annotations

from hikeshi.console.frame import Page

__all__ = ["nowhere_page"]


async def nowhere_page(page: Page, rest: str) -> None:
    """Say that there is no such page."""
    from hikeshi.console.elements import link, tag

    page.client.status_code = 404
    page.title(page.say("nowhere.what"))
    tag("p", page.say("nowhere.do"))
    tag("p", f"/{rest[:200]}", "code dim")
    link(page.say("failure.home"), "/", "as-button")
