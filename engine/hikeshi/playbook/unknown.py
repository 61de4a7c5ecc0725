"""Values that are not there: what a dry run cannot know, and what is stored elsewhere because it is large.

Rule of this file: an `Unknown` never becomes a decided value. It has no truth, and text from outside that looks like
a stored unknown is stored in a wrapper, so that it comes back as the data it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from sys import intern
from typing import Any, NoReturn, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Value: TypeAlias = "bool | int | float | str | Unknown | Stored | list[Value] | dict[str, Value] | None"

TAG = "$hikeshi"
MAX_DEPTH = 100
"""How deep lists and maps may be nested in a value that the engine works on."""

SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
"""What holds nothing else. Most of every value are such, and they are passed on without a call of their own."""

_TEXT: frozenset[type] = frozenset({str})
_MAP: frozenset[type] = frozenset({dict})
_NONE: frozenset[type] = frozenset()  # below the lowest level even a scalar is too deep, and is looked at


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that a plan cannot know: what it would be (`shape_name`, for display), and why it is not known."""

    shape_name: str
    why: str

    def __bool__(self) -> NoReturn:
        raise TypeError(f"an unknown {self.shape_name} is neither true nor false: {self.why}")

    def __str__(self) -> str:
        return f"<unknown {self.shape_name}>"

    def named(self, shape_name: str) -> Unknown:
        """Return what something of another shape becomes that was derived from this."""
        return Unknown(shape_name, self.why)


@dataclass(frozen=True, slots=True)
class Stored:
    """A value kept elsewhere by the SHA-256 of its JSON form, of so many bytes. It has to be loaded to be read."""

    sha256: str
    size_bytes: int


def are_flat(entries: list[Any]) -> bool:
    """Say whether all entries are maps of scalars that are stored as they are.

    Long lists nearly always are such, and a hundred thousand maps are looked through sooner all at once.
    """
    return (
        _MAP.issuperset(map(type, entries))
        and SCALARS.issuperset(map(type, chain.from_iterable(map(dict.values, entries))))
        and TAG not in (keys := set(chain.from_iterable(entries)))
        and _TEXT.issuperset(map(type, keys))
    )


def find_unknown(value: object) -> Unknown | None:
    """Return the first Unknown anywhere in `value`, or None. Raises ValueError if it is nested too deep."""
    if isinstance(value, Unknown):
        return value
    if not isinstance(value, (list, dict)):
        return None
    if isinstance(value, list) and are_flat(value):
        return None
    level: list[list[object] | dict[object, object]] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for container in level:
            below.extend(container.values() if isinstance(container, dict) else container)
        for entry in below:
            if isinstance(entry, Unknown):
                return entry
        level = [entry for entry in below if isinstance(entry, (list, dict))]
        if not level:
            return None
    raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")


def to_json(value: object) -> JSON:
    """Return the JSON form of a value that may contain Unknown.

    Maps that have the key "$hikeshi" themselves are wrapped. Raises ValueError for anything that is not plain data, and
    for more than 100 nested levels.
    """
    return _encode(value, 0)


def from_json(data: JSON) -> Value:
    """Return the value that `to_json` encoded. Raises ValueError for anything `to_json` does not write."""
    return _decode(data, 0)


def _encode(value: object, depth: int) -> JSON:
    if depth > MAX_DEPTH:
        raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    plain = SCALARS if depth < MAX_DEPTH else _NONE
    if isinstance(value, dict):
        if plain.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value)) and TAG not in value:
            return value  # most maps are such, and a run may store a hundred thousand of them
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} of a map is not text")
        encoded: dict[str, JSON] = {
            key: entry if type(entry) in plain else _encode(entry, depth + 1) for key, entry in value.items()
        }
        return {TAG: "data", "value": encoded} if TAG in encoded else encoded
    if isinstance(value, list):
        if depth < MAX_DEPTH - 1 and are_flat(value):
            return value
        return [entry if type(entry) in plain else _encode(entry, depth + 1) for entry in value]
    if isinstance(value, Unknown):
        return {TAG: "unknown", "of": value.shape_name, "why": value.why}
    if isinstance(value, Stored):
        return {TAG: "stored", "sha256": value.sha256, "bytes": value.size_bytes}
    raise ValueError(f"a {type(value).__name__} is not plain data")


def _decode(data: Any, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")
    plain = SCALARS if depth < MAX_DEPTH else _NONE
    if isinstance(data, list):
        if len(data) > 100 and depth < MAX_DEPTH - 1 and are_flat(data):
            return data  # the same few keys are shared already, being of one text
        return [entry if type(entry) in plain else _decode(entry, depth + 1) for entry in data]
    if not isinstance(data, dict):
        scalar: Value = data
        return scalar
    if TAG not in data:
        # The same few keys stand in every answer of a product, and a run may keep a hundred thousand answers.
        return {
            intern(key): entry if type(entry) in plain else _decode(entry, depth + 1) for key, entry in data.items()
        }
    match data:
        case {"$hikeshi": "unknown", "of": str(of), "why": str(why), **rest} if not rest:
            return Unknown(of, why)
        case {"$hikeshi": "stored", "sha256": str(sha256), "bytes": int(size_bytes), **rest} if not rest:
            return Stored(sha256, size_bytes)
        case {"$hikeshi": "data", "value": dict(inner), **rest} if not rest:
            return {key: _decode(entry, depth + 1) for key, entry in inner.items()}
    raise ValueError(f"a stored map has the key {TAG!r} but is neither an unknown nor wrapped data")
