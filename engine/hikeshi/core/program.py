"""What a run executes: the playbooks it pinned and where its actions go. Fixed for the life of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from hikeshi.capabilities import Catalogue, Effect, UnknownAction
from hikeshi.capabilities.routing import RoutingRule
from hikeshi.playbook.model import ActionStep, Playbook, ReadWait, Step, WaitStep
from hikeshi.quick_dataclass import dataclass

__all__ = ["Program", "Routing", "pin_routes"]


@dataclass(frozen=True, slots=True)
class Routing:
    """Where one action goes: to the owner of its target, or to each instance that takes the indicator's kind."""

    effect: Effect
    fan_out: bool
    target: str | None
    batched: bool
    instances: Mapping[str, frozenset[str] | None]
    owner: str | None = None  # the argument whose entity says which instance it goes to
    lookup: str | None = None  # the argument that something is looked up by
    rules: tuple[RoutingRule, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # a tag -> the instances that have it

    def to_json(self) -> dict[str, Any]:
        """Return plain data for RunStarted."""
        kinds = {name: None if taken is None else sorted(taken) for name, taken in self.instances.items()}
        return {
            "effect": self.effect.value,
            "fan_out": self.fan_out,
            "target": self.target,
            "batched": self.batched,
            "instances": kinds,
            **({"owner": self.owner} if self.owner else {}),
            **({"lookup": self.lookup} if self.lookup else {}),
            **({"rules": [rule.to_json() for rule in self.rules]} if self.rules else {}),
            **({"tags": {tag: list(names) for tag, names in self.tags.items()}} if self.tags else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Routing:
        kinds = {name: None if taken is None else frozenset(taken) for name, taken in data["instances"].items()}
        return cls(
            Effect(data["effect"]),
            data["fan_out"],
            data["target"],
            data["batched"],
            kinds,
            data.get("owner"),
            data.get("lookup"),
            tuple(RoutingRule.from_json(rule) for rule in data.get("rules", ())),
            {tag: tuple(names) for tag, names in data.get("tags", {}).items()},
        )


@dataclass(frozen=True, slots=True)
class Program:
    """The playbooks of a run by ID, and the ID of the one that was started."""

    main: str
    playbooks: Mapping[str, Playbook]

    @property
    def root(self) -> Playbook:
        return self.playbooks[self.main]


def pin_routes(program: Program, catalogue: Catalogue) -> dict[str, Routing]:
    """Return the routing of every action that the program can call. Raises UnknownAction if one has nowhere to go."""
    routes: dict[str, Routing] = {}
    for playbook in program.playbooks.values():
        for _, step in playbook.walk():
            for action in _actions_of(step):
                needed = not (isinstance(step, ActionStep) and step.does_without(action))
                if action not in routes or (needed and not routes[action].instances):
                    routes[action] = _routing(action, catalogue, needed=needed)
    return routes


def _actions_of(step: Step) -> Iterator[str]:
    match step:
        case ActionStep(action=action, undo=undo):
            yield action
            if undo is not None and undo.action is not None:
                yield undo.action
        case WaitStep(wait=ReadWait(action=action)):
            yield action


def _routing(action: str, catalogue: Catalogue, *, needed: bool) -> Routing:
    spec = catalogue.spec(action)
    try:
        names = catalogue.route(action).instances
    except UnknownAction:
        if needed:
            raise
        names = ()
    return Routing(
        effect=spec.effect,
        fan_out=spec.owner is None and spec.effect is not Effect.READ,
        target=spec.target,
        batched=spec.batched,
        instances={name: catalogue.kinds(name, spec) for name in names},
        owner=spec.owner,
        lookup=catalogue.lookup(spec),
        rules=catalogue.rules.get(spec.capability, ()),
        tags=_tagged(names, catalogue),
    )


def _tagged(names: Iterable[str], catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    given = {name: catalogue.tags.get(name, ()) for name in names}
    tags = sorted({tag for words in given.values() for tag in words})
    return {tag: tuple(name for name, words in given.items() if tag in words) for tag in tags}
