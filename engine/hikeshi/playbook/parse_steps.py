"""Lists of steps: which kind each step is, what it is called, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    Loop,
    MaxFailures,
    OnError,
    PlaybookStep,
    ReleaseStep,
    SetStep,
    Step,
    StepList,
    StopStep,
    WaitStep,
    While,
)
from hikeshi.playbook.parse_keys import LOOP_KEYS, RESERVED_IDS, STEP_KINDS, WHILE_KEYS, StepKind
from hikeshi.playbook.parse_order import order_of
from hikeshi.playbook.parse_record import read_keys
from hikeshi.playbook.parse_report import INVALID, Invalid, Report
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.template import Template, parse_value
from hikeshi.playbook.yaml_tree import Mapping, Node, Scalar, Sequence

__all__ = ["StepsReader", "Surroundings"]

_KIND_NAMES = tuple(kind.name for kind in STEP_KINDS)
_ALL_KEYS = {key.name for kind in STEP_KINDS for key in kind.keys}
_NO_ARGUMENTS: Template = parse_value({})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a list of steps is inside of. `no_stop` is why `stop` may not stand there, None if it may."""

    list_name: str
    no_stop: str | None = None


@dataclass(slots=True)
class StepsReader:
    """Reads every list of steps of one playbook; knows the IDs it has met."""

    report: Report
    ids: dict[str, Node] = field(default_factory=dict)

    def read(self, node: Node, around: Surroundings) -> StepList | Invalid:
        """Return a list of steps, or INVALID after reporting everything that is wrong in it."""
        if not isinstance(node, Sequence):
            return self.report.wrong_type(node, "a list of steps")
        if not node.items:
            return self.report.add(
                "empty-list", f"{around.list_name!r} has no steps; add one or leave the key out", node
            )
        before = len(self.report.problems)
        keyed = self._keys(node, around.list_name)
        needs = {key: _needs(item) for key, item in keyed.items()}
        parallel = around.list_name == "parallel"
        after = order_of(needs, parallel=parallel, report=self.report)
        steps = [self._step(item, key, after[key], around) for key, item in keyed.items()]
        if len(self.report.problems) > before:
            return INVALID
        return StepList(tuple(step for step in steps if step is not INVALID), parallel)

    def _keys(self, node: Sequence, list_name: str) -> dict[str, Node]:
        keyed: dict[str, Node] = {}
        for at, item in enumerate(node.items):
            id_ = self._id(item)
            keyed[f"{list_name}[{at}]" if id_ is None or id_ in keyed else id_] = item
        return keyed

    def _id(self, item: Node) -> str | None:
        """Return a step's ID if it is text; its form is reported when the step's keys are read."""
        entry = item.entries.get("id") if isinstance(item, Mapping) else None
        if entry is None or not isinstance(entry.value, Scalar) or not isinstance(entry.value.value, str):
            return None
        name = entry.value.value
        first = self.ids.setdefault(name, entry.value)
        if first is not entry.value:
            message = f"the step ID {name[:60]!r} is given twice; first at {self.report.position(first)}"
            self.report.add("duplicate-id", message, entry.value)
        elif name in RESERVED_IDS:
            self.report.add(
                "reserved-id", f"{name!r} has a meaning of its own, so no step can be called so", entry.value
            )
        return name

    def _step(self, node: Node, key: str, after: tuple[str, ...], around: Surroundings) -> Step | Invalid:
        if not isinstance(node, Mapping):
            return self.report.wrong_type(node, "a step: a map, such as {action: edr.get_host, with: {...}}")
        kind = self._kind(node)
        if kind is None:
            self._read_lists(node, around)
            return INVALID
        before = len(self.report.problems)
        self._check_places(node, kind, around)
        values = read_keys(kind.keys, _only(node, kind), self.report, f"a step with {kind.name!r}")
        on_error = self._on_error(node)
        common: dict[str, Any] = {
            "key": key,
            "id": values.get("id"),
            "name": values.get("name"),
            "after": after,
            "when": values.get("when"),
            "on_error": on_error,
            "phase": values.get("phase"),
            "position": self.report.position(node),
        }
        children = self._children(node, kind, around)
        if len(self.report.problems) > before:
            return INVALID
        return _BUILDERS[kind.name](common, values, children)

    def _kind(self, node: Mapping) -> StepKind | None:
        found = [kind for kind in STEP_KINDS if kind.name in node.entries]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            names = " and ".join(repr(kind.name) for kind in found)
            place = node.entries[found[1].name]
            self.report.add(
                "step-kind", f"a step does one thing, and this one has {names}; make two steps of it", place
            )
            return None
        for name, entry in node.entries.items():
            if name not in _ALL_KEYS and nearest(name, _KIND_NAMES) is not None:
                self.report.unknown("unknown-key", f"a step has no key {name[:60]!r}", entry, name, _KIND_NAMES)
                return None
        self.report.add("step-kind", f"this step does nothing; it needs one of {', '.join(_KIND_NAMES)}", node)
        return None

    def _check_places(self, node: Mapping, kind: StepKind, around: Surroundings) -> None:
        """Report keys that belong to other kinds of steps, and those that stand without the key they go with."""
        allowed = {key.name for key in kind.keys}
        for name, entry in node.entries.items():
            if name in _ALL_KEYS and name not in allowed:
                homes = [other.name for other in STEP_KINDS if name in {key.name for key in other.keys}]
                message = f"{name!r} goes only with {' or '.join(map(repr, homes))}, and this step has {kind.name!r}"
                self.report.add("misplaced-key", message, entry)
        for keys, needed in ((LOOP_KEYS, "for_each"), (WHILE_KEYS, "while")):
            for key in keys:
                if key.name in allowed and key.name in node.entries and needed not in node.entries:
                    self.report.add("misplaced-key", f"{key.name!r} goes only with {needed!r}", node.entries[key.name])
        if kind.repeats:
            self._check_repeat(node)
        self._check_item_name(node)
        if kind.name == "stop" and around.no_stop is not None:
            self.report.add("misplaced-stop", f"'stop' can't stand {around.no_stop}", node.entries["stop"])

    def _check_repeat(self, node: Mapping) -> None:
        if "while" in node.entries and "at_most" not in node.entries:
            self.report.add(
                "missing-key", "'while' needs 'at_most': the greatest number of passes", node.entries["while"]
            )
        if "while" in node.entries and "for_each" in node.entries:
            message = "'while' and 'for_each' don't go together; put a block with one into a block with the other"
            self.report.add("misplaced-key", message, node.entries["while"])

    def _check_item_name(self, node: Mapping) -> None:
        name = node.entries["as"].value if "as" in node.entries else None
        if isinstance(name, Scalar) and name.value in RESERVED_IDS:
            message = f"{name.value!r} has a meaning of its own, so no item can be called so"
            self.report.add("reserved-id", message, name)

    def _on_error(self, node: Mapping) -> OnError | Invalid | None:
        if "on_error" not in node.entries:
            return None
        written = node.entries["on_error"].value
        around = Surroundings("on_error", "in a handler")
        if isinstance(written, Sequence):
            steps = self.read(written, around)
            return INVALID if isinstance(steps, Invalid) else OnError(steps, then_continue=False)
        if isinstance(written, Scalar) and written.value == "continue":
            return OnError(None, then_continue=True)
        expected = "'continue', a list of steps, or {steps: [...], then: continue}"
        if not isinstance(written, Mapping) or "steps" not in written.entries:
            return self.report.wrong_type(written, expected)
        for name, entry in written.entries.items():
            if name not in ("steps", "then"):
                self.report.unknown(
                    "unknown-key", f"'on_error' has no key {name[:60]!r}", entry, name, ("steps", "then")
                )
        then = written.entries["then"].value if "then" in written.entries else None
        if then is not None and not (isinstance(then, Scalar) and then.value == "continue"):
            self.report.add("wrong-value", "'then' can only be 'continue'", then)
        steps = self.read(written.entries["steps"].value, around)
        return INVALID if isinstance(steps, Invalid) else OnError(steps, then_continue=then is not None)

    def _children(self, node: Mapping, kind: StepKind, around: Surroundings) -> StepList | Invalid | None:
        if kind.name not in ("steps", "parallel"):
            return None
        inside = replace(around, list_name=kind.name)
        if "for_each" in node.entries or "while" in node.entries:
            inside = replace(inside, no_stop="in a loop")
        elif kind.name == "parallel":
            inside = replace(inside, no_stop="in a parallel block")
        return self.read(node.entries[kind.name].value, inside)

    def _read_lists(self, node: Mapping, around: Surroundings) -> None:
        """Read what stands in a step of no or several kinds, so that all problems are found in one pass."""
        self._on_error(node)
        for kind in STEP_KINDS:
            if kind.name in node.entries:
                self._children(node, kind, around)


