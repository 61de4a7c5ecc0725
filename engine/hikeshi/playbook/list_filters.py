"""The filters that work on lists and maps. Each gives a list, never a generator."""

# ruff: noqa: ARG001  every entry of the table is called alike, with the budget first
from __future__ import annotations

from collections.abc import Callable

from hikeshi.playbook.plain_data import (
    MAX_ITEMS,
    MAX_TEXT,
    NUMBERS,
    Budget,
    EvaluationError,
    Missing,
    check_number,
    describe,
    identity,
    look_up,
    refuse,
    to_text,
)


def read_path(value: object, path: str) -> object:
    """Return what a dotted path leads to in one item; Missing if it leads nowhere."""
    shown = "the item"
    for key in path.split("."):
        if isinstance(value, list) and key.isascii() and key.isdigit() and len(key) < 10:
            at = int(key)
            value = value[at] if at < len(value) else Missing(f"{shown} has no item {key}")
        else:
            value = look_up(value, key, shown)
        shown += f".{key}"
    return value


def attributes(budget: Budget, items: list[object], attribute: str | None) -> list[object]:
    """Return one attribute of each item, or the items themselves. Raises EvaluationError for what is missing."""
    budget.spend(len(items))
    if attribute is None:
        return items
    budget.spend(len(items) * attribute.count("."))
    found = [read_path(item, attribute) for item in items]
    for value in found:
        if isinstance(value, Missing):
            refuse(value, "the attribute")
    return found


def length(budget: Budget, value: str | list[object] | dict[str, object]) -> int:
    return len(value)


def first(budget: Budget, value: str | list[object]) -> object:
    return value[0] if value else Missing("`first` of nothing: there is no item")


def last(budget: Budget, value: str | list[object]) -> object:
    return value[-1] if value else Missing("`last` of nothing: there is no item")


def _keys_to_order(budget: Budget, items: list[object], attribute: str | None, verb: str) -> list[object]:
    keys = attributes(budget, items, attribute)
    budget.spend(len(keys) * len(keys).bit_length() // 4)
    kinds = {"number" if key.__class__ in NUMBERS else key.__class__ for key in keys}
    if kinds <= {"number"} or kinds <= {str}:
        for key in keys:
            if isinstance(key, str):
                budget.read_text(key)
        return keys
    wrong = next(key for key in keys if key.__class__ not in (str, *NUMBERS)) if kinds - {"number", str} else None
    shown = describe(wrong) if kinds - {"number", str} else "text and numbers"
    raise EvaluationError(f"`{verb}` orders only numbers or only text, and got {shown}")


def ordered(budget: Budget, items: list[object], reverse: bool, attribute: str | None) -> list[object]:
    keys = _keys_to_order(budget, items, attribute, "sort")
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))  # type: ignore[arg-type]  # checked above
    return [items[at] for at in order]


def _extreme(budget: Budget, items: list[object], attribute: str | None, pick: Callable[..., int], verb: str) -> object:
    keys = _keys_to_order(budget, items, attribute, verb)
    if not keys:
        return Missing(f"`{verb}` of nothing: there is no item")
    return items[pick(range(len(keys)), key=keys.__getitem__)]


def smallest(budget: Budget, items: list[object], attribute: str | None) -> object:
    return _extreme(budget, items, attribute, min, "min")


def largest(budget: Budget, items: list[object], attribute: str | None) -> object:
    return _extreme(budget, items, attribute, max, "max")


def total(budget: Budget, items: list[object], attribute: str | None) -> int | float:
    result: int | float = 0
    for value in attributes(budget, items, attribute):
        if value.__class__ not in NUMBERS:
            raise EvaluationError(f"`sum` adds numbers, and got {describe(value)}")
        try:
            result = check_number(result + value)  # type: ignore[operator]  # a number, see above
        except OverflowError:
            raise EvaluationError("the number is too large") from None
    return result


def reversed_(budget: Budget, value: str | list[object]) -> str | list[object]:
    if isinstance(value, str):
        budget.create_text(len(value))
    else:
        budget.create_items(len(value))
    return value[::-1]


def unique(budget: Budget, items: list[object], attribute: str | None) -> list[object]:
    found: dict[object, object] = {}
    for item, key in zip(items, attributes(budget, items, attribute), strict=True):
        found.setdefault(identity(key), item)
    return list(found.values())


def flatten(budget: Budget, items: list[object]) -> list[object]:
    found: list[object] = []
    for item in items:
        budget.create_items(len(item) if isinstance(item, list) else 1)
        if isinstance(item, list):
            found += item
        else:
            found.append(item)
    return found


def batch(budget: Budget, items: list[object], size: int) -> list[list[object]]:
    if size < 1:
        raise EvaluationError("`batch` needs a size of at least 1")
    budget.create_items(len(items))
    return [items[at : at + size] for at in range(0, len(items), size)]


def entries(budget: Budget, value: dict[str, object]) -> list[dict[str, object]]:
    budget.create_items(len(value))
    return [{"key": key, "value": entry} for key, entry in value.items()]


def keys(budget: Budget, value: dict[str, object]) -> list[str]:
    budget.create_items(len(value))
    return list(value)


def map_values(budget: Budget, value: dict[str, object]) -> list[object]:
    budget.create_items(len(value))
    return list(value.values())


def join(budget: Budget, items: list[object], separator: str, attribute: str | None) -> str:
    values = attributes(budget, items, attribute)
    size = len(separator) * len(values)
    texts: list[str] = []
    for value in values:
        texts.append(to_text(value))
        size += len(texts[-1])
        if size > MAX_TEXT:
            break
    budget.create_text(size)
    return separator.join(texts)


def same(budget: Budget, items: list[object]) -> list[object]:
    return items


def range_(budget: Budget, stop: int, start: int, step: int) -> list[int]:
    if step == 0:
        raise EvaluationError("`range` needs a step that is not 0")
    whole = range(start, stop, step)
    count = max(0, (stop - start + step - (1 if step > 0 else -1)) // step)  # len() fails above 2**63
    if count > MAX_ITEMS:
        raise EvaluationError(f"`range` would give more than {MAX_ITEMS:,} numbers")
    budget.create_items(count)
    return list(whole)
