"""The types of inputs and form fields: checking a value from outside, and normalising it once.

Rule of this file: the declared type decides, never the content. Text stays text whatever it looks like; only
`from_text`, for the command line, reads numbers and lists from text, because there everything is text.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from hikeshi.playbook import indicator_text, patterns
from hikeshi.playbook import shape as shapes
from hikeshi.playbook.durations import parse_duration
from hikeshi.playbook.functions import INDICATOR
from hikeshi.playbook.plain_data import MAX_INTEGER_BITS, MAX_ITEMS, describe, equal, hint
from hikeshi.playbook.shape import Shape, StringShape
from hikeshi.playbook.unknown import JSON, to_json

MAX_TEXT = 1024 * 1024
MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a declaration demands besides the type. Lengths count characters, items or keys."""

    enum: tuple[JSON, ...] | None = None
    pattern: str | None = None
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    items: Items | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """What the items of a list are."""

    type_name: str
    constraints: Constraints = Constraints()


NONE = Constraints()


def _text(raw: object, limit: int = MAX_TEXT) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"it must be text, and is {describe(raw)}")
    if len(raw) > limit:
        raise ValueError(f"it has more than {limit} characters")
    if not raw.isascii() and any("\ud800" <= character <= "\udfff" for character in raw):
        raise ValueError("it has half of a surrogate pair, so it is not text")
    return str(raw)


def _short(raw: object) -> str:
    return _text(raw, indicator_text.MAX_INDICATOR).strip()


def _integer(raw: object) -> JSON:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ValueError(f"it must be an integer, and is {describe(raw)}")
    if raw.bit_length() > MAX_INTEGER_BITS:
        raise ValueError("the number is too large")
    return int(raw)


def _number(raw: object) -> JSON:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise ValueError(f"it must be a number, and is {describe(raw)}")
    if isinstance(raw, float):
        if not math.isfinite(raw):
            raise ValueError("it must be a finite number")
        return float(raw)
    return _integer(raw)


def _boolean(raw: object) -> JSON:
    if not isinstance(raw, bool):
        raise ValueError(f"it must be true or false, and is {describe(raw)}")
    return raw


def _datetime(raw: object) -> JSON:
    """Aware, in UTC, with Z. Naive ones are refused: nobody knows which hour they mean."""
    if isinstance(raw, dt.datetime):
        at = raw
    else:
        text = _short(raw)
        try:
            at = dt.datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a date and time; write it as 2026-01-31T08:00:00Z") from None
    if at.tzinfo is None:
        raise ValueError("it has no time zone; write it as 2026-01-31T08:00:00Z or with +02:00")
    try:
        return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise ValueError("it is outside the years 1 to 9999") from None


_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)


def _hostname(raw: object) -> JSON:
    value = _short(raw).rstrip(".").lower()
    if not value:
        raise ValueError("a host name is not empty")
    if len(value) > 253 or not all(map(_HOST_LABEL.fullmatch, value.split("."))):
        raise ValueError(
            f"{value[:60]!r} is not a host name: letters, digits, - and _ in labels of at most 63, 253 in all"
        )
    if re.fullmatch(r"[\d.]+", value, re.ASCII) and "." in value:
        raise ValueError(f"{value!r} is an address, not a host name")
    return value


def _ip(version: int | None) -> Callable[[object], JSON]:
    def parse(raw: object) -> JSON:
        address = indicator_text.parse_address(_short(raw))
        if version is not None and address.version != version:
            raise ValueError(f"{address} is not an IPv{version} address")
        return str(address)

    return parse


def _hash(kind: str | None) -> Callable[[object], JSON]:
    return lambda raw: indicator_text.normalise_hash(_short(raw), kind)


def _name(raw: object) -> JSON:
    """Text that names one user or host. It never becomes an entity by itself: that takes a read."""
    value = _text(raw, MAX_TEXT).strip()
    if not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"it must name one, in 1 to {MAX_NAME} characters")
    if any(not character.isprintable() for character in value):
        raise ValueError("it has control characters or line breaks")
    if "*" in value or "?" in value:
        raise ValueError(f"{value!r} is a wildcard; it must name one")
    return value


def _duration(raw: object) -> JSON:
    """Products count in whole seconds, so an input of less would promise what nobody keeps."""
    seconds = parse_duration(raw)
    if not isinstance(seconds, int):
        raise ValueError("a duration is given in whole seconds here, such as 90s, 15m or 8h")
    return seconds


