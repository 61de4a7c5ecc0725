"""Random playbooks with approvals, and which of their changes must never be sent.

The oracle is the sentence of the language, applied while a list is written: an approval covers what is written after it
in its list, everything inside of that, and its own handler. With `covers` it covers what is inside of the named steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

__all__ = ["Fate", "Made", "made_playbooks"]

T = TypeVar("T")
Fate = Literal["approve", "reject", "silence", "waived"]
_NOT_GIVEN = ("reject", "silence")


@dataclass
class Made:
    """Playbooks, the main one first, and what becomes of each approval by its step ID.

    `over` maps the name of each thing that a change is aimed at to the approvals that cover that change. What is called
    `held...` is isolated before any approval, and the change is its release.
    """

    texts: list[str]
    fates: dict[str, Fate]
    over: dict[str, set[str]]

    def forbidden(self) -> set[str]:
        """Return the names of what nothing may ever be done to."""
        return {name for name, over in self.over.items() if any(self.fates[each] in _NOT_GIVEN for each in over)}

    def show(self) -> str:
        """Return everything as text, for who has to find out why a test failed."""
        return "\n".join([*self.texts, str(self.fates), str(self.over)])


@dataclass
class _Place:
    """Where a list stands: what covers it already, the innermost loop's name, and how much deeper it may go."""

    over: frozenset[str]
    depth: int
    item: str = ""
    top: bool = False


