"""Checks of what expressions read: does it exist, has it run by then, can it be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hikeshi.playbook.check_context import Context, Read
from hikeshi.playbook.expression import Expression
from hikeshi.playbook.model import ActionStep, SetStep
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.scope import Gap, Sight, Spot
from hikeshi.playbook.shape import NULL, MapShape, RecordShape, Shape, members_of, name_of, union

__all__ = [
    "expressions_work",
    "fields_exist",
    "inputs_exist",
    "names_exist",
    "not_inside_loops",
    "nothing_is_missing",
    "steps_exist",
    "steps_run_before",
    "variables_exist",
]

_OF_STEPS = ("steps", "status", "errors")
_NO_STEPS = "no step has run yet when this is computed"
_ELSEWHERE = {
    "error": "it is known only in the steps of 'on_error'; elsewhere read errors.<id>",
    "event": "it is known only in triggers and in waits for an event",
    "result": "it is known only in the 'until' of a wait",
    "item": "it is known only in a step with 'for_each' and inside of it",
    **dict.fromkeys(_OF_STEPS, _NO_STEPS),
}


def names_exist(context: Context) -> Iterator[Problem]:
    """Names that are not known here."""
    for read in context.reads:
        root, known = read.reference.root, context.names(read.site)
        if root in known:
            continue
        if root in _ELSEWHERE:
            yield context.at_read("unknown-name", f"{root!r} is not known here: {_ELSEWHERE[root]}", read)
            continue
        quotes = "; text stands in quotes of its own" if isinstance(read.site.value, Expression) else ""
        message = f"there is no name {root!r} here (names: {', '.join(known)}){quotes}"
        yield context.at_read("unknown-name", message, read, root, known)


def steps_exist(context: Context) -> Iterator[Problem]:
    """Steps that are read and are not there."""
    for read in _reads_of(context, _OF_STEPS):
        path, root = read.reference.path, read.reference.root
        if not path:
            message = f"{root!r} is read by the name of a step that is written out, as in {root}.find"
            yield context.at_read("unknown-step", message, read)
        elif path[0] not in context.outline.by_id:
            message = f"there is no step {path[0]!r}"
            yield context.at_read("unknown-step", message, read, path[0], context.outline.by_id)


def inputs_exist(context: Context) -> Iterator[Problem]:
    """Inputs that are read and not declared."""
    known = context.playbook.inputs
    for read in _reads_of(context, ("inputs",)):
        path = read.reference.path
        if path and path[0] not in known:
            yield context.at_read("unknown-input", f"there is no input {path[0]!r}", read, path[0], known)


def variables_exist(context: Context) -> Iterator[Problem]:
    """Variables that are read and never set."""
    known = context.shapes.variable_sources
    for read in _reads_of(context, ("vars",)):
        path = read.reference.path
        if path and path[0] not in known:
            yield context.at_read("unknown-variable", f"nothing sets the variable {path[0]!r}", read, path[0], known)


def fields_exist(context: Context) -> Iterator[Problem]:
    """Fields that a step's output does not have."""
    for read in _reads_of(context, ("steps",)):
        found = _missing_field(read, context)
        if found is not None:
            spot, shape, key = found
            message = f"{_giver(spot)} gives {_with_article(shape)}, which has no {key!r}"
            known = [name for member in members_of(shape) for name in getattr(member, "fields", ())]
            yield context.at_read("unknown-field", message, read, key, known)


def _missing_field(read: Read, context: Context) -> tuple[Spot, Shape, str] | None:
    """Return the step, the shape that lacks a field, and the field."""
    path = read.reference.path
    spot = context.outline.by_id.get(path[0]) if path else None
    if spot is None or _is_inside_loop(read, spot, context):
        return None
    shape = context.shapes.output(spot)
    for key in path[1:]:
        members = members_of(shape)
        if shape == NULL:
            return spot, shape, key
        if not all(isinstance(member, (RecordShape, MapShape)) for member in members):
            return None  # inference says what is wrong with anything else
        found = [inner for member in members if (inner := _field(member, key)) is not None]
        if not found:
            return spot, shape, key
        shape = union(found)
    return None


def _is_inside_loop(read: Read, spot: Spot, context: Context) -> bool:
    return context.outline.sight(read.site.view, spot).gap is Gap.INSIDE_LOOP


def _field(shape: Shape, key: str) -> Shape | None:
    if isinstance(shape, MapShape):
        return shape.of
    return shape.fields.get(key) if isinstance(shape, RecordShape) else None


def _giver(spot: Spot) -> str:
    return spot.step.action if isinstance(spot.step, ActionStep) and not spot.is_loop else f"the step {spot.label}"


