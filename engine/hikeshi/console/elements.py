"""HTML elements of the console: native ones, so that browsers give them keyboard, focus and a name by themselves.

Rule of this file: text is a text node and never markup; the names of attributes stand in our code and come from nowhere
else; and what no reader would see, such as a sign that turns the direction of writing, is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

__all__ = [
    "Fields",
    "Tag",
    "act_on",
    "button",
    "counting",
    "fact",
    "harmless",
    "hint",
    "icon",
    "link",
    "moment",
    "submit",
    "table",
    "tag",
]

Fields = dict[str, str]
Does = Callable[[], Coroutine[Any, Any, None]]

_WITH_BREAKS = frozenset("\n")


def harmless(text: str) -> str:
    """Return text in which every sign that is not seen, or turns others around, is written as its number."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in _WITH_BREAKS else _number(sign) for sign in text)


def _number(sign: str) -> str:
    if sign.isspace() and sign not in "\r\v\f\u2028\u2029":
        return " "
    return f"\\x{ord(sign):02x}" if ord(sign) < 0x100 else f"\\u{ord(sign):04x}"


class Tag(TextElement):
    """One element with a text. It is a context manager: what is made inside of it becomes its child."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(tag=name, text=harmless(text))

    def say(self, text: str) -> None:
        """Change the text."""
        shown = harmless(text)
        if self.text != shown:
            self.text = shown

    def put(self, /, **attributes: Any) -> None:
        """Change attributes; None takes one away."""
        for name, value in attributes.items():
            key = _KEYS.get(name) or name.replace("_", "-")
            if self.props.get(key) != value:
                self.props.set_optional(key, value)


# As an attribute ("^") a value is what a field begins with. As a property it would be set anew at every change of the
# page, over what somebody is typing.
_KEYS = {"for_": "for", "value": "^value", "checked": "^checked"}


def tag(element: str, text: str = "", classes: str = "", /, **attributes: Any) -> Tag:
    """Make an element. Attributes are written with `_` for `-`; those that are None are left out."""
    made = Tag(element, text)
    if classes:
        made.classes(classes)
    made.put(**attributes)
    return made


def link(text: str, to: str, classes: str = "", **attributes: Any) -> Tag:
    """Make a link to a page of the console."""
    assert to.startswith(("/", "#")), to
    return tag("a", text, classes, href=to, **attributes)


def icon(name: str) -> Tag:
    """Make a picture that says nothing to who does not see it; `name` is one of Material Icons."""
    return tag("i", name, "material-icons", aria_hidden="true")


def hint(text: str, classes: str = "") -> Tag:
    """Make a text that only assistive technology reads."""
    return tag("span", text, f"unseen {classes}")


def moment(at: datetime | str | None, form: str = "short") -> Tag | None:
    """Show a time in the reader's zone and language; browsers know both. `form` is `short`, `long` or `clock`."""
    if at is None:
        return None
    iso = at if isinstance(at, str) else at.isoformat()
    return tag("hk-time", at=iso, form=form)


def fact(title: str, text: str = "", classes: str = "") -> Tag:
    """Make a term and what it is, inside of a `dl`; without a text, what is made in its `with` block."""
    with tag("div", "", "fact"):
        tag("dt", title)
        return tag("dd", text, classes)


def counting(until: datetime | str, over: str) -> Tag:
    """Show how much time is left, counting down; `over` is said when it is over."""
    iso = until if isinstance(until, str) else until.isoformat()
    return tag("hk-left", at=iso, over=over)


def button(text: str, does: Does, classes: str = "", **attributes: Any) -> Tag:
    """Make a button."""
    made = tag("button", text, classes, type="button", **attributes)
    act_on(made, "click", does)
    return made


def act_on(element: Element, event: str, does: Does) -> None:
    """Do something when an event comes."""

    async def done() -> None:
        await does()

    element.on(event, done, js_handler="() => emit()")


def table(name: str, columns: Sequence[str], classes: str = "list") -> Tag:
    """Make a table and return its body. One that is wider than the page is scrolled by itself, by keys too."""
    with tag("div", "", "scroll", tabindex="0", role="region", aria_label=name), tag("table", "", classes):
        with tag("thead"), tag("tr"):
            for each in columns:
                tag("th", each, scope="col")
        return tag("tbody")


def submit(form: Element, does: Callable[[Fields], Coroutine[Any, Any, None]]) -> None:
    """Do something with the texts of a form when it is sent; the button that was pressed is among them."""

    async def sent(event: Any) -> None:
        given = event.args
        if isinstance(given, dict):
            await does({str(key): value for key, value in given.items() if isinstance(value, str)})

    form.on("submit", sent, js_handler="(e) => emit(hk.form(e))")
