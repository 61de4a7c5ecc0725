"""Actions: the verbs of capabilities, declared by a decorated method signature and nothing else."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints, overload

from hikeshi.capabilities.effect import Effect, Recovery
from hikeshi.capabilities.entities import Entity
from hikeshi.quick_dataclass import dataclass

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["ActionSpec", "Parameter", "change", "marks_of", "notify", "read", "supports"]

F = TypeVar("F", bound=Callable[..., Any])
Done = Callable[[Any, Any], bool]
_MARKS = "__hikeshi_action__"
_KINDS = "__hikeshi_kinds__"


@dataclass(frozen=True, slots=True)
class Marks:
    """What a decorator says of an action; the rest is read from the signature."""

    effect: Effect
    target: str | None = None
    undo: str | None = None
    no_undo_because: str | None = None
    verify: str | None = None
    done: Done | None = None
    settle_s: float = 30.0
    recovery: Recovery = Recovery.MANUAL
    one_of: str | None = None


@dataclass(frozen=True)
class Parameter:
    """One argument of an action; `annotation` is a resolved type."""

    name: str
    annotation: Any
    required: bool
    default: Any = None

    @cached_property
    def entity(self) -> type[Entity] | None:
        """Return the entity class this parameter takes, alone or in a list, or None."""
        return _entity_in(self.annotation)

    @cached_property
    def is_list(self) -> bool:
        return get_origin(self.annotation) in (list, tuple)


@dataclass(frozen=True)
class ActionSpec:
    """One action, `capability.verb`, as everything else in Hikeshi sees it.

    `output` is the resolved return type. A change sends and returns nothing: its output is what `verify` reads back.
    """

    name: str
    doc: str
    marks: Marks
    parameters: tuple[Parameter, ...]
    output: Any
    owner_class: type
    kinds: frozenset[str] | None = field(default=None)

    @property
    def capability(self) -> str:
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]

    @property
    def effect(self) -> Effect:
        return self.marks.effect

    @property
    def recovery(self) -> Recovery:
        return self.marks.recovery

    @property
    def target(self) -> str | None:
        return self.marks.target

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def owner(self) -> str | None:
        """Return the parameter whose entity says which instance the action goes to, or None."""
        return next((parameter.name for parameter in self.parameters if parameter.entity), None)

    @property
    def batched(self) -> bool:
        """Say whether one call changes many targets, each recorded and held singly."""
        return self.target is not None and self.by_name[self.target].is_list

    @cached_property
    def adapters(self) -> Mapping[str, TypeAdapter[Any]]:
        from pydantic import TypeAdapter

        return {parameter.name: TypeAdapter(parameter.annotation) for parameter in self.parameters}

    @cached_property
    def output_adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter(self.output)


@overload
def read(method: F) -> F: ...
@overload
def read(*, one_of: str) -> Callable[[F], F]: ...
def read(method: Callable[..., Any] | None = None, *, one_of: str | None = None) -> Any:
    """Mark an action that changes nothing.

    With `one_of`, the engine asks that list-returning verb of every bound instance instead, and insists on exactly one
    match: none and several are errors, and several are all named.
    """
    marks = Marks(Effect.READ, recovery=Recovery.IDEMPOTENT, one_of=one_of)
    return _marked(marks) if method is None else _marked(marks)(method)


def notify(method: F) -> F:
    """Mark an action that tells people something. After a crash it is repeated, and marked as possibly repeated."""
    return _marked(Marks(Effect.NOTIFY, recovery=Recovery.REPEAT))(method)


def change(
    *,
    target: str,
    undo: str | None,
    because: str | None = None,
    verify: str | None = None,
    done: Done | None = None,
    settle_s: float = 30.0,
    recovery: Recovery = Recovery.MANUAL,
) -> Callable[[F], F]:
    """Mark an action that alters a system.

    `target` names the parameter that says what is altered. `undo` names the inverse verb; None needs `because`, the
    reason for people. `verify` names the verb that reads the state back, `done(state, prior)` judges what it read and
    `settle_s` is how long, in seconds, the product may take to get there.
    """
    if undo is None and not because:
        raise TypeError("an action that cannot be undone says why: change(undo=None, because='...')")
    if (verify is None) != (done is None):
        raise TypeError("verify and done belong together")
    if recovery is Recovery.VERIFIABLE and verify is None:
        raise TypeError("recovery VERIFIABLE needs verify and done")
    marks = Marks(Effect.CHANGE, target, undo, because, verify, done, settle_s, recovery)
    return _marked(marks)


def supports(*, kinds: set[str]) -> Callable[[F], F]:
    """Say which kinds of indicator a connector's method accepts. The engine sends it no others."""

    def mark(method: F) -> F:
        setattr(method, _KINDS, frozenset(kinds))
        return method

    return mark


def marks_of(method: object) -> Marks | None:
    """Return what the decorator said, or None if the method is not an action."""
    return getattr(method, _MARKS, None)


def kinds_of(method: object) -> frozenset[str] | None:
    """Return the indicator kinds a method accepts, or None for no limit."""
    return getattr(method, _KINDS, None)


def build_spec(capability: str, owner_class: type, verb: str) -> ActionSpec:
    """Derive an action from its method: parameters and output from the signature, the rest from its marks."""
    method = getattr(owner_class, verb)
    marks = marks_of(method) or Marks(Effect.CHANGE, no_undo_because="its effect is not declared")
    hints = _hints(method)
    parameters = tuple(
        Parameter(name, hints.get(name, Any), parameter.default is inspect.Parameter.empty, _default(parameter))
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    )
    output = hints.get("return", Any)
    if marks.verify is not None:
        output = _hints(getattr(owner_class, marks.verify)).get("return", Any)
    doc = inspect.getdoc(method) or ""
    return ActionSpec(f"{capability}.{verb}", doc, marks, parameters, output, owner_class, kinds_of(method))


def _marked(marks: Marks) -> Callable[[F], F]:
    def mark(method: F) -> F:
        setattr(method, _MARKS, marks)
        return method

    return mark


def _default(parameter: inspect.Parameter) -> Any:
    return None if parameter.default is inspect.Parameter.empty else parameter.default


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(method, vars(sys.modules[method.__module__]), include_extras=True)


def _entity_in(annotation: Any) -> type[Entity] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Entity):
            return candidate
    return None
