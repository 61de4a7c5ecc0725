"""What has become of a target that is held: as the change left it, as it was before, or as somebody else made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from hikeshi.capabilities import ActionSpec, build_spec
from hikeshi.connector.errors import ConnectorError
from hikeshi.runtime.ledger import Hold

__all__ = ["ChangedSince", "Standing", "check_unchanged", "in_words", "standing_of", "verb_of"]

# A product that tells how long something still lasts gives another moment with each reading.
_SAME_MOMENT_S = 120.0


class Standing(StrEnum):
    """How the target of a hold is now."""

    HELD = "held"  # as the change left it
    RELEASED = "released"  # as it was before
    CHANGED = "changed"  # neither


class ChangedSince(ConnectorError):
    """Somebody else changed the target since; a person has to decide what it is to be."""

    kind = "changed"


_spec_of = cache(build_spec)  # reads signatures, and is asked for the same few verbs


def verb_of(spec: ActionSpec, name: str) -> ActionSpec:
    """Return another verb of the capability, or the connector, that an action belongs to."""
    return _spec_of(spec.capability, spec.owner_class, name)


def standing_of(hold: Hold, spec: ActionSpec, state: Any, plain: Any) -> Standing:
    """Judge a state that was read of the target of a hold; `spec` is the action that opened the hold.

    `plain` is the state as plain data, without secrets, as `hold.state` is.
    """
    if hold.state is not None and _alike(plain, hold.state):
        return Standing.HELD
    inverse = None if spec.marks.undo is None else verb_of(spec, spec.marks.undo)
    if plain == hold.prior or (inverse is not None and inverse.marks.done is not None and _is(inverse, state)):
        return Standing.RELEASED
    if hold.state is None and spec.marks.done is not None and _is(spec, state):
        return Standing.HELD  # what exactly it brought about was not recorded
    return Standing.CHANGED


def check_unchanged(hold: Hold, inverse: ActionSpec, state: Any, plain: Any) -> None:
    """Raise ChangedSince if a hold is to be undone by its declared inverse, and somebody else changed its target."""
    capability, _, verb = hold.action.partition(".")
    opener = verb_of(inverse, verb) if capability == inverse.capability else None
    if opener is None or inverse.marks.verify is None or opener.marks.verify != inverse.marks.verify:
        return  # the playbook names another way to undo it, which reads something else
    if standing_of(hold, opener, state, plain) is Standing.CHANGED:
        raise ChangedSince(
            f"{hold.label}: somebody else changed it since: it is {in_words(plain)}, and {hold.action} left it"
            f" {in_words(hold.state)}. A person has to decide; to undo it all the same:"
            f" hikeshi undo {hold.run} --step '{hold.path}' --override"
        )


def _is(spec: ActionSpec, state: Any) -> bool:
    assert spec.marks.done is not None
    return spec.marks.done(state, state)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, str) and isinstance(other, str) and one != other:
        try:
            apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
        except (ValueError, TypeError):
            return False
        return abs(apart.total_seconds()) <= _SAME_MOMENT_S
    return bool(one == other)


def in_words(state: Any) -> str:
    """Return a state for people: its fields, but for the names of what it is the state of."""
    if isinstance(state, Mapping):
        return ", ".join(
            f"{key}={'none' if value is None else value}"
            for key, value in state.items()
            if key not in ("connector", "kind", "value") and not key.endswith("_id")
        )
    return "not recorded" if state is None else str(state)
