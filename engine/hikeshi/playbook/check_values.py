"""Checks of values: durations, texts, targets, defaults, variables, holds."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.capabilities import Effect
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_sites import Site
from hikeshi.playbook.durations import parse_duration
from hikeshi.playbook.functions import INDICATOR
from hikeshi.playbook.inference import infer
from hikeshi.playbook.model import ActionStep, AskStep, InputDeclaration, Position, SetStep
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.shape import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    ListShape,
    Shape,
    assignable,
    members_of,
    name_of,
    shape_of,
    union,
)
from hikeshi.playbook.template import Path, Template, Text
from hikeshi.playbook.values import coerce

__all__ = [
    "defaults_fit",
    "durations_are_durations",
    "holds_are_on_changes",
    "holds_can_end",
    "instances_are_names",
    "releases_have_targets",
    "texts_are_texts",
    "undoing_changes_something",
    "variables_are_set_once",
]

_DURATION = union([STRING, NUMBER])
_NAMES = union([STRING, ListShape(STRING)])
_TEXT = union([STRING, NUMBER, BOOLEAN])


def durations_are_durations(context: Context) -> Iterator[Problem]:
    """Expressions where a duration is needed."""
    for site in _sites(context, "duration"):
        reason = _no_duration(site, context)
        if reason is not None:
            message = f"{site.key!r} must be a duration, {reason}"
            yield context.at_value("wrong-duration", message, site.start, site.path)


def _no_duration(site: Site, context: Context) -> str | None:
    shape = context.shape(site)
    if assignable(shape, _DURATION) is not None:
        return f"and this is {name_of(shape)}"
    example = _example(site, context)
    try:
        parse_duration("1s" if example is None else example)
    except ValueError as error:
        return f"and with a number in it this is none: {error}"
    return None


def _example(site: Site, context: Context) -> str | None:
    """Return a text with 1 in place of its expressions, if they all give whole numbers."""
    part = site.value.part if isinstance(site.value, Template) else None
    if not isinstance(part, Text):
        return None
    names = context.names(site)
    whole = all(isinstance(piece, str) or infer(piece.expression, names)[0] == INTEGER for piece in part.pieces)
    return "".join(piece if isinstance(piece, str) else "1" for piece in part.pieces) if whole else None


def instances_are_names(context: Context) -> Iterator[Problem]:
    """`at` with something else than names."""
    for site in _sites(context, "names"):
        shape = context.shape(site)
        if assignable(shape, _NAMES) is not None:
            message = f"'at' must be the name of an instance or a list of names, and this is {name_of(shape)}"
            yield context.at_value("wrong-at", message, site.start, site.path)


def texts_are_texts(context: Context) -> Iterator[Problem]:
    """Lists, maps and nothing, where people or other runs read a text."""
    for site in _sites(context, "text"):
        shape = context.shape(site)
        if assignable(shape, _TEXT) is not None:
            message = f"{site.key!r} must be a text, and this is {name_of(shape)}; filters such as 'join' make one"
            yield context.at_value("wrong-text", message, site.start, site.path)


def releases_have_targets(context: Context) -> Iterator[Problem]:
    """`release` of something that no change is ever aimed at."""
    sites = list(_sites(context, "targets"))
    possible = [INDICATOR, *_aims(context)] if sites else []
    for site in sites:
        shape = context.shape(site)
        if not _is_target(shape, possible):
            message = (
                f"'release' needs targets: an entity, an indicator or a list of them, and this is {name_of(shape)}; "
                "what a text names is looked up first"
            )
            yield context.at_value("wrong-target", message, site.start, site.path)


def _aims(context: Context) -> Iterator[Shape]:
    """Give what the changes of this catalogue are aimed at."""
    for spec in context.catalogue.specs.values():
        if spec.effect is Effect.CHANGE and spec.target is not None:
            shape = shape_of(spec.by_name[spec.target].annotation)
            yield shape.of if isinstance(shape, ListShape) else shape


def _is_target(shape: Shape, possible: list[Shape]) -> bool:
    """Say whether a value may be a target, or a list of them; nothing is none."""
    return all(
        any(assignable(entry, target) is None for target in possible)
        for member in members_of(shape)
        for entry in members_of(member.of if isinstance(member, ListShape) else member)
    )


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


def undoing_changes_something(context: Context) -> Iterator[Problem]:
    """`undo` by an action that changes nothing."""
    for step in _actions(context):
        name = None if step.undo is None else step.undo.action
        spec = None if name is None else context.spec(name)
        if spec is not None and spec.effect is not Effect.CHANGE:
            what = "only reads" if spec.effect is Effect.READ else "only tells people"
            message = f"a change is undone by another change, and {spec.name} {what}"
            yield context.at_value("undo-without-change", message, step.position, ("undo", "action"))


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


def _sites(context: Context, use: str) -> Iterator[Site]:
    return (site for site in context.sites if site.use == use)


def _actions(context: Context) -> Iterator[ActionStep]:
    return (spot.step for spot in context.outline.spots if isinstance(spot.step, ActionStep))
