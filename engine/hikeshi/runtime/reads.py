"""Reads: through the gate with fewer stops. Lookups ask every bound instance and merge; one that fails fails it all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import ActionSpec, Effect, Entity
from hikeshi.connector import Connector
from hikeshi.connector.door import Door
from hikeshi.connector.errors import Ambiguous, Invalid, NotFound
from hikeshi.runtime.call import call
from hikeshi.runtime.instances import Instances

__all__ = ["exactly_one", "read", "read_one"]


async def read(
    spec: ActionSpec,
    typed: Mapping[str, Any],
    instances: Instances,
    names: tuple[str, ...],
    mode: Any,
    timeout_s: float | None = None,
) -> Any:
    """Return what the read gives, in its declared type.

    Raises ConnectorError; NotFound and Ambiguous from a lookup that is to find exactly one.
    """
    verb = spec.marks.one_of or spec.verb
    answers = await asyncio.gather(
        *(read_one(spec, verb, typed, instances.get(name), mode, timeout_s) for name in names)
    )
    if spec.marks.one_of:
        return exactly_one(spec, typed, [entity for answer in answers for entity in answer], names)
    if len(answers) == 1:
        return answers[0]
    if all(isinstance(answer, list) for answer in answers):
        return [entry for answer in answers for entry in answer]
    raise Invalid(f"{spec.name} would ask {', '.join(names)} and cannot merge their answers; name one with 'at'")


async def read_one(
    spec: ActionSpec, verb: str, typed: Mapping[str, Any], connector: Connector, mode: Any, timeout_s: float | None
) -> Any:
    """Ask one instance. Raises ConnectorError, whatever the connector raised."""
    return await call(connector, verb, typed, Door(mode=mode, effect=Effect.READ, action=spec.name), timeout_s)


def exactly_one(spec: ActionSpec, typed: Mapping[str, Any], found: list[Any], names: tuple[str, ...]) -> Any:
    """Return the only match. Raises NotFound, or Ambiguous that lists every candidate: never the first match."""
    what = " ".join(str(value) for value in typed.values() if isinstance(value, str))
    kind = getattr(spec.output, "entity_kind", "match")
    if not found:
        raise NotFound(f"no {kind} {_short(what)!r} in {', '.join(names)}")
    if len(found) > 1:
        raise Ambiguous(
            f"{len(found)} {kind}s are called {_short(what)!r}, and exactly one is meant: "
            + "; ".join(_describe(entity) for entity in found),
            candidates=[entity.model_dump(mode="json") for entity in found],
        )
    return found[0]


def _describe(entity: Entity) -> str:
    details = [f"id {entity.id}", f"in {entity.connector}"]
    details += [str(value) for key in ("site", "email") if (value := getattr(entity, key, None))]
    details += list(getattr(entity, "ips", ())[:2])
    return f"{entity.name} ({', '.join(details)})"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