def _only(node: Mapping, kind: StepKind) -> Mapping:
    """Return a step without the keys that only other kinds have: those have been reported."""
    allowed = {key.name for key in kind.keys}
    if all(name in allowed or name not in _ALL_KEYS for name in node.entries):
        return node
    kept = {name: entry for name, entry in node.entries.items() if name in allowed or name not in _ALL_KEYS}
    return Mapping(node.line, node.column, kept)


def _needs(item: Node) -> list[Scalar] | None:
    entry = item.entries.get("needs") if isinstance(item, Mapping) else None
    if entry is None or not isinstance(entry.value, Sequence):
        return None
    return [node for node in entry.value.items if isinstance(node, Scalar) and isinstance(node.value, str)]


def _loop(values: dict[str, Any]) -> Loop | None:
    if "for_each" not in values:
        return None
    return Loop(
        items=values["for_each"],
        name=values.get("as", "item"),
        concurrency=values.get("concurrency", 10),
        batch=values.get("batch"),
        max_failures=values.get("max_failures", MaxFailures()),
        stop_after=values.get("stop_after"),
    )


def _action(common: dict[str, Any], values: dict[str, Any], _: Any) -> Step:
    return ActionStep(
        **common,
        action=values["action"],
        arguments=values.get("with", _NO_ARGUMENTS),
        retry=values.get("retry"),
        timeout_s=values.get("timeout"),
        hold=values.get("hold"),
        undo=values.get("undo"),
        at=values.get("at"),
        if_unsupported=values.get("if_unsupported", "fail"),
        loop=_loop(values),
    )


