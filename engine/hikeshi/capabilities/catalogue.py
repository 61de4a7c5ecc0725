"""The catalogue: which actions exist, and which configured instances carry them out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import field

from hikeshi.capabilities.action import ActionSpec
from hikeshi.capabilities.routing import RoutingRule
from hikeshi.quick_dataclass import dataclass

__all__ = ["Catalogue", "Instance", "Route", "UnknownAction"]


class UnknownAction(LookupError):
    """No action of this name exists, or nothing that is configured carries it out. The message says what would help."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A configured connector: its name, product, and the verbs it supports with the indicator kinds each takes."""

    name: str
    product: str
    supported: Mapping[str, frozenset[str] | None]  # action name -> kinds, None for no limit


@dataclass(frozen=True, slots=True)
class Route:
    """Where an action goes: by the entity's owner, or to every one of `instances`."""

    spec: ActionSpec
    instances: tuple[str, ...]


@dataclass(slots=True)
class Catalogue:
    """Every action there is, by name; and the instances that support it."""

    specs: dict[str, ActionSpec] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    bindings: dict[str, tuple[str, ...]] = field(default_factory=dict)  # capability -> instance names, if limited
    rules: dict[str, tuple[RoutingRule, ...]] = field(default_factory=dict)  # capability -> its rules, in order
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)  # instance -> the words a project has for it

    def add(self, specs: Iterable[ActionSpec]) -> None:
        for spec in specs:
            self.specs[spec.name] = spec

    def spec(self, action: str) -> ActionSpec:
        """Return the action written as `capability.verb` or `instance.verb`.

        Raises UnknownAction, with the nearest names, if there is none: the playbook's author is to mend it.
        """
        head, _, verb = action.partition(".")
        if head in self.instances:
            return self._spec_of_instance(self.instances[head], verb, action)
        spec = self.specs.get(action)
        if spec is None:
            raise UnknownAction(f"there is no action {action!r}{self._nearest(action, self.specs)}")
        return spec

    def route(self, action: str) -> Route:
        """Return where an action goes in this project.

        Raises UnknownAction if nothing that is configured supports it: never a silent skip.
        """
        spec = self.spec(action)
        head = action.partition(".")[0]
        if head in self.instances:
            return Route(spec, (head,))
        wanted = self._underlying(spec)
        names = self.bindings.get(spec.capability, tuple(self.instances))
        able = tuple(name for name in names if name in self.instances and wanted in self.instances[name].supported)
        if not able:
            raise UnknownAction(self._nobody(spec, names))
        return Route(spec, able)

    def lookup(self, spec: ActionSpec) -> str | None:
        """Return the parameter by which an action looks something up, or None for an action that is no lookup."""
        named = {f"{each.capability}.{each.marks.one_of}" for each in self.specs.values() if each.marks.one_of}
        if spec.marks.one_of is None and spec.name not in named:
            return None
        return spec.parameters[0].name if spec.parameters else None

    def kinds(self, instance: str, spec: ActionSpec) -> frozenset[str] | None:
        """Return the indicator kinds an instance takes for an action, or None for no limit."""
        return self.instances[instance].supported.get(self._underlying(spec))

    def _spec_of_instance(self, instance: Instance, verb: str, action: str) -> ActionSpec:
        for name in instance.supported:
            if name.partition(".")[2] == verb:
                return self.specs[name]
        one_of = [spec for spec in self.specs.values() if spec.verb == verb and spec.marks.one_of]
        if one_of and self._underlying(one_of[0]) in instance.supported:
            return one_of[0]
        known = [f"{instance.name}.{name.partition('.')[2]}" for name in instance.supported]
        raise UnknownAction(f"{instance.name} ({instance.product}) has no {verb!r}{self._nearest(action, known)}")

    def _underlying(self, spec: ActionSpec) -> str:
        return f"{spec.capability}.{spec.marks.one_of}" if spec.marks.one_of else spec.name

    def _nobody(self, spec: ActionSpec, names: tuple[str, ...]) -> str:
        if spec.capability in self.bindings and names:
            return f"{spec.name}: none of the connectors bound to {spec.capability} ({', '.join(names)}) supports it"
        return (
            f"{spec.name}: no connector for {spec.capability!r} that supports it is configured; "
            f"add one under 'connectors' in hikeshi.yaml ('hikeshi connectors' shows what there is)"
        )

    @staticmethod
    def _nearest(word: str, known: Iterable[str]) -> str:
        near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
        return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