@dataclass
class _Maker:
    """Writes one main playbook and those it calls. `draw` is Hypothesis's."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    fates: Sequence[Fate]
    made: Made = field(default_factory=lambda: Made([], {}, {}))
    inside: dict[str, list[str]] = field(default_factory=dict)  # the targets inside of each step that has an ID
    naming: list[tuple[dict[str, Any], str]] = field(default_factory=list)  # approvals that name what they cover
    held: list[str] = field(default_factory=list)  # what is contained before anything else, to be released
    count: int = 0

    def make(self) -> Made:
        top = _Place(frozenset(), 3, top=True)
        first = self._approval(top, allow_covers=False)
        steps = [first, *self._steps(_Place(frozenset({first["id"]}), 3, top=True))]
        text = self._playbook("main", steps, frozenset())
        text["steps"] = [*(_isolate({"connector": "fake", "id": each, "name": each}) for each in self.held), *steps]
        for approval, name in self.naming:
            self._name_covered(approval, name)
        self.made.texts.insert(0, json.dumps(text))
        return self.made

    def _playbook(self, name: str, steps: list[dict[str, Any]], over: frozenset[str]) -> dict[str, Any]:
        written: dict[str, Any] = {"id": name, "steps": steps}
        for key in ("on_failure", "finally"):
            if self._chance(25):
                written[key] = self._steps(_Place(over, 1))
        return written

    def _name_covered(self, approval: dict[str, Any], name: str) -> None:
        named = sorted(self.inside)
        if not named:
            named = [name]
        approval["covers"] = self.draw(st.lists(st.sampled_from(named), min_size=1, max_size=3, unique=True))
        for step in approval["covers"]:
            for target in self.inside.get(step, []):
                self.made.over[target].add(name)

    # --- lists --------------------------------------------------------------------------------------------------

    def _steps(self, place: _Place) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        over = place.over
        for _ in range(self._between(1, 3)):
            here = _Place(over, place.depth, place.item, place.top)
            if self._chance(20):
                step = self._approval(here)
                if "covers" not in step:
                    over = over | {step["id"]}
            else:
                step = self._step(here)
            self._decorate(step, here, [each["id"] for each in written])
            written.append(step)
        return written

    def _decorate(self, step: dict[str, Any], place: _Place, earlier: list[str]) -> None:
        """Give a step an order, a condition and error handling of its own."""
        if "covers" in step:
            step["needs"] = []
        elif self._chance(60):
            wanted = st.lists(st.sampled_from(earlier), max_size=2, unique=True) if earlier else st.just([])
            step["needs"] = self.draw(wanted)
        if "approve" not in step and self._chance(12):
            step["when"] = self._pick(["false", "true"])
        if place.depth > 0 and "on_error" not in step and self._chance(30):
            self._handle(step, place)

    def _handle(self, step: dict[str, Any], place: _Place) -> None:
        over = place.over | ({step["id"]} if "approve" in step else frozenset())
        before = set(self.made.over)
        how = self._pick(["continue", "steps", "both"])
        if how == "continue":
            step["on_error"] = "continue"
            return
        steps = self._steps(_Place(over, 0, place.item))
        step["on_error"] = {"steps": steps, "then": "continue"} if how == "both" else steps
        self.inside.setdefault(step["id"], []).extend(sorted(set(self.made.over) - before))

    # --- steps --------------------------------------------------------------------------------------------------

    def _approval(self, place: _Place, *, allow_covers: bool = True) -> dict[str, Any]:
        name = self._name("ok")
        fate = self._pick(self.fates)
        step: dict[str, Any] = {"id": name, "approve": "Go?", "by": ["mei", "kei"], "within": "15m"}
        if fate == "waived":
            step["when"] = "false"
        if self._chance(20):
            step["quorum"] = 2
        if self._chance(20):
            step["escalate"] = {"to": ["ciso"], "within": "5m"}
        if allow_covers and place.top and self._chance(30):
            step["covers"] = []
            self.naming.append((step, name))
        self.made.fates[name] = fate
        if self._chance(40):
            self._handle(step, place)
        return step

    def _step(self, place: _Place) -> dict[str, Any]:
        kinds = ["change", "change", "batch", "loop change", "release", "read", "fails", "tell"]
        if place.depth > 0:
            kinds += ["steps", "parallel", "loop", "while", "playbook", "playbook"]
        kind = self._pick(kinds)
        before = set(self.made.over)
        name = self._name("s")
        step = {"id": name, **self._body(kind, place)}
        self.inside[name] = sorted(set(self.made.over) - before)
        return step

    def _body(self, kind: str, place: _Place) -> dict[str, Any]:
        match kind:
            case "change":
                return _isolate(self._host(place))
            case "loop change":
                item = self._name("i")
                inner = _Place(place.over, place.depth, item)
                return {"for_each": "['a', 'b']", "as": item, **_isolate(self._host(inner))}
            case "batch":
                address = f"203.0.113.{len(self.made.over) + 1}"
                self.made.over[address] = set(place.over)
                indicator = {"kind": "ipv4", "value": address}
                return {"action": "firewall.block_indicators", "with": {"indicators": [indicator], "reason": "r"}}
            case "release":
                return {"release": f"[{json.dumps(self._host(place, held=True))}]"}
            case "read":
                return {"action": "edr.find_hosts", "with": {"name": "pc1"}}
            case "fails":
                return {"action": "edr.get_host", "with": {"name": "gone"}}
            case "tell":
                return {"action": "messaging.post", "with": {"channel": "c", "text": "hi"}}
            case "playbook":
                called = self._name("p")
                body = self._steps(_Place(place.over, place.depth - 1))
                self.made.texts.append(json.dumps(self._playbook(called, body, place.over)))
                return {"playbook": called}
            case _:
                return self._block(kind, place)

    def _block(self, kind: str, place: _Place) -> dict[str, Any]:
        item = self._name("i") if kind == "loop" else place.item
        inner = _Place(place.over, place.depth - 1, item)
        if kind == "parallel":
            return {"parallel": self._steps(inner)}
        steps = {"steps": self._steps(inner)}
        if kind == "loop":
            failures = self._pick([0, "100%"])
            return {"for_each": "['a', 'b']", "as": item, "max_failures": failures, **steps}
        return {"while": "false", "at_most": 2, **steps} if kind == "while" else steps

    def _host(self, place: _Place, *, held: bool = False) -> dict[str, str]:
        name = self._name("held" if held else "h")
        self.made.over[name] = set(place.over)
        if held:
            self.held.append(name)
        own = f"{name}-{{{{ {place.item} }}}}" if place.item and not held else name
        return {"connector": "fake", "id": own, "name": own}

    # --- chance -------------------------------------------------------------------------------------------------

    def _name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}x"

    def _between(self, least: int, most: int) -> int:
        return int(self.draw(st.integers(least, most)))

    def _chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def _pick(self, of: Sequence[T]) -> T:
        picked: T = self.draw(st.sampled_from(list(of)))
        return picked


def _isolate(host: dict[str, str]) -> dict[str, Any]:
    return {"action": "edr.isolate_host", "with": {"host": host, "reason": "r"}}


@st.composite
def made_playbooks(draw: Any, fates: Sequence[Fate]) -> Made:
    """Give playbooks whose first step is an approval."""
    return _Maker(draw, fates).make()