def _with_article(shape: Shape) -> str:
    name = "nothing" if shape == NULL else name_of(shape)
    if name == "nothing" or name.startswith("the "):
        return name
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def expressions_work(context: Context) -> Iterator[Problem]:
    """Expressions that can't give anything, or not what is needed there."""
    broken = {_place(read) for read in context.reads if _is_broken(read, context)}
    for site in context.sites:
        for _, path, start, finding in context.findings(site):
            if (site.start, path, start) in broken:
                continue  # one mistake, one problem
            position = context.places.value(site.start, path, start + finding.offset)
            yield Problem("wrong-expression", finding.message, position, finding.suggestion)


def _place(read: Read) -> tuple[object, ...]:
    return (read.site.start, read.path, read.offset)


def _is_broken(read: Read, context: Context) -> bool:
    """Say whether another check reports what this reads."""
    root, path = read.reference.root, read.reference.path
    if root not in context.names(read.site):
        return True
    if root in _OF_STEPS:
        spot = context.outline.by_id.get(path[0]) if path else None
        if spot is None or _is_inside_loop(read, spot, context):
            return True
        return root == "steps" and _missing_field(read, context) is not None
    known: Iterable[str] = context.playbook.inputs if root == "inputs" else context.shapes.variable_sources
    return root in ("inputs", "vars") and bool(path) and path[0] not in known


def steps_run_before(context: Context) -> Iterator[Problem]:
    """What is read and does not surely run before."""
    for read, sight in _sights(context, Gap.NOT_BEFORE):
        yield context.at_read("not-before", _said(read, sight), read)
    order = list(context.playbook.vars)
    for read in _reads_of(context, ("vars",)):
        path, own = read.reference.path, read.site.path
        is_late = read.site.view.spot is None and own[0] == "vars" and path and path[0] in order
        if is_late and order.index(path[0]) >= order.index(str(own[1])):
            message = f"the variable {path[0]!r} is not computed yet: a variable reads only those above it"
            yield context.at_read("not-before", message, read)


def not_inside_loops(context: Context) -> Iterator[Problem]:
    """Steps and variables inside of a loop that are read from outside."""
    for read, sight in _sights(context, Gap.INSIDE_LOOP):
        yield context.at_read("inside-loop", _said(read, sight), read)


def nothing_is_missing(context: Context) -> Iterator[Problem]:
    """Steps that are read and may have given nothing."""
    for read, sight in _sights(context, Gap.MAYBE_MISSING):
        if read.reference.root in ("steps", "vars") and not read.reference.guarded and not sight.guarded:
            message = f"{_said(read, sight)}; give a 'default', or a 'when' to the step that reads it"
            yield context.at_read("maybe-missing", message, read)


def _said(read: Read, sight: Sight) -> str:
    return f"vars.{read.reference.path[0]}: {sight.why}" if read.reference.root == "vars" else sight.why


def _sights(context: Context, gap: Gap) -> Iterator[tuple[Read, Sight]]:
    for read in _reads_of(context, (*_OF_STEPS, "vars")):
        for spot in _targets(read, context):
            sight = context.outline.sight(read.site.view, spot)
            if sight.gap is gap:
                yield read, sight
            if sight.gap is not None:
                break


def _targets(read: Read, context: Context) -> Iterator[Spot]:
    """Give the steps that a reference needs: the one it names, and those it reads through a block's output."""
    path = read.reference.path
    if not path:
        return
    if read.reference.root == "vars":
        spot = _setter(context, path[0])
        if spot is not None and path[0] not in context.playbook.vars:
            yield spot
        return
    spot = context.outline.by_id.get(path[0])
    if spot is not None:
        yield spot
    if spot is not None and read.reference.root == "steps":
        yield from _children(spot, path[1:], context)


def _children(spot: Spot, path: tuple[str, ...], context: Context) -> Iterator[Spot]:
    for key in path:
        inner = context.outline.by_id.get(key)
        if spot.is_loop or spot.repeats or inner is None or inner.above is not spot or inner.role != "block":
            return
        spot = inner
        yield spot


def _setter(context: Context, name: str) -> Spot | None:
    setters = (spot for spot in context.outline.spots if isinstance(spot.step, SetStep) and name in spot.step.values)
    return next(setters, None)


def _reads_of(context: Context, roots: tuple[str, ...]) -> Iterator[Read]:
    """Give the references to some names, where these are known."""
    for read in context.reads:
        if read.reference.root in roots and read.reference.root in context.names(read.site):
            yield read