def _list(raw: object) -> JSON:
    if not isinstance(raw, list):
        raise ValueError(f"it must be a list, and is {describe(raw)}")
    if len(raw) > MAX_ITEMS:
        raise ValueError(f"it has more than {MAX_ITEMS:,} items")
    return _data(raw)


def _dict(raw: object) -> JSON:
    if not isinstance(raw, dict):
        raise ValueError(f"it must be a map, and is {describe(raw)}")
    return _data(raw)


def _data(raw: object) -> JSON:
    to_json(raw)  # refuses what is not plain data or is nested too deep
    return raw  # type: ignore[return-value]  # plain data, see above


def _indicator(raw: object) -> JSON:
    if isinstance(raw, dict):  # what coerce() gave is taken again, if it is the same
        if set(raw) != {"kind", "value"}:
            raise ValueError("it must be text, or a map with exactly `kind` and `value`")
        found = indicator_text.parse_indicator(_text(raw["value"]))
        if found["kind"] != raw["kind"]:
            raise ValueError(f"{found['value']!r} is of the kind {found['kind']}, not {describe(raw['kind'])}")
        return dict(found)
    return dict(indicator_text.parse_indicator(_text(raw)))


_PARSERS: dict[str, Callable[[object], JSON]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "duration": _duration,
    "datetime": _datetime,
    "hostname": _hostname,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "ip": _ip(None),
    "cidr": lambda raw: str(indicator_text.parse_network(_short(raw))),
    "domain": lambda raw: indicator_text.normalise_domain(_short(raw)),
    "url": lambda raw: indicator_text.normalise_url(_short(raw)),
    "email": lambda raw: indicator_text.normalise_email(_short(raw)),
    "md5": _hash("md5"),
    "sha1": _hash("sha1"),
    "sha256": _hash("sha256"),
    "hash": _hash(None),
    "indicator": _indicator,
    "user": _name,
    "host": _name,
    "list": _list,
    "dict": _dict,
}
TYPE_NAMES: tuple[str, ...] = tuple(_PARSERS)


def coerce(type_name: str, raw: object, *, constraints: Constraints = NONE) -> JSON:
    """Return the normalised value of a declared type.

    Addresses are compressed, host names and hashes in lower case, durations in seconds, dates and times in UTC with Z;
    an indicator is `{kind, value}`. Raises ValueError with the reason in plain words.
    """
    if type_name not in _PARSERS:
        raise ValueError(f"there is no type {type_name!r}" + hint(type_name, TYPE_NAMES))
    value = _PARSERS[type_name](raw)
    if isinstance(value, list) and constraints.items is not None:
        value = _coerce_items(value, constraints.items)
    _check_enum(type_name, value, constraints)
    _check_range(type_name, value, constraints)
    _check_length(value, constraints)
    if constraints.pattern is not None and isinstance(value, str):
        patterns.check_text(constraints.pattern, value)
    return value


def _coerce_items(values: list[JSON], items: Items) -> list[JSON]:
    found: list[JSON] = []
    for at, entry in enumerate(values):
        try:
            found.append(coerce(items.type_name, entry, constraints=items.constraints))
        except ValueError as error:
            raise ValueError(f"item {at}: {error}") from None
    return found


def _check_enum(type_name: str, value: JSON, constraints: Constraints) -> None:
    if constraints.enum is None:
        return
    allowed = [_PARSERS[type_name](entry) for entry in constraints.enum]
    if not any(equal(value, entry) for entry in allowed):
        shown = [entry if isinstance(entry, str) else json.dumps(entry) for entry in constraints.enum]
        near = hint(value, shown) if isinstance(value, str) else ""
        raise ValueError(f"{describe(value)} is not one of {', '.join(shown)}{near}")


def _check_range(type_name: str, value: JSON, constraints: Constraints) -> None:
    for limit, is_minimum in ((constraints.minimum, True), (constraints.maximum, False)):
        if limit is None:
            continue
        bound = _PARSERS[type_name](limit)
        comparable = type(value) in (int, float) and type(bound) in (int, float)
        if not comparable and not (type_name == "datetime" and isinstance(bound, str)):
            raise ValueError(f"the type {type_name} has no minimum or maximum")
        outside = _order(value) < _order(bound) if is_minimum else _order(value) > _order(bound)
        if outside:
            raise ValueError(f"it must be at {'least' if is_minimum else 'most'} {limit}, and is {value}")


