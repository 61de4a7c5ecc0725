"""Checks of what steps and triggers give to actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hikeshi.capabilities import ActionSpec, Effect, UnknownAction
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_sites import Site
from hikeshi.playbook.inference import infer_template
from hikeshi.playbook.model import ActionStep, Position, ReadWait, WaitStep
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.shape import (
    LIST,
    Shape,
    assignable,
    contains_entity,
    members_of,
    name_of,
    shape_of,
    without_null,
)
from hikeshi.playbook.template import Literal, Part, Path, Template

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "actions_exist",
    "arguments_are_known",
    "arguments_fit",
    "arguments_suffice",
    "parts_of",
    "polls_are_reads",
    "polls_give_lists",
]


@dataclass(frozen=True, slots=True)
class Call:
    """One place where a playbook names an action; `path` leads to the action, `with_path` to its arguments."""

    action: str
    start: Position
    path: Path
    site: Site | None
    must_read: bool = False

    @property
    def with_path(self) -> Path:
        return (*self.path[:-1], "with")


def calls_of(context: Context) -> Iterator[Call]:
    """Give every place where the playbook names an action."""
    sites = {(site.start, site.path): site for site in context.sites if site.use == "arguments"}

    def call(action: str, start: Position, *path: str, must_read: bool = False) -> Call:
        return Call(action, start, path, sites.get((start, (*path[:-1], "with"))), must_read)

    for spot in context.outline.spots:
        step = spot.step
        if isinstance(step, ActionStep):
            yield call(step.action, step.position, "action")
            if step.undo is not None and step.undo.action is not None:
                yield call(step.undo.action, step.position, "undo", "action")
        elif isinstance(step, WaitStep) and isinstance(step.wait, ReadWait):
            yield call(step.wait.action, step.position, "wait", "action", must_read=True)
    for trigger in context.playbook.triggers:
        if trigger.kind == "poll":
            yield call(trigger.source["action"], trigger.position, "poll", "action", must_read=True)


def actions_exist(context: Context) -> Iterator[Problem]:
    """Actions that are not there."""
    for call in calls_of(context):
        try:
            context.catalogue.spec(call.action)
        except UnknownAction as error:
            known = [*context.catalogue.specs]
            position = context.places.value(call.start, call.path)
            yield Problem("unknown-action", str(error), position, nearest(call.action, known))


def polls_are_reads(context: Context) -> Iterator[Problem]:
    """Actions that are repeated, and are no reads."""
    for call, spec in _known_calls(context):
        if call.must_read and spec.effect is not Effect.READ:
            message = f"only a read can be repeated here, and {spec.name} is a {spec.effect}"
            yield context.at_value("not-a-read", message, call.start, call.path)


def polls_give_lists(context: Context) -> Iterator[Problem]:
    """Polls of a read that gives no list, so that nothing in it could be new."""
    for call, spec in _known_calls(context):
        if call.path[0] == "poll" and spec.effect is Effect.READ:
            shape = shape_of(spec.output)
            if assignable(shape, LIST) is not None:
                message = f"each new item of a poll is an event, and {spec.name} gives no list but {name_of(shape)}"
                yield context.at_value("poll-without-list", message, call.start, call.path)


def arguments_suffice(context: Context) -> Iterator[Problem]:
    """Arguments that are needed and not given."""
    for call, spec in _known_calls(context):
        given = _parts(call)
        for parameter in spec.parameters:
            if parameter.required and parameter.name not in given:
                message = f"{spec.name} needs the argument {parameter.name!r}"
                yield context.at_key("missing-argument", message, call.start, call.path)


def arguments_are_known(context: Context) -> Iterator[Problem]:
    """Arguments that the action does not have."""
    for call, spec in _known_calls(context):
        for name in _parts(call):
            if name not in spec.by_name:
                near = nearest(name, spec.by_name)
                hint = f"; did you mean {near!r}?" if near is not None else f" (arguments: {', '.join(spec.by_name)})"
                message = f"{spec.name} has no argument {name[:60]!r}{hint}"
                yield Problem(
                    "unknown-argument", message, context.places.key(call.start, (*call.with_path, name)), near
                )


def arguments_fit(context: Context) -> Iterator[Problem]:
    """Arguments of a type that the action does not take."""
    for call, spec in _known_calls(context):
        for name, part in _parts(call).items():
            if name not in spec.by_name or call.site is None:
                continue
            shape, findings = infer_template(Template(part), context.names(call.site))
            wanted = shape_of(spec.by_name[name].annotation)
            reason = None if findings else _misfit(part, shape, wanted, spec.adapters[name])
            if reason is not None:
                near = _nearest_word(part, wanted)
                hint = f"; did you mean {near!r}?" if near is not None else ""
                message = f"the argument {name!r} of {spec.name}: {reason}{hint}"
                yield Problem(
                    "wrong-argument", message, context.places.value(call.start, (*call.with_path, name)), near
                )


def _misfit(part: Part, shape: Shape, wanted: Shape, adapter: TypeAdapter[Any]) -> str | None:
    reason = assignable(shape, wanted)
    if reason is not None:  # it says more if null is not offered besides
        reason = assignable(shape, without_null(wanted)) or reason
    if isinstance(part, Literal) and not contains_entity(wanted):
        return _refused(part.value, adapter) or reason
    return reason


def _refused(value: object, adapter: TypeAdapter[Any]) -> str | None:
    """Return why the type itself refuses a value that is written out: it knows more than shapes do."""
    from pydantic import ValidationError

    try:
        adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return None


def _nearest_word(part: Part, wanted: Shape) -> str | None:
    words = [word for member in members_of(wanted) for word in getattr(member, "enum", None) or ()]
    return nearest(part.value, words) if isinstance(part, Literal) and isinstance(part.value, str) else None


def _known_calls(context: Context) -> Iterator[tuple[Call, ActionSpec]]:
    for call in calls_of(context):
        spec = context.spec(call.action)
        if spec is not None:
            yield call, spec


def _parts(call: Call) -> Mapping[str, Part]:
    return {} if call.site is None or not isinstance(call.site.value, Template) else parts_of(call.site.value)


def parts_of(arguments: Template) -> Mapping[str, Part]:
    """Return the arguments of a map by name."""
    part = arguments.part
    if isinstance(part, Literal) and isinstance(part.value, dict):
        return {name: Literal(value) for name, value in part.value.items()}
    return part if isinstance(part, dict) else {}
