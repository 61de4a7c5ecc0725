"""Reading what a product answered: an answer that is not of the documented form is Invalid, never "nothing there"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hikeshi.connector.door import current_door
from hikeshi.connector.errors import Applied, Invalid
from hikeshi.connector.response import Response

__all__ = ["json_list", "json_object", "objects_under", "said_in", "understood"]

_SAID_MOST = 300  # letters
_OBJECTS = frozenset({dict})


def json_object(response: Response) -> dict[str, Any]:
    """Return the JSON object that an answer holds. Raises Invalid if it holds anything else."""
    body = response.json()
    if not isinstance(body, dict):
        raise _other(response, "object")
    return body


def json_list(response: Response) -> list[Any]:
    """Return the JSON list that an answer holds. Raises Invalid if it holds anything else."""
    body = response.json()
    if not isinstance(body, list):
        raise _other(response, "list")
    return body


def objects_under(response: Response, key: str) -> list[dict[str, Any]]:
    """Return the list of objects under a key of the answer; null is an empty list.

    Raises Invalid if the key is not there: an answer without it says nothing about what exists.
    """
    body = json_object(response)
    if key not in body:
        raise Invalid(f"{response.where}: the answer has no {key!r}", applied=_applied())
    found = body[key] if body[key] is not None else []
    if not isinstance(found, list) or not _OBJECTS.issuperset(map(type, found)):
        raise Invalid(f"{response.where}: {key!r} is not a list of objects", applied=_applied())
    return found


def said_in(response: Response, *fields: str) -> str:
    """Return what a product says of an error, from the first of these fields that holds a text; "" if none does.

    For the `detail` of `error_of_status`: an answer that is no JSON object says nothing.
    """
    try:
        body = json_object(response)
    except Invalid:
        return ""
    said = next((body[field] for field in fields if isinstance(body.get(field), str)), "")
    return " ".join(said.split())[:_SAID_MOST]


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Turn what goes wrong while an answer is taken apart into Invalid; `where` is who answered what."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise Invalid(f"{where}: the answer has an unexpected form ({type(exc).__name__})", applied=_applied()) from exc


def _applied() -> Applied:
    """Say whether the action under way can have had its effect: not while it only reads what it needs to know."""
    door = current_door()
    return Applied.MAYBE if door is not None and door.sent else Applied.NO


def _other(response: Response, wanted: str) -> Invalid:
    return Invalid(f"{response.where}: the answer is not a JSON {wanted}", applied=_applied())
