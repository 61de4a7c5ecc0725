"""Asking once more before something happens: a dialog that names exactly what will."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from hikeshi.console.elements import Fields, Tag, submit, tag
from hikeshi.console.frame import Page

__all__ = ["Ask", "asking"]


class Ask:
    """An open dialog. What stands inside of it is made in its `with` block."""

    def __init__(self, page: Page, box: Tag, form: Tag) -> None:
        self._page = page
        self.box = box
        self.form = form

    def reason(self, label: str, *, required: bool = True, name: str = "reason") -> None:
        """Ask for a reason."""
        with tag("label", label, "field"):
            tag("textarea", "", name=name, rows="2", maxlength="500", required=required or None)

    def sure(self, label: str) -> None:
        """Ask for a tick, without which the button does nothing."""
        with tag("label", "", "tick"):
            tag("input", type="checkbox", name="sure", required=True)
            tag("span", label)

    def close(self) -> None:
        """Close it; focus goes back to where it was."""
        self._page.client.run_javascript(f"hk.close('c{self.box.id}')")


@contextmanager
def asking(
    page: Page,
    title: str,
    yes: str,
    does: Callable[[Fields], Coroutine[Any, Any, None]],
    *,
    danger: bool = False,
) -> Iterator[Ask]:
    """Open a dialog: `does` gets its fields when `yes` is pressed. Esc and the other button do nothing at all."""
    page.dialogs.clear()
    with page.dialogs, tag("dialog") as box:
        heading = tag("h2", title)
        box.put(aria_labelledby=f"c{heading.id}")
        with tag("form") as form:
            ask = Ask(page, box, form)
            with tag("div", "", "asked"):
                yield ask
            with tag("div", "", "buttons"):
                no = tag("button", page.say("common.no"), "", type="button")
                no.on("click", js_handler=f"() => hk.close('c{box.id}')")
                tag("button", yes, "danger" if danger else "primary", type="submit", value="yes", name="pressed")

    async def agreed(fields: Fields) -> None:
        ask.close()
        await does(fields)

    submit(form, agreed)
    page.client.run_javascript(f"hk.open('c{box.id}')")
