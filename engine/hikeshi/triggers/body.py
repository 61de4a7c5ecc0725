"""Bodies of requests from outside: one object of JSON, or the fields of a form, read as strictly as can be.

The rule: nobody has said anything about these bytes but that somebody with the right key sent them.
"""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qsl

from hikeshi.playbook.unknown import to_json

__all__ = ["Malformed", "form_of", "object_of"]

_MOST_FIELDS = 1000


class Malformed(ValueError):
    """The bytes are not what they have to be."""


def object_of(body: bytes | str) -> dict[str, Any]:
    """Return the object that a body is.

    Raises Malformed for anything else: other encodings than UTF-8, a key that is given twice, NaN and numbers that have
    no value, more than 100 nested levels.
    """
    try:
        text = body.decode("utf-8") if isinstance(body, bytes) else body
        value = json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_no_constant, parse_float=_float, parse_int=_int
        )
        if not isinstance(value, dict):
            raise Malformed("it is no object")
        to_json(value)  # what is nested too deep to be stored
    except (ValueError, RecursionError):
        raise Malformed("the body is no object of JSON in UTF-8") from None
    return value


def form_of(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises Malformed, also for a field that is given twice."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise Malformed("the body is no form") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a field of the form is given twice")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number without a value")
    return value


def _int(text: str) -> int:
    if len(text) > 40:  # no product has such a number, and no expression works with it
        raise ValueError("a number of too many digits")
    return int(text)
