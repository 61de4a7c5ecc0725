"""What a change is aimed at: one thing with a stable name, for its key, its hold and the people who read of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import ActionSpec, Entity, Indicator
from hikeshi.quick_dataclass import dataclass

__all__ = ["Target", "action_key", "targets_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `value` is the argument itself, `identity` is unique over all products, `label` is for people."""

    value: Any
    identity: str
    label: str

    def to_json(self) -> dict[str, str]:
        return {"identity": self.identity, "label": self.label}


def targets_of(spec: ActionSpec, arguments: Mapping[str, Any]) -> list[Target]:
    """Return the targets of a call: one, or one for each entry of a batch.

    What else the call is about (the group a user is taken out of) belongs to the identity too.
    """
    if spec.target is None:
        return []
    value = arguments[spec.target]
    others = [arguments[name] for name, p in spec.by_name.items() if p.entity and name != spec.target]
    further = "".join(f"/{_identity(other)}" for other in others if other is not None)
    labels = "".join(f" / {_label(other)}" for other in others if other is not None)
    entries = list(value) if spec.batched else [value]
    return [Target(entry, _identity(entry) + further, _label(entry) + labels) for entry in entries]


def action_key(run: str, path: str, identity: str) -> str:
    """Return the idempotency key of one effect: the same for each retry, another for each deliberate new run."""
    return hashlib.sha256(f"{run}\0{path}\0{identity}".encode()).hexdigest()[:32]


def _identity(value: Any) -> str:
    if isinstance(value, Entity):
        return f"{value.connector}:{value.entity_kind}:{value.id}"
    if isinstance(value, Indicator):
        return f"{value.kind}:{value.value}"
    return f"text:{value}"


def _label(value: Any) -> str:
    if isinstance(value, Entity):
        return value.name
    if isinstance(value, Indicator):
        return value.value
    return str(value)
