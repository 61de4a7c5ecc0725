"""Checks of playbooks that run other playbooks, and of triggers that start them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hikeshi.playbook.check_arguments import parts_of
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_shapes import KnownPlaybooks, accepted_shape
from hikeshi.playbook.check_sites import Site
from hikeshi.playbook.inference import infer_template
from hikeshi.playbook.model import InputDeclaration, Playbook, PlaybookStep, Position
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.shape import assignable
from hikeshi.playbook.template import Literal, Part, Path, Template
from hikeshi.playbook.values import coerce

__all__ = ["inputs_are_known", "inputs_fit", "inputs_suffice", "nothing_recurs", "playbooks_exist"]


def playbooks_exist(context: Context) -> Iterator[Problem]:
    """Playbooks that are not there."""
    for step in _playbook_steps(context.playbook):
        known = {*context.library.ids(), context.playbook.id}
        if step.playbook not in known:
            near = nearest(step.playbook, sorted(known))
            hint = f"; did you mean {near!r}?" if near is not None else ""
            position = context.places.value(step.position, ("playbook",))
            yield Problem("unknown-playbook", f"there is no playbook {step.playbook!r}{hint}", position, near)


def nothing_recurs(context: Context) -> Iterator[Problem]:
    """Playbooks that run themselves, directly or through others."""
    own = context.playbook.id
    reported: set[str] = set()
    for step in _playbook_steps(context.playbook):
        cycle = [own, own] if step.playbook == own else _way_to(own, step.playbook, context.library)
        if cycle and step.playbook not in reported:
            reported.add(step.playbook)
            message = f"a playbook can't run itself: {' -> '.join(cycle)}"
            yield context.at_value("recursion", message, step.position, ("playbook",))


def _way_to(own: str, start: str, library: KnownPlaybooks) -> list[str]:
    """Return a way from `own` through `start` back to `own`, or nothing."""
    came_from: dict[str, str] = {start: own}
    open_ = [start]
    while open_:
        current = open_.pop(0)
        found = library.playbook(current)
        for step in _playbook_steps(found) if found is not None else ():
            if step.playbook == own:
                way = [own]
                while current != own:
                    way.append(current)
                    current = came_from[current]
                return [own, *reversed(way[1:]), own]
            if step.playbook not in came_from:
                came_from[step.playbook] = current
                open_.append(step.playbook)
    return []


def inputs_suffice(context: Context) -> Iterator[Problem]:
    """Inputs that another playbook needs and does not get."""
    for step, called, site in _calls(context):
        given = parts_of(step.arguments)
        for name, declaration in called.inputs.items():
            if declaration.required and name not in given:
                message = f"the playbook {called.id!r} needs the input {name!r}"
                yield context.at_key("missing-input", message, site.start, ("playbook",))
    for trigger in context.playbook.triggers:
        for name, declaration in context.playbook.inputs.items():
            if declaration.required and name not in trigger.inputs:
                message = f"the trigger {trigger.id!r} does not give the input {name!r}, which is required"
                yield context.at_key("missing-input", message, trigger.position, ("id",))


def inputs_are_known(context: Context) -> Iterator[Problem]:
    """Inputs that a playbook does not have."""
    for step, called, site in _calls(context):
        for name in parts_of(step.arguments):
            if name not in called.inputs:
                yield _unknown(name, called, context, site.start, ("with", name))
    for trigger in context.playbook.triggers:
        for name in trigger.inputs:
            if name not in context.playbook.inputs:
                yield _unknown(name, context.playbook, context, trigger.position, ("inputs", name))


def _unknown(name: str, called: Playbook, context: Context, start: Position, path: Path) -> Problem:
    near = nearest(name, called.inputs)
    hint = f"; did you mean {near!r}?" if near is not None else ""
    message = f"the playbook {called.id!r} has no input {name[:60]!r}{hint}"
    return Problem("unexpected-input", message, context.places.key(start, path), near)


def inputs_fit(context: Context) -> Iterator[Problem]:
    """Inputs of a type that the playbook does not take."""
    for step, called, site in _calls(context):
        yield from _misfits(parts_of(step.arguments), called, context, site)
    sites = {(site.start, site.path): site for site in context.sites}
    for trigger in context.playbook.triggers:
        for name, value in trigger.inputs.items():
            site = sites[trigger.position, ("inputs", name)]
            yield from _misfits({name: value.part}, context.playbook, context, site)


def _misfits(given: Mapping[str, Part], called: Playbook, context: Context, site: Site) -> Iterator[Problem]:
    for name, part in given.items():
        declaration = called.inputs.get(name)
        reason = None if declaration is None else _misfit(part, declaration, context, site)
        if reason is not None:
            path = site.path if site.path[0] == "inputs" else (*site.path, name)
            message = f"the input {name!r} of the playbook {called.id!r}: {reason}"
            yield context.at_value("wrong-input", message, site.start, path)


def _misfit(part: Part, declaration: InputDeclaration, context: Context, site: Site) -> str | None:
    if isinstance(part, Literal):
        try:
            coerce(declaration.type, part.value, constraints=declaration.constraints)
        except ValueError as error:
            return None if part.value is None and not declaration.required else str(error)
        return None
    shape, findings = infer_template(Template(part), context.names(site))
    return None if findings else assignable(shape, accepted_shape(declaration))


def _calls(context: Context) -> Iterator[tuple[PlaybookStep, Playbook, Site]]:
    for site in context.sites:
        step = None if site.view.spot is None else site.view.spot.step
        if isinstance(step, PlaybookStep) and site.use == "arguments":
            called = context.library.playbook(step.playbook)
            if called is not None:
                yield step, called, site


def _playbook_steps(playbook: Playbook) -> Iterator[PlaybookStep]:
    return (step for _, step in playbook.walk() if isinstance(step, PlaybookStep))
