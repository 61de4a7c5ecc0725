"""Checks of what steps and triggers give to actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hikeshi.capabilities import ActionSpec, Effect, UnknownAction
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_sites import Site
from hikeshi.playbook.inference import infer_template
from hikeshi.playbook.model import ActionStep, Position, ReadWait, WaitStep
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.shape import assignable, shape_of
from hikeshi.playbook.template import Literal, Part, Path, Template

__all__ = [
    "actions_exist",
    "arguments_are_known",
    "arguments_fit",
    "arguments_suffice",
    "parts_of",
    "polls_are_reads",
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
            position = context.places.value(call.start, call.path, 0)
            yield Problem("unknown-action", str(error), position, nearest(call.action, known))


def polls_are_reads(context: Context) -> Iterator[Problem]:
    """Actions that are repeated, and are no reads."""
    for call, spec in _known_calls(context):
        if call.must_read and spec.effect is not Effect.READ:
            message = f"only a read can be repeated here, and {spec.name} is a {spec.effect}"
            yield context.at_value("not-a-read", message, call.start, call.path)


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
            reason = _misfit(name, part, spec, call, context)
            if reason is not None:
                message = f"the argument {name!r} of {spec.name}: {reason}"
                yield context.at_value("wrong-argument", message, call.start, (*call.with_path, name), 0)


def _misfit(name: str, part: Part, spec: ActionSpec, call: Call, context: Context) -> str | None:
    parameter = spec.by_name.get(name)
    if parameter is None or call.site is None:
        return None
    shape, findings = infer_template(Template(part), context.names(call.site))
    if findings:
        return None  # reported as such
    reason = assignable(shape, shape_of(parameter.annotation))
    if reason is None and isinstance(part, Literal):
        reason = _refused(name, part.value, spec)
    return reason


def _refused(name: str, value: object, spec: ActionSpec) -> str | None:
    from pydantic import ValidationError

    try:
        spec.adapters[name].validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return None


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