def _playbook(common: dict[str, Any], values: dict[str, Any], _: Any) -> Step:
    arguments = values.get("with", _NO_ARGUMENTS)
    return PlaybookStep(**common, playbook=values["playbook"], arguments=arguments, loop=_loop(values))


def _approve(common: dict[str, Any], values: dict[str, Any], _: Any) -> Step:
    return ApproveStep(
        **common,
        question=values["approve"],
        by=values["by"],
        within_s=values["within"],
        quorum=values.get("quorum", 1),
        escalate=values.get("escalate"),
        covers=values.get("covers"),
    )


def _ask(common: dict[str, Any], values: dict[str, Any], _: Any) -> Step:
    return AskStep(**common, question=values["ask"], form=values["form"], by=values["by"], within_s=values["within"])


def _block(common: dict[str, Any], values: dict[str, Any], children: Any) -> Step:
    repeat = While(values["while"], values["at_most"]) if "while" in values else None
    return BlockStep(**common, children=children, loop=_loop(values), repeat=repeat)


def _stop(common: dict[str, Any], values: dict[str, Any], _: Any) -> Step:
    return StopStep(**common, status=values["stop"]["status"], message=values["stop"].get("message"))


_BUILDERS = {
    "action": _action,
    "playbook": _playbook,
    "approve": _approve,
    "ask": _ask,
    "wait": lambda common, values, _: WaitStep(**common, wait=values["wait"]),
    "set": lambda common, values, _: SetStep(**common, values=values["set"]),
    "release": lambda common, values, _: ReleaseStep(**common, targets=values["release"]),
    "steps": _block,
    "parallel": _block,
    "stop": _stop,
}
