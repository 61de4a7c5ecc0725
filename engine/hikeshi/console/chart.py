"""A run as a Mermaid flowchart: every step with what has become of it, those of the playbooks that it runs as well.

Rule of this file: no text reaches the chart but through `label`, so that no name can end a label, begin a directive or
bring markup along. Nodes are numbers, and classes are statuses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hikeshi.console.marks import SIGNS
from hikeshi.playbook.model import ActionStep, ApproveStep, AskStep, BlockStep, PlaybookStep, StopStep, WaitStep

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.playbook.model import Playbook, Step, StepList

__all__ = ["MOST_NODES", "label", "run_chart"]

MOST_NODES = 120
"""So many are drawn; a larger run is read in the table."""
_MOST_INSIDE = 16  # playbooks that a run calls are drawn with their steps if all of it is no more than that
_LONGEST = 40
_DEEPEST = 4
_SAFE = frozenset(" .,_-/()=+*!?:'↻…✓✕○◷▶⊘–‖●→")


def label(text: str) -> str:
    """Return text that stands in a label as itself: everything but letters, digits and a few signs as a number."""
    shown = " ".join(text.split())
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return "".join(sign if sign.isalnum() or sign in _SAFE else f"#{ord(sign)};" for sign in shown)


def run_chart(state: RunState, waiting: Collection[str] = ()) -> str | None:
    """Return the flowchart of a run as it stands, or None for one that is too large.

    The steps at `waiting` wait for people.
    """
    main = state.program.playbooks[state.program.main]
    statuses = {path: node.status.value for path, node in state.nodes.items()}
    statuses.update((path, "waiting") for path in waiting if path in statuses)
    return playbooks_chart(main, state.program.playbooks, statuses)


def playbooks_chart(main: Playbook, playbooks: Mapping[str, Playbook], statuses: Mapping[str, str]) -> str | None:
    """Return the flowchart of a playbook with the statuses of its steps, by their paths."""
    for chart in (_Chart(playbooks, statuses), _Chart({}, statuses)):
        chart.add(f'start(["{label(main.name)}"])')
        ends = chart.playbook(main, "", ["start"], 0)
        chart.add('done(["●"])')
        chart.link(ends, "done")
        if chart.count <= _MOST_INSIDE:
            break
    return None if chart.count > MOST_NODES else "\n".join(["flowchart TD", *chart.lines]) + "\n"


@dataclass(slots=True)
class _Chart:
    """The lines of a chart under way."""

    playbooks: Mapping[str, Playbook]
    statuses: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)

    def link(self, sources: Sequence[str], target: str) -> None:
        for source in sources:
            self.add(f"{source} --> {target}")

    def playbook(self, playbook: Playbook, prefix: str, above: Sequence[str], depth: int) -> list[str]:
        """Draw the steps of a playbook, and what it does at its end if that has begun."""
        ends = self.steps(playbook.steps, prefix, above, depth)
        for role, steps in (("on_failure", playbook.on_failure), ("finally", playbook.finally_)):
            inner = f"{prefix}{role}."
            if len(steps) and any(path.startswith(inner) for path in self.statuses):
                ends = self.frame(role, steps, inner, ends or above, depth)
        return ends

    def steps(self, steps: StepList, prefix: str, above: Sequence[str], depth: int) -> list[str]:
        """Draw a list; return the nodes that nothing in it waits for."""
        names: dict[str, str] = {}
        for step in steps:
            names[step.key] = self.step(step, prefix, depth)
        for step in steps:
            self.link([names[key] for key in step.after if key in names] or list(above), names[step.key])
        return [names[step.key] for step in steps if not steps.dependents[step.key]]

    def step(self, step: Step, prefix: str, depth: int) -> str:
        """Draw a step and what is inside of it; return its node."""
        path = f"{prefix}{step.key}"
        inner = self.playbooks.get(step.playbook) if isinstance(step, PlaybookStep) else None
        name = self._name()
        if isinstance(step, BlockStep):
            self._inside(name, path, step, step.children, f"{path}.", depth)
        elif inner is not None and depth < _DEEPEST and getattr(step, "loop", None) is None:
            self._inside(name, path, step, inner.steps, f"{path}.", depth + 1)
        else:
            opening, closing = _FORMS.get(type(step), ("[", "]"))
            self.add(f'{name}{opening}"{self._label(step, path)}"{closing}')
        self._class(name, path)
        handler = step.on_error.steps if step.on_error is not None else None
        if handler is not None and any(each.startswith(f"{path}.on_error.") for each in self.statuses):
            self.frame("on_error", handler, f"{path}.on_error.", [name], depth)
        return name

    def frame(self, title: str, steps: StepList, prefix: str, above: Sequence[str], depth: int) -> list[str]:
        """Draw a list of its own below others."""
        name = self._name()
        self.add(f'subgraph {name}["{label(title)}"]')
        self.steps(steps, prefix, (), depth)
        self.add("end")
        self.link(above, name)
        return [name]

    def _inside(self, name: str, path: str, step: Step, steps: StepList, prefix: str, depth: int) -> None:
        self.add(f'subgraph {name}["{self._label(step, path)}"]')
        self.add("direction TB")
        self.steps(steps, prefix, (), depth)
        self.add("end")

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _label(self, step: Step, path: str) -> str:
        sign = SIGNS.get(self.statuses.get(path, ""), ("", ""))[0]
        loop = " ↻" if getattr(step, "loop", None) is not None or getattr(step, "repeat", None) is not None else ""
        what = step.action if isinstance(step, ActionStep) and not step.name else step.label
        return label(f"{sign} {what}{loop}".strip())

    def _class(self, name: str, path: str) -> None:
        status = self.statuses.get(path, "")
        if status in SIGNS:
            self.add(f"class {name} is-{SIGNS[status][1]}")


_FORMS: dict[type, tuple[str, str]] = {
    ApproveStep: ("{{", "}}"),
    AskStep: ("[/", "/]"),
    WaitStep: ("([", "])"),
    PlaybookStep: ("[[", "]]"),
    StopStep: ("((", "))"),
}
