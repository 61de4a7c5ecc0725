"""Arguments of an action: plain data into the types its signature declares, or an error in the author's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import ActionSpec, Effect, Entity
from hikeshi.connector.errors import Invalid
from hikeshi.playbook.unknown import Unknown, find_unknown

__all__ = ["EXPIRY", "owner_of", "plain_data", "typed_arguments", "unknown_arguments", "with_expiry"]

EXPIRY = "expires_in_s"
"""The argument by which a change says after how many seconds the product lifts it itself."""


def unknown_arguments(arguments: Mapping[str, Any]) -> list[str]:
    """Return, for a plan, a line for each argument that is not known."""
    found = ((name, find_unknown(value)) for name, value in arguments.items())
    return [f"{name} is not known yet: {unknown.why}" for name, unknown in found if unknown is not None]


def typed_arguments(spec: ActionSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return every argument in its declared type; null for one that may be left out means its default.

    Raises Invalid: the playbook's author is to mend it.
    """
    from pydantic import ValidationError

    typed: dict[str, Any] = {}
    for name, parameter in spec.by_name.items():
        raw = arguments.get(name)
        if isinstance(raw, Unknown):
            continue
        if raw is None and not parameter.required:
            typed[name] = parameter.default
            continue
        if raw is None:
            raise Invalid(f"{spec.name} needs the argument {name!r}")
        try:
            typed[name] = spec.adapters[name].validate_python(raw)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise Invalid(f"{spec.name}: {where}: {first['msg']}") from None
    _refuse_empty(spec, typed)
    return typed


def with_expiry(spec: ActionSpec, typed: dict[str, Any], hold_s: Any) -> dict[str, Any]:
    """Let the product itself lift a change when its hold is over, if it can: a lost engine then releases as well.

    `hold_s` is in seconds, or unknown, or null. What the playbook says itself counts more.
    """
    if spec.effect is not Effect.CHANGE or typed.get(EXPIRY, 0) is not None or not isinstance(hold_s, int | float):
        return typed
    return {**typed, EXPIRY: math.ceil(hold_s)}


def _refuse_empty(spec: ActionSpec, typed: Mapping[str, Any]) -> None:
    """An empty target never means everything."""
    if spec.target is not None and spec.target in typed and typed[spec.target] in ("", [], None):
        raise Invalid(f"{spec.name}: {spec.target!r} is empty, and an empty target never means everything")


def owner_of(spec: ActionSpec, typed: Mapping[str, Any]) -> str | None:
    """Return the instance that owns what the action is about, or None if nothing in it is owned.

    Raises Invalid if its parts belong to several instances.
    """
    owners: set[str] = set()
    for name, parameter in spec.by_name.items():
        if parameter.entity and typed.get(name) is not None:
            value = typed[name]
            entities: list[Entity] = list(value) if parameter.is_list else [value]
            owners.update(entity.connector for entity in entities)
    if len(owners) > 1:
        raise Invalid(f"{spec.name}: its parts belong to different connectors: {', '.join(sorted(owners))}")
    return owners.pop() if owners else None


def plain_data(value: Any) -> Any:
    """Return an entity, a state, or a list of them as plain data; anything else as it is."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [plain_data(entry) for entry in value]
    return value
