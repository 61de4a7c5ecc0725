"""What each step gives and each name stands for, as shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Protocol

from hikeshi.capabilities import ActionSpec, Catalogue, Effect, UnknownAction
from hikeshi.playbook.expression import Expression
from hikeshi.playbook.inference import Names, infer, infer_list, infer_template
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    InputDeclaration,
    Playbook,
    PlaybookStep,
    ReadWait,
    ReleaseStep,
    SetStep,
    Step,
    StopStep,
    WaitStep,
)
from hikeshi.playbook.scope import Outline, Spot, Viewpoint
from hikeshi.playbook.shape import (
    ANY,
    NULL,
    STRING,
    ListShape,
    RecordShape,
    Shape,
    StringShape,
    optional,
    record,
    shape_of,
    union,
)
from hikeshi.playbook.template import Template
from hikeshi.playbook.values import Constraints, shape_for

__all__ = ["KnownPlaybooks", "Shapes", "accepted_shape", "gives_outcomes", "spec_of"]

STEP_STATUSES = ("waiting", "running", "succeeded", "skipped", "failed", "blocked", "cancelled", "unknown")

_MAX_CHAIN = 20

_ERROR = record({"kind": STRING, "message": STRING}, "error")
_STATUS = StringShape(enum=STEP_STATUSES)
_DATETIME = StringShape("datetime")
_RUN = record({"id": STRING, "started_at": _DATETIME, "actor": STRING}, "run")
_DECISION = StringShape(enum=("approved", "rejected"))
_APPROVAL = record(
    {"decision": _DECISION, "by": ListShape(STRING), "at": _DATETIME, "note": optional(STRING)}, "approval"
)


class KnownPlaybooks(Protocol):
    """The playbooks that a step can run."""

    def playbook(self, playbook_id: str) -> Playbook | None:
        """Return a playbook, or None if there is none of this ID or it has problems of its own."""

    def ids(self) -> Iterable[str]:
        """Return the IDs of all playbooks, those with problems included."""


def spec_of(action: str, catalogue: Catalogue) -> ActionSpec | None:
    """Return what is known of an action, or None if there is none; that is reported elsewhere."""
    try:
        return catalogue.spec(action)
    except UnknownAction:
        return None


def gives_outcomes(spec: ActionSpec) -> bool:
    """Say whether an action goes to several instances and gives one outcome for each, even for one instance."""
    return spec.owner is None and spec.effect is not Effect.READ


def accepted_shape(declaration: InputDeclaration) -> Shape:
    """Return the shape of what an input takes; what it becomes may be narrower."""
    shape = _accepted(declaration.type, declaration.constraints)
    return shape if declaration.required else optional(shape)


def _accepted(type_name: str, constraints: Constraints) -> Shape:
    if type_name == "list" and constraints.items is not None:
        return ListShape(_accepted(constraints.items.type_name, constraints.items.constraints))
    shape = shape_for(type_name, constraints)
    return union([shape, STRING]) if type_name in ("indicator", "duration") else shape


def _declared_shape(declaration: InputDeclaration) -> Shape:
    shape = shape_for(declaration.type, declaration.constraints)
    return shape if declaration.required or declaration.default is not None else optional(shape)


def _outcome(item: Shape, output: Shape) -> Shape:
    fields = {"item": item, "status": _STATUS, "output": optional(output), "error": optional(_ERROR)}
    return RecordShape("outcome", fields, required=frozenset(fields))


class Shapes:
    """The shapes of one playbook. Each is computed when somebody asks, once."""

    def __init__(
        self,
        playbook: Playbook,
        outline: Outline,
        catalogue: Catalogue,
        library: KnownPlaybooks,
        under_way: frozenset[str],
    ) -> None:
        self._playbook = playbook
        self._outline = outline
        self._catalogue = catalogue
        self._library = library
        self._under_way = under_way | {playbook.id}  # playbooks that run each other end here
        self._outputs: dict[Spot, Shape] = {}
        self._items: dict[Spot, Shape] = {}
        self._variables: dict[str, Shape] = {}
        self._depth = 0
        self._inputs = record({name: _declared_shape(entry) for name, entry in playbook.inputs.items()}, "inputs")

    def names(self, view: Viewpoint) -> Names:
        """Return what an expression can name, as seen from a viewpoint."""
        if view.before_all:
            return {"inputs": self._inputs}
        names: dict[str, Shape | _ByName] = {"inputs": self._inputs, "vars": _Variables(self)}
        if view.spot is not None or view.after_all:
            names["steps"] = _Outputs(self)
            names["status"], names["errors"] = self._statuses, self._errors
        names["run"] = _RUN
        names["now"] = _DATETIME
        if view.in_handler:
            names["error"] = _ERROR
        if "event" in view.extra:
            names["event"] = ANY
        if "result" in view.extra:
            names["result"] = self._result(view)
        for name, loop in view.loop_names:
            names[name] = self.item(loop)
        return names

    def output(self, spot: Spot) -> Shape:
        """Return the shape of `steps.<id>`."""
        if spot not in self._outputs:
            self._outputs[spot] = ANY  # for what depends on itself, which is reported elsewhere
            self._outputs[spot] = self._bounded(lambda: self._looped(spot) if spot.is_loop else self._once(spot))
        return self._outputs[spot]

    def item(self, spot: Spot) -> Shape:
        """Return the shape of a loop's item."""
        if spot not in self._items:
            self._items[spot] = ANY  # the same
            self._items[spot] = self._bounded(lambda: self._item(spot))
        return self._items[spot]

    def variable(self, name: str) -> Shape:
        """Return the shape of a variable. Raises KeyError if nothing sets it."""
        if name not in self._variables:
            value, view = self.variable_sources[name]
            self._variables[name] = ANY  # the same
            self._variables[name] = self._bounded(lambda: self.of_value(value, self.names(view)))
        return self._variables[name]

    def _bounded(self, compute: Callable[[], Shape]) -> Shape:
        """Bound the recursion: in long chains of steps that are read before they run, nothing is known."""
        if self._depth > _MAX_CHAIN:
            return ANY
        self._depth += 1
        try:
            return compute()
        finally:
            self._depth -= 1

    def _item(self, spot: Spot) -> Shape:
        loop = getattr(spot.step, "loop")  # noqa: B009  only asked of loops
        item, _ = infer_list(loop.items, self.names(Viewpoint(spot)))
        return item if loop.batch is None else ListShape(item)

    def outputs(self) -> Shape:
        """Return the shape of the playbook's outputs."""
        names = self.names(Viewpoint(after_all=True))
        return record({name: self.of_value(value, names) for name, value in self._playbook.outputs.items()})

    @cached_property
    def variable_sources(self) -> Mapping[str, tuple[Expression | Template, Viewpoint]]:
        """Return what sets each variable, and from where that looks; the first one if there are several."""
        found: dict[str, tuple[Expression | Template, Viewpoint]] = {}
        for name, value in self._playbook.vars.items():
            found[name] = (value, Viewpoint())
        for spot in self._outline.spots:
            if isinstance(spot.step, SetStep):
                view = Viewpoint(spot, own_item=True, own_when=True)
                for name, expression in spot.step.values.items():
                    found.setdefault(name, (expression, view))
        return found

    @cached_property
    def _statuses(self) -> Shape:
        return record(dict.fromkeys(self._outline.by_id, _STATUS), "status")

    @cached_property
    def _errors(self) -> Shape:
        return record(dict.fromkeys(self._outline.by_id, optional(_ERROR)), "errors")

    def step_output(self, name: str) -> Shape:
        """Return the shape of a step's output by ID. Raises KeyError if there is none."""
        return self.output(self._outline.by_id[name])

    def step_ids(self) -> Iterable[str]:
        return self._outline.by_id

    @staticmethod
    def of_value(value: Expression | Template, names: Names) -> Shape:
        return infer(value, names)[0] if isinstance(value, Expression) else infer_template(value, names)[0]

    def _once(self, spot: Spot) -> Shape:
        step = spot.step
        match step:
            case ActionStep():
                return self._of_action(step)
            case PlaybookStep():
                return self._of_playbook(step)
            case BlockStep():
                return self._of_block(spot)
            case SetStep():
                return record({name: self.variable(name) for name in step.values})
            case AskStep():
                return record({name: _declared_shape(entry) for name, entry in step.form.items()})
            case _:
                return self._of_others(step)

    def _of_others(self, step: Step) -> Shape:
        match step:
            case ApproveStep():
                return _APPROVAL
            case ReleaseStep():
                return ListShape(_outcome(ANY, ANY))
            case WaitStep(wait=ReadWait(action=action)):
                spec = spec_of(action, self._catalogue)
                return ANY if spec is None else shape_of(spec.output)
            case WaitStep(wait=wait):
                return NULL if isinstance(wait, (int, float, Template)) else ANY
            case StopStep():
                return NULL
        return ANY

    def _of_action(self, step: ActionStep) -> Shape:
        spec = spec_of(step.action, self._catalogue)
        if spec is None:
            return ANY
        output = shape_of(spec.output)
        return ListShape(_outcome(STRING, output)) if gives_outcomes(spec) else output

    def _of_playbook(self, step: PlaybookStep) -> Shape:
        found = None if step.playbook in self._under_way else self._library.playbook(step.playbook)
        if found is None:
            return ANY
        outline = Outline(found)
        shapes = Shapes(found, outline, self._catalogue, self._library, self._under_way).outputs()
        assert isinstance(shapes, RecordShape)
        return record(shapes.fields, f"the output of {found.id!r}")

    def _of_block(self, spot: Spot) -> Shape:
        children = (inner for inner in self._outline.spots if inner.above is spot and inner.role == "block")
        return record({inner.step.id: self.output(inner) for inner in children if inner.step.id is not None})

    def _looped(self, spot: Spot) -> Shape:
        loop = getattr(spot.step, "loop")  # noqa: B009  only asked of loops
        if loop.batch is not None and isinstance(spot.step, ActionStep):
            return ListShape(_outcome(ANY, ANY))  # one outcome for each entry; what it gives depends on the product
        return ListShape(_outcome(self.item(spot), self._once(spot)))

    def _result(self, view: Viewpoint) -> Shape:
        return ANY if view.spot is None else self._once(view.spot)


class _Outputs:
    """`steps`."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def get(self, name: str) -> Shape:
        return self._shapes.step_output(name)

    def names(self) -> Iterable[str]:
        return self._shapes.step_ids()


class _Variables:
    """`vars`."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def get(self, name: str) -> Shape:
        return self._shapes.variable(name)

    def names(self) -> Iterable[str]:
        return self._shapes.variable_sources


_ByName = _Outputs | _Variables
