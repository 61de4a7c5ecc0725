"""A playbook as the generator means it: what it writes as YAML, and what the oracle reads without any parser."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Condition", "Handler", "Kind", "Loop", "Repeat", "Written", "WrittenStep", "to_yaml"]

Kind = Literal[
    *("read", "change", "notify", "set", "steps", "parallel", "playbook", "stop"),
    *("approve", "ask", "wait", "release"),
]


@dataclass
class Condition:
    """`when`: a fixed answer, an error, an item that is not this one, or a step that has this status."""

    text: str
    answer: bool | None = None  # None with neither of the others: it can't be evaluated
    item: tuple[str, str] | None = None  # the loop's name and the item for which it is false
    step: tuple[str, str] | None = None  # a step and the status for which it is true


@dataclass
class Loop:
    """`for_each`; `wrong` says what is wrong with its list, if anything is."""

    name: str
    items: list[str]
    wrong: Literal["", "no list", "doubles"] = ""
    concurrency: int | None = None
    batch: int | None = None
    max_failures: int | str | None = None
    stop_after: int | None = None

    def groups(self) -> list[str | list[str]]:
        """Return what the items are, once they are put into batches."""
        if self.batch is None:
            return list(self.items)
        return [self.items[at : at + self.batch] for at in range(0, len(self.items), self.batch)]

    def too_many(self, failed: int, total: int) -> bool:
        """Say whether so many failed items make the loop fail."""
        if isinstance(self.max_failures, str):
            return failed * 100 > float(self.max_failures.rstrip("%")) * total
        return failed > (self.max_failures or 0)


@dataclass
class Repeat:
    """`while`: its condition, asked after each pass, and the most passes there may be."""

    condition: Condition
    at_most: int


@dataclass
class Handler:
    """`on_error`: steps, `continue`, or both."""

    steps: list[WrittenStep] | None
    then_continue: bool


@dataclass
class WrittenStep:
    """One step. `names` says what its calls are about; text with "bad" in it is refused by every product."""

    kind: Kind
    key: str
    id: str | None
    body: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # the fixed part of each thing that it is about
    refuses: bool = False  # cannot even be evaluated
    instances: tuple[str, ...] = ()  # those that it goes to, if it fans out
    names_at: dict[str, tuple[str, ...]] = field(default_factory=dict)  # what one of them is asked, if not all of it
    after: tuple[str, ...] = ()  # keys of the siblings it waits for
    needs: list[str] | None = None
    when: Condition | None = None
    on_error: Handler | None = None
    loop: Loop | None = None
    children: list[WrittenStep] = field(default_factory=list)
    calls: str | None = None
    stops: Literal["", "succeeded", "failed"] = ""
    repeat: Repeat | None = None
    covers: tuple[str, ...] | None = None  # of an approval: the keys of the siblings it covers; None: all after it
    waits: Literal["", "time", "read", "signal"] = ""

    @property
    def continued(self) -> bool:
        return self.on_error is not None and self.on_error.then_continue

    def data(self) -> dict[str, Any]:
        """Return the step as it stands in the file."""
        data: dict[str, Any] = {} if self.id is None else {"id": self.id}
        if self.needs is not None:
            data["needs"] = self.needs
        if self.when is not None:
            data["when"] = self.when.text
        if self.loop is not None:
            data |= _loop_data(self.loop)
        data |= self.body
        if self.covers is not None:
            data["covers"] = list(self.covers)
        if self.repeat is not None:
            data |= {"while": self.repeat.condition.text, "at_most": self.repeat.at_most}
        if self.children:
            data[self.kind] = [child.data() for child in self.children]
        if self.on_error is not None:
            data["on_error"] = _handler_data(self.on_error)
        return data


@dataclass
class Written:
    """One playbook, and how often it uses each construct of the language."""

    id: str
    steps: list[WrittenStep]
    vars_fail: bool | None = None  # None: it has none
    on_failure: list[WrittenStep] = field(default_factory=list)
    finally_: list[WrittenStep] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # further keys at the top
    refuses_second: bool = False  # its `concurrency` refuses what can't run now
    used: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """Return the file."""
        inputs = {"tag": {"type": "string"}, "zero": {"type": "integer", "default": 0}}
        data: dict[str, Any] = {"id": self.id, **self.more, "inputs": inputs}
        if self.vars_fail is not None:
            data["vars"] = {"first": "{{ 1 + 1 }}", "second": "{{ 1 / inputs.zero }}" if self.vars_fail else "two"}
        data["steps"] = [step.data() for step in self.steps]
        for name, steps in (("on_failure", self.on_failure), ("finally", self.finally_)):
            if steps:
                data[name] = [step.data() for step in steps]
        if self.outputs:
            data["outputs"] = self.outputs
        return to_yaml(data)

    def walk(self) -> Iterator[WrittenStep]:
        """Give every step, handlers included."""
        for steps in (self.steps, self.on_failure, self.finally_):
            yield from _walk(steps)


def _walk(steps: list[WrittenStep]) -> Iterator[WrittenStep]:
    for step in steps:
        yield step
        yield from _walk(step.children)
        if step.on_error is not None and step.on_error.steps is not None:
            yield from _walk(step.on_error.steps)


def _loop_data(loop: Loop) -> dict[str, Any]:
    quoted = ", ".join(f"'{item}'" for item in loop.items)
    lists = {"": f"[{quoted}]", "doubles": f"[{quoted}, {quoted}]", "no list": "'x' if inputs.zero == 0 else ['x']"}
    data: dict[str, Any] = {"for_each": lists[loop.wrong], "as": loop.name}
    limits = ("concurrency", "batch", "max_failures", "stop_after")
    return data | {name: getattr(loop, name) for name in limits if getattr(loop, name) is not None}


def _handler_data(handler: Handler) -> Any:
    if handler.steps is None:
        return "continue"
    steps = [step.data() for step in handler.steps]
    return {"steps": steps, "then": "continue"} if handler.then_continue else steps


def to_yaml(value: Any, indent: int = 0) -> str:
    """Return plain data as YAML in block style, so that people can read a failure."""
    pad = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{_behind(entry, indent)}" for key, entry in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}- {to_yaml(entry, indent + 2).lstrip()}" for entry in value)
    return f"{pad}{json.dumps(value)}\n"


def _behind(value: Any, indent: int) -> str:
    if isinstance(value, list | dict) and value:
        if all(not isinstance(entry, list | dict) for entry in (value.values() if isinstance(value, dict) else value)):
            return f" {json.dumps(value)}\n"  # YAML 1.2 takes JSON as it is
        return "\n" + to_yaml(value, indent + 2)
    return f" {json.dumps(value)}\n"
