"""Checks of values: durations, defaults, holds, variables, approvals."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.capabilities import Effect
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.model import ActionStep, ApproveStep, AskStep, InputDeclaration, Position, SetStep
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.shape import NUMBER, STRING, ListShape, assignable, name_of, union
from hikeshi.playbook.template import Path
from hikeshi.playbook.values import coerce

__all__ = [
    "approvals_cover_steps",
    "defaults_fit",
    "durations_are_durations",
    "holds_are_on_changes",
    "holds_can_end",
    "instances_are_names",
    "variables_are_set_once",
]

_DURATION = union([STRING, NUMBER])
_NAMES = union([STRING, ListShape(STRING)])


def durations_are_durations(context: Context) -> Iterator[Problem]:
    """Expressions where a duration is needed."""
    for site in context.sites:
        if site.use == "duration":
            shape = context.shape(site)
            if assignable(shape, _DURATION) is not None:
                message = f"{site.key!r} must be a duration, and this is {name_of(shape)}"
                yield context.at_value("wrong-duration", message, site.start, site.path)


def instances_are_names(context: Context) -> Iterator[Problem]:
    """`at` with something else than names."""
    for site in context.sites:
        if site.path == ("at",):
            shape = context.shape(site)
            if assignable(shape, _NAMES) is not None:
                message = f"'at' must be the name of an instance or a list of names, and this is {name_of(shape)}"
                yield context.at_value("wrong-at", message, site.start, site.path)


def defaults_fit(context: Context) -> Iterator[Problem]:
    """Defaults that their own declaration refuses."""
    for name, declaration in context.playbook.inputs.items():
        yield from _default(declaration, context, context.playbook.position, ("inputs", name))
    for spot in context.outline.spots:
        if isinstance(spot.step, AskStep):
            for name, declaration in spot.step.form.items():
                yield from _default(declaration, context, spot.step.position, ("form", name))


def _default(declaration: InputDeclaration, context: Context, start: Position, path: Path) -> Iterator[Problem]:
    if declaration.default is None:
        return
    try:
        coerce(declaration.type, declaration.default, constraints=declaration.constraints)
    except ValueError as error:
        yield context.at_value("wrong-default", f"the default does not fit: {error}", start, (*path, "default"))


def variables_are_set_once(context: Context) -> Iterator[Problem]:
    """Variables that are set more than once."""
    first: dict[str, tuple[Position, Path]] = {
        name: (context.playbook.position, ("vars", name)) for name in context.playbook.vars
    }
    for spot in context.outline.spots:
        for name in spot.step.values if isinstance(spot.step, SetStep) else ():
            place = (spot.step.position, ("set", name))
            if first.setdefault(name, place) is not place:
                earlier = context.places.key(*first[name])
                message = f"the variable {name!r} is set twice, and a variable keeps its value; first at {earlier}"
                yield context.at_key("variable-twice", message, *place)


def holds_are_on_changes(context: Context) -> Iterator[Problem]:
    """`hold` and `undo` on what changes nothing."""
    for step in _actions(context):
        spec = context.spec(step.action)
        if spec is None or spec.effect is Effect.CHANGE:
            continue
        for key, value in (("hold", step.hold), ("undo", step.undo)):
            if value is not None:
                what = "reads" if spec.effect is Effect.READ else "tells people"
                message = f"{key!r} goes only with a change, and {spec.name} {what}"
                yield context.at_key("hold-without-change", message, step.position, (key,))


def holds_can_end(context: Context) -> Iterator[Problem]:
    """`hold` on a change that can't be undone."""
    for step in _actions(context):
        spec = context.spec(step.action)
        if spec is None or spec.effect is not Effect.CHANGE or step.hold is None:
            continue
        if step.undo is not None and step.undo.action is None:
            message = "'hold' ends by undoing the change, and this step says 'undo: none'"
        elif step.undo is None and spec.marks.undo is None:
            message = f"{spec.name} can't be undone, so it can't be held: {spec.marks.no_undo_because}"
        else:
            continue
        yield context.at_key("hold-without-inverse", message, step.position, ("hold",))


def approvals_cover_steps(context: Context) -> Iterator[Problem]:
    """`covers` with steps that are not there."""
    known = context.outline.by_id
    for spot in context.outline.spots:
        if not isinstance(spot.step, ApproveStep):
            continue
        for at, name in enumerate(spot.step.covers or ()):
            if name not in known:
                near = nearest(name, known)
                hint = f"; did you mean {near!r}?" if near is not None else ""
                position = context.places.value(spot.step.position, ("covers", at))
                yield Problem("unknown-cover", f"there is no step {name!r}{hint}", position, near)


def _actions(context: Context) -> Iterator[ActionStep]:
    return (spot.step for spot in context.outline.spots if isinstance(spot.step, ActionStep))
