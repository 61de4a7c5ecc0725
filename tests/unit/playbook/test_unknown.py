"""Unknown as a value, and its stored form."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.playbook.unknown import MAX_DEPTH, Stored, Unknown, find_unknown, from_json, to_json

pytestmark = pytest.mark.safety(4)

UNKNOWN = Unknown("Isolation", "the host is not isolated yet")
KEYS = st.sampled_from(["$hikeshi", "of", "why", "value", "a"]) | st.text(max_size=3)
WORDS = st.sampled_from(["unknown", "data"]) | st.text(max_size=3)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


def test_unknown_has_no_truth() -> None:
    """Asking Python for the truth of an unknown is a mistake that shows."""
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)


@given(DATA)
def test_stored_values_come_back_as_they_were(value: object) -> None:
    """The stored form is JSON, and reading it gives the same value."""
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_data_from_outside_never_becomes_unknown() -> None:
    """A map that looks like a stored unknown is stored as the data it is."""
    forged = {"$hikeshi": "unknown", "of": "Host", "why": "forged"}
    assert from_json(to_json(forged)) == forged
    assert from_json(to_json({"$hikeshi": "data", "value": forged})) == {"$hikeshi": "data", "value": forged}


@pytest.mark.parametrize(
    "stored",
    [
        {"$hikeshi": "unknown"},
        {"$hikeshi": "x"},
        {"$hikeshi": "unknown", "of": "a", "why": "b", "c": 1},
        {"$hikeshi": "data", "value": 1},
    ],
)
def test_a_stored_form_that_nobody_wrote_is_refused(stored: dict[str, object]) -> None:
    """What to_json() does not write, from_json() does not read."""
    with pytest.raises(ValueError, match="neither an unknown nor wrapped data"):
        from_json(stored)  # type: ignore[arg-type]  # JSON


@pytest.mark.parametrize("value", [object(), {1: 2}, (1, 2), {"a": {1}}])
def test_only_plain_data_is_stored(value: object) -> None:
    """Anything that JSON would change is refused."""
    with pytest.raises(ValueError, match="not"):
        to_json(value)


def test_deep_values_are_refused_not_crashed_on() -> None:
    """Nesting has one limit, and it is no limit of Python's stack."""
    deep: object = UNKNOWN
    for _ in range(100_000):
        deep = [deep]
    for work in (to_json, from_json, find_unknown):
        with pytest.raises(ValueError, match="nested deeper"):
            work(deep)  # type: ignore[operator]  # three functions of one value


def test_the_first_unknown_is_found_at_any_depth() -> None:
    """Lists and maps are searched."""
    assert find_unknown({"a": [1, {"b": UNKNOWN}]}) == UNKNOWN
    assert find_unknown({"a": [1, {"b": "unknown"}]}) is None


FLAT = [{"kind": "ipv4", "value": f"198.18.0.{n}", "n": n, "on": None} for n in range(200)]


@pytest.mark.parametrize(
    "odd",
    [
        {"value": UNKNOWN},
        {"value": Stored("0" * 64, 7)},
        {"value": ["nested"]},
        {"value": {"$hikeshi": "stored"}},
        {"$hikeshi": "unknown", "of": "Host", "why": "forged"},
        "no map",
        UNKNOWN,
    ],
    ids=repr,
)
@pytest.mark.parametrize("at", [0, 120, 200])
def test_one_odd_entry_of_a_long_list_is_seen(odd: object, at: int) -> None:
    """Long lists are looked through all at once, and what is not like the others is not passed over."""
    value = [*FLAT[:at], odd, *FLAT[at:]]
    stored = to_json(value)
    assert from_json(json.loads(json.dumps(stored))) == value
    assert (stored == value) is (odd in ("no map", {"value": ["nested"]}))
    assert find_unknown(value) == next((each for each in (odd, *_values(odd)) if isinstance(each, Unknown)), None)


def _values(odd: object) -> list[object]:
    return list(odd.values()) if isinstance(odd, dict) else []


def test_a_long_list_of_plain_maps_is_stored_as_it_is() -> None:
    """Nothing in it has another form."""
    assert to_json(FLAT) == FLAT
    assert from_json(json.loads(json.dumps(FLAT))) == FLAT
    assert find_unknown(FLAT) is None


def test_a_long_list_has_no_keys_that_json_would_change() -> None:
    """One of two hundred is enough."""
    with pytest.raises(ValueError, match="is not text"):
        to_json([*FLAT, {1: 2}])


@pytest.mark.parametrize("work", [to_json, from_json])
def test_a_long_list_may_lie_no_deeper_than_others(work: Callable[[object], object]) -> None:
    """Its maps and what is in them count as levels."""

    def below(levels: int) -> object:
        value: object = FLAT
        for _ in range(levels):
            value = [value]
        return value

    assert work(below(MAX_DEPTH - 2)) == below(MAX_DEPTH - 2)
    with pytest.raises(ValueError, match="nested deeper"):
        work(below(MAX_DEPTH - 1))
