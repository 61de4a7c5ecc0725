"""What of a plan lasts: everything but what differs each time although nothing has happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hikeshi.capabilities.entities import DRIFTING
from hikeshi.playbook.unknown import Unknown

__all__ = ["is_as_known", "lasting_request", "lasting_state"]


def lasting_state(value: Any) -> Any:
    """Return plain data without the fields that change although nothing has happened, such as when a host was seen."""
    if isinstance(value, Mapping):
        return {key: lasting_state(entry) for key, entry in value.items() if key not in DRIFTING}
    return [lasting_state(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def lasting_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without the fields of its body that its connector declares as different each time."""
    return {**request, "body": _without(request["volatile"], request["body"])}


def is_as_known(planned: Any, actual: Any) -> bool:
    """Say whether a value is the one that was planned, as far as that was known."""
    if isinstance(planned, Unknown):
        return True
    if isinstance(planned, Mapping) and isinstance(actual, Mapping):
        names = {*planned, *actual} - DRIFTING
        return all(name in planned and name in actual and is_as_known(planned[name], actual[name]) for name in names)
    if isinstance(planned, list) and isinstance(actual, list):
        return len(planned) == len(actual) and all(map(is_as_known, planned, actual))
    return bool(planned == actual)


def _without(volatile: Sequence[str], body: Any) -> Any:
    if isinstance(body, Mapping):
        return {key: _without(volatile, value) for key, value in body.items() if key not in volatile}
    return [_without(volatile, entry) for entry in body] if isinstance(body, list) else body
