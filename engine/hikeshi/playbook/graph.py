"""A playbook as a Mermaid flowchart, https://mermaid.js.org/syntax/flowchart.html.

Rule of this file: no text of a playbook reaches the chart but through `_text`, so that no name can end a label, begin a
directive or bring HTML along. Node names are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    EventWait,
    Playbook,
    PlaybookStep,
    ReadWait,
    ReleaseStep,
    SetStep,
    Step,
    StepList,
    StopStep,
    WaitStep,
)

__all__ = ["mermaid"]

_LONGEST = 60


def mermaid(playbook: Playbook) -> str:
    """Return the flowchart: blocks are frames, approvals diamonds, handlers hang on dotted lines, loops say so."""
    chart = _Chart()
    chart.add('start(["' + _text(playbook.name) + '"])')
    ends = chart.steps(playbook.steps, ["start"])
    chart.add('done(["end"])')
    chart.link(ends, "done")
    for title, steps in (("on_failure", playbook.on_failure), ("finally", playbook.finally_)):
        if len(steps):
            chart.frame(title, steps, "start" if title == "on_failure" else "done", dotted=title == "on_failure")
    return "\n".join(["flowchart TD", *chart.lines]) + "\n"


@dataclass(slots=True)
class _Chart:
    """The lines of a chart under way."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    depth: int = 1

    def add(self, line: str) -> None:
        self.lines.append("  " * self.depth + line)

    def steps(self, steps: StepList, above: Sequence[str]) -> list[str]:
        """Draw a list; return the nodes that nothing in it waits for."""
        names: dict[str, str] = {}
        for step in steps:
            names[step.key] = self.step(step)
        for step in steps:
            before = [names[key] for key in step.after if key in names] or list(above)
            self.link(before, names[step.key], "" if step.when is None else step.when.text)
        return [names[step.key] for step in steps if not steps.dependents[step.key]]

    def step(self, step: Step) -> str:
        """Draw a step and what is inside of it; return its node."""
        self.count += 1
        name = f"n{self.count}"
        if isinstance(step, BlockStep):
            self.block(step, name)
        else:
            opening, closing = _FORMS.get(type(step), ("[", "]"))
            self.add(f'{name}{opening}"{_text(_label(step))}"{closing}')
        if step.on_error is not None and step.on_error.steps is not None:
            self.frame("if it fails", step.on_error.steps, name, dotted=True)
        return name

    def block(self, step: BlockStep, name: str) -> None:
        kind = "all at once" if step.children.parallel else "in order"
        title = f"{step.name or step.id} ({kind})" if step.name or step.id else kind
        self._inside(name, title + _loop_text(step), step.children)

    def frame(self, title: str, steps: StepList, owner: str, *, dotted: bool) -> None:
        """Draw a list of its own that hangs on `owner`."""
        self.count += 1
        name = f"n{self.count}"
        self._inside(name, title, steps)
        self.add(f"{owner} {'-.->' if dotted else '-->'} {name}")

    def _inside(self, name: str, title: str, steps: StepList) -> None:
        self.add(f'subgraph {name}["{_text(title)}"]')
        self.depth += 1
        self.steps(steps, ())
        self.depth -= 1
        self.add("end")

    def link(self, sources: Sequence[str], target: str, label: str = "") -> None:
        for source in sources:
            shown = f'|"{_text("when " + label)}"|' if label else ""
            self.add(f"{source} -->{shown} {target}")
        if label and not sources:  # the first step of a block has nothing to come from
            self.add(f'{target}_when>"{_text("when " + label)}"] -.- {target}')


_FORMS: dict[type, tuple[str, str]] = {
    ApproveStep: ("{", "}"),
    AskStep: ("[/", "/]"),
    WaitStep: ("([", "])"),
    PlaybookStep: ("[[", "]]"),
    StopStep: ("((", "))"),
}


def _label(step: Step) -> str:
    what = _what(step)
    named = step.name or step.id
    return (f"{named}: {what}" if named else what) + _loop_text(step)


def _what(step: Step) -> str:
    match step:
        case ActionStep(action=action):
            return action
        case PlaybookStep(playbook=playbook):
            return f"playbook {playbook}"
        case ApproveStep(by=by):
            return f"approval by {', '.join(by)}"
        case AskStep(by=by):
            return f"task for {', '.join(by)}"
        case SetStep(values=values):
            return f"set {', '.join(values)}"
        case ReleaseStep(targets=targets):
            return f"release {targets.text}"
        case StopStep(status=status):
            return f"stop, {status}"
        case WaitStep(wait=wait):
            return _what_wait(wait)
        case BlockStep():
            return "block"


def _what_wait(wait: object) -> str:
    match wait:
        case ReadWait(action=action, until=until):
            return f"wait for {action} until {until.text}"
        case EventWait(event=event):
            return f"wait for the event {event}"
        case float() | int():
            return f"wait {wait:g} s"
    return "wait"


def _loop_text(step: Step) -> str:
    loop = getattr(step, "loop", None)
    repeat = getattr(step, "repeat", None)
    if loop is not None:
        return f" ↻ for each {loop.name} in {loop.items.text}"
    return f" ↻ while {repeat.condition.text}" if repeat is not None else ""


def _text(text: str) -> str:
    """Return text that stands in a label as itself: everything but letters, digits and a few signs as a number."""
    shown = " ".join(text.split())
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return "".join(sign if sign.isalnum() or sign in _SAFE else f"#{ord(sign)};" for sign in shown)


_SAFE = frozenset(" .,_-/()=+*!?:'↻…")