def _order(value: JSON) -> float:
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value).timestamp()
    assert isinstance(value, (int, float))
    return value


def _check_length(value: JSON, constraints: Constraints) -> None:
    if not isinstance(value, (str, list, dict)):
        return
    unit = "characters" if isinstance(value, str) else "items"
    if constraints.min_length is not None and len(value) < constraints.min_length:
        raise ValueError(f"it must have at least {constraints.min_length} {unit}, and has {len(value)}")
    if constraints.max_length is not None and len(value) > constraints.max_length:
        raise ValueError(f"it must have at most {constraints.max_length} {unit}, and has {len(value)}")


def from_text(type_name: str, text: str, *, constraints: Constraints = NONE) -> JSON:
    """Return the value of a declared type from text of the command line. Raises ValueError.

    Lists are JSON, or items separated by commas or line breaks if the text does not start with "[". Maps are JSON.
    """
    return coerce(type_name, _raw_from_text(type_name, text, constraints), constraints=constraints)


_INTEGER_TEXT = re.compile(r"[+-]?\d{1,1200}", re.ASCII)
_NUMBER_TEXT = re.compile(r"[+-]?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def _raw_from_text(type_name: str, text: str, constraints: Constraints) -> object:
    trimmed = text.strip()
    if type_name in ("integer", "duration", "number") and _INTEGER_TEXT.fullmatch(trimmed):
        return int(trimmed)
    if type_name == "integer":
        raise ValueError(f"{trimmed[:40]!r} is not an integer")
    if type_name == "number":
        if not _NUMBER_TEXT.fullmatch(trimmed):
            raise ValueError(f"{trimmed[:40]!r} is not a number")
        return float(trimmed)
    if type_name == "boolean":
        if trimmed.lower() not in ("true", "false"):
            raise ValueError(f"{trimmed[:40]!r} is not true or false")
        return trimmed.lower() == "true"
    if type_name == "list" and not trimmed.startswith("["):
        parts = [part.strip() for part in re.split(r"[,\n]", trimmed)]
        items = constraints.items or Items("string")
        return [_raw_from_text(items.type_name, part, items.constraints) for part in parts if part]
    if type_name in ("list", "dict"):
        return _json(trimmed)
    return text


def _json(text: str) -> object:
    if len(text) > MAX_TEXT:
        raise ValueError(f"it has more than {MAX_TEXT} characters")

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def check_constraints(type_name: str, constraints: Constraints) -> list[str]:
    """Return what is wrong with a declaration itself, in words: limits that the type does not have, a bad pattern."""
    problems: list[str] = []
    if type_name not in _PARSERS:
        return [f"there is no type {type_name!r}" + hint(type_name, TYPE_NAMES)]
    for word, limit in (("minimum", constraints.minimum), ("maximum", constraints.maximum)):
        if limit is not None and type_name not in ("integer", "number", "duration", "datetime"):
            problems.append(f"the type {type_name} has no {word}")
        elif limit is not None:
            problems += _problem(_PARSERS[type_name], limit, f"`{word}`")
    for entry in constraints.enum or ():
        problems += _problem(_PARSERS[type_name], entry, "`enum`")
    if constraints.pattern is not None:
        problems += _problem(patterns.check_pattern, constraints.pattern, "`pattern`")
    if constraints.items is not None:
        if type_name != "list":
            problems.append(f"the type {type_name} has no items")
        found = check_constraints(constraints.items.type_name, constraints.items.constraints)
        problems += [f"`items`: {problem}" for problem in found]
    return problems


def _problem(check: Callable[..., object], value: object, where: str) -> list[str]:
    try:
        check(value)
    except ValueError as error:
        return [f"{where}: {error}"]
    return []


def shape_for(type_name: str, constraints: Constraints = NONE) -> Shape:
    """Return the shape of a coerced value of a declared type; it is never an entity."""
    match type_name:
        case "string":
            texts = tuple(entry for entry in constraints.enum or () if isinstance(entry, str))
            return StringShape(enum=texts or None)
        case "integer" | "duration":
            return shapes.INTEGER
        case "number":
            return shapes.NUMBER
        case "boolean":
            return shapes.BOOLEAN
        case "indicator":
            return INDICATOR
        case "list":
            items = constraints.items
            return shapes.LIST if items is None else shapes.ListShape(shape_for(items.type_name, items.constraints))
        case "dict":
            return shapes.MAP
        case _:
            return StringShape(format=type_name)
