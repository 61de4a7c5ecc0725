"""A form made from declared inputs: of a playbook, or of a step that asks people. Types decide how a field looks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hikeshi.console.elements import Fields, Tag, tag
from hikeshi.console.frame import Page

if TYPE_CHECKING:
    from hikeshi.playbook.model import InputDeclaration

__all__ = ["InputFields"]

_NUMBERS = frozenset({"integer", "number", "boolean"})
_NOT_GIVEN = ""


class InputFields:
    """The fields of one form, each with a place for what is wrong with it."""

    def __init__(self, page: Page, declared: Mapping[str, InputDeclaration], values: Mapping[str, Any] | None) -> None:
        self._page = page
        self._say = page.say
        self._declared = declared
        self._inputs: dict[str, Tag] = {}
        self._errors: dict[str, Tag] = {}
        self._rest = tag("ul", "", "problems", role="alert")
        for name, each in declared.items():
            self._field(name, each, (values or {}).get(name, each.default))

    # --- drawing ----------------------------------------------------------------------------------------------

    def _field(self, name: str, declared: InputDeclaration, value: Any) -> None:
        is_switch = declared.type == "boolean" and (declared.required or declared.default is not None)
        with tag("div", "", "field switch" if is_switch else "field"):
            label = tag("label", "", "")
            about = tag("p", declared.description, "about") if declared.description else None
            error = self._errors[name] = tag("p", "", "error")
            made = self._switch(name, value) if is_switch else self._input(name, declared, value)
            limits = tag("p", self._limits(declared), "limits")
            with label:
                tag("span", name, "key")
                tag("span", self._type(declared), "type")
                if declared.required and declared.default is None:
                    tag("span", self._say("form.required"), "required")
            label.put(for_=f"c{made.id}")
            described = [each for each in (about, error, limits) if each is not None]
            made.put(aria_describedby=" ".join(f"c{each.id}" for each in described))
            if declared.required and declared.default is None:
                made.put(aria_required="true")
            self._inputs[name] = made

    def _switch(self, name: str, value: Any) -> Tag:
        return tag("input", type="checkbox", role="switch", name=name, value="true", checked=value is True or None)

    def _input(self, name: str, declared: InputDeclaration, value: Any) -> Tag:
        limits, shown = declared.constraints, _shown(value)
        if limits.enum is not None or declared.type == "boolean":
            return self._select(name, declared, shown)
        if declared.type in ("list", "dict") or (declared.type == "string" and (limits.max_length or 0) > 200):
            rows = "2" if declared.type == "string" else "4"
            return tag("textarea", shown, name=name, rows=rows, spellcheck="false" if rows == "4" else None)
        if declared.type in ("integer", "number"):
            return tag(
                "input", type="number", name=name, value=shown, min=limits.minimum, max=limits.maximum, step="any"
            )
        plain = "off" if declared.type != "string" else None
        return tag(
            "input", type="text", name=name, value=shown, autocomplete=plain, autocapitalize=plain, spellcheck="false"
        )

    def _select(self, name: str, declared: InputDeclaration, shown: str) -> Tag:
        choices = list(declared.constraints.enum or ("true", "false"))
        with tag("select", "", "", name=name) as made:
            if not declared.required or not shown:
                tag("option", self._say("form.not_given"), value=_NOT_GIVEN)
            for each in choices:
                text = _shown(each)
                words = self._say(f"form.{text}") if declared.type == "boolean" else text
                tag("option", words, value=text, selected=text == shown or None)
        return made

    def _type(self, declared: InputDeclaration) -> str:
        items = declared.constraints.items
        if declared.type == "list" and items is not None:
            return self._say("form.list_of", type=items.type_name)
        return declared.type

    def _limits(self, declared: InputDeclaration) -> str:
        limits, say, words = declared.constraints, self._say, []
        if declared.type == "list":
            words.append(say("form.lines"))
        if limits.minimum is not None or limits.maximum is not None:
            low, high = limits.minimum, limits.maximum
            words.append(say("form.bounds", low="" if low is None else low, high="" if high is None else high))
        if limits.min_length is not None and limits.min_length > 1:
            words.append(say("form.at_least", count=limits.min_length))
        if limits.max_length is not None and limits.max_length < 100_000:
            words.append(say("form.at_most", count=limits.max_length))
        if limits.pattern is not None:
            words.append(say("form.pattern", pattern=limits.pattern))
        return " · ".join(words)

    # --- reading ----------------------------------------------------------------------------------------------

    def texts(self, given: Fields) -> dict[str, str]:
        """Return the texts of what was filled in. What was left empty is left out, so that its default holds."""
        found: dict[str, str] = {}
        for name, declared in self._declared.items():
            text = given.get(name, "")
            if declared.type == "boolean" and self._inputs[name].props.get("role") == "switch":
                text = "true" if text else "false"
            if text.strip():
                found[name] = _one_a_line(declared, text) if declared.type == "list" else text
        return found

    def show(self, problems: Sequence[str]) -> None:
        """Show what is wrong, each at its field, and go to the first."""
        self.forget()
        first: Tag | None = None
        for problem in problems:
            name, colon, text = problem.partition(": ")
            if colon and name in self._inputs:
                made = self._inputs[name]
                self._errors[name].say(text)
                made.put(aria_invalid="true")
                first = first or made
            else:
                with self._rest:
                    tag("li", problem)
        if first is not None:
            self._page.client.run_javascript(f"hk.focus('c{first.id}')")

    def forget(self) -> None:
        """Take away what was said to be wrong."""
        self._rest.clear()
        for name, made in self._inputs.items():
            self._errors[name].say("")
            made.put(aria_invalid=None)


def _one_a_line(declared: InputDeclaration, text: str) -> str:
    """Return a list as text. A line is one item, whatever signs are in it; numbers have to be read from text."""
    items = declared.constraints.items
    if text.lstrip().startswith("[") or (items is not None and items.type_name in _NUMBERS):
        return text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return json.dumps(lines, ensure_ascii=False)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    if isinstance(value, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("value"), str) for each in value
    ):
        return "\n".join(str(each["value"]) for each in value)  # indicators, as people write them
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
