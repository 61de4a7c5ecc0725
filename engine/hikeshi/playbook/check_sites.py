"""Every expression and value of a playbook: what it is for, where it stands, and from where it looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hikeshi.playbook.expression import Expression
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    EventWait,
    Playbook,
    PlaybookStep,
    Position,
    ReadWait,
    ReleaseStep,
    SetStep,
    StopStep,
    Trigger,
    WaitStep,
)
from hikeshi.playbook.scope import Outline, Spot, Viewpoint
from hikeshi.playbook.template import LocatedExpression, Path, Template

__all__ = ["Site", "Use", "sites_of"]

Use: TypeAlias = Literal["value", "arguments", "condition", "list", "duration", "names", "text", "targets"]


@dataclass(frozen=True, slots=True)
class Site:
    """A bare expression or a value with expressions in it, `path` below the map that starts at `start`."""

    value: Expression | Template
    use: Use
    start: Position
    path: Path
    view: Viewpoint

    @property
    def key(self) -> str:
        return str(self.path[-1])

    @property
    def expressions(self) -> tuple[tuple[Expression, Path, int], ...]:
        """Return each expression with its path below the map, and where its text starts in the value's."""
        if isinstance(self.value, Expression):
            return ((self.value, self.path, 0),)
        return tuple(self.located(found) for found in self.value.expressions)

    def located(self, found: LocatedExpression) -> tuple[Expression, Path, int]:
        return (found.expression, (*self.path, *found.path), found.offset)


def sites_of(playbook: Playbook, outline: Outline) -> tuple[Site, ...]:
    """Return every site of a playbook, in the order of its text as far as that matters."""
    return (*_playbook_sites(playbook), *(site for spot in outline.spots for site in _step_sites(spot)))


def _playbook_sites(playbook: Playbook) -> Iterator[Site]:
    for name, value in playbook.vars.items():
        yield Site(value, "value", playbook.position, ("vars", name), Viewpoint())
    for name, value in playbook.outputs.items():
        yield Site(value, "value", playbook.position, ("outputs", name), Viewpoint(after_all=True))
    if playbook.concurrency is not None:
        before = Viewpoint(before_all=True)
        yield Site(playbook.concurrency.key, "text", playbook.position, ("concurrency", "key"), before)
    for trigger in playbook.triggers:
        yield from _trigger_sites(trigger)


def _trigger_sites(trigger: Trigger) -> Iterator[Site]:
    view = Viewpoint(extra=("event",))
    if trigger.when is not None:
        yield Site(trigger.when, "condition", trigger.position, ("when",), view)
    if trigger.dedupe is not None:
        yield Site(trigger.dedupe, "value", trigger.position, ("dedupe",), view)
    for name, value in trigger.inputs.items():
        yield Site(value, "value", trigger.position, ("inputs", name), view)
    arguments = trigger.source.get("arguments")
    if isinstance(arguments, Template):
        yield Site(arguments, "arguments", trigger.position, ("poll", "with"), Viewpoint())


def _step_sites(spot: Spot) -> Iterator[Site]:
    step = spot.step
    if step.when is not None:
        yield Site(step.when, "condition", step.position, ("when",), Viewpoint(spot, own_item=True))
    loop = getattr(step, "loop", None)
    if loop is not None:
        yield Site(loop.items, "list", step.position, ("for_each",), Viewpoint(spot))
    yield from _kind_sites(spot, Viewpoint(spot, own_item=True, own_when=True))


def _kind_sites(spot: Spot, view: Viewpoint) -> Iterator[Site]:
    step = spot.step
    at = step.position
    match step:
        case ActionStep():
            yield from _action_sites(step, spot, view)
        case PlaybookStep():
            yield Site(step.arguments, "arguments", at, ("with",), view)
        case BlockStep(repeat=repeat):
            if repeat is not None:
                inside = Viewpoint(spot, own_when=True, inside=True)
                yield Site(repeat.condition, "condition", at, ("while",), inside)
        case SetStep():
            for name, value in step.values.items():
                yield Site(value, "value", at, ("set", name), view)
        case StopStep(message=message):
            if message is not None:
                yield Site(message, "text", at, ("stop", "message"), view)
        case ApproveStep():
            yield Site(step.question, "text", at, ("approve",), view)
        case AskStep():
            yield Site(step.question, "text", at, ("ask",), view)
        case WaitStep(wait=wait):
            yield from _wait_sites(wait, at, view)
        case ReleaseStep():
            yield Site(step.targets, "targets", at, ("release",), view)


def _action_sites(step: ActionStep, spot: Spot, view: Viewpoint) -> Iterator[Site]:
    at = step.position
    yield Site(step.arguments, "arguments", at, ("with",), view)
    if step.hold is not None:
        yield Site(step.hold, "duration", at, ("hold",), view)
    if step.undo is not None and step.undo.arguments is not None:
        after = Viewpoint(spot, own_item=True, own_when=True, after_itself=True)
        yield Site(step.undo.arguments, "arguments", at, ("undo", "with"), after)
    if step.at is not None:
        yield Site(step.at, "names", at, ("at",), view)


def _wait_sites(wait: float | Template | ReadWait | EventWait, at: Position, view: Viewpoint) -> Iterator[Site]:
    match wait:
        case Template():
            yield Site(wait, "duration", at, ("wait",), view)
        case ReadWait():
            yield Site(wait.arguments, "arguments", at, ("wait", "with"), view)
            until = Viewpoint(view.spot, own_when=True, extra=("result",))
            yield Site(wait.until, "condition", at, ("wait", "until"), until)
        case EventWait(when=when):
            if when is not None:
                arrived = Viewpoint(view.spot, own_when=True, extra=("event",))
                yield Site(when, "condition", at, ("wait", "when"), arrived)
