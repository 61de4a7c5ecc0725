"""Lists in lots: what was taken, what was refused, what was never sent."""

import pytest

from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, Timeout, Unavailable, lots, sent_in_lots

NAMES = ["a", "b", "c", "d", "e"]


class Product:
    """Answers each lot in turn, with what it was told to."""

    def __init__(self, *ends: ConnectorError | None) -> None:
        self._ends = list(ends)
        self.asked: list[tuple[list[str], bool]] = []

    async def send(self, lot: list[str], last: bool) -> str:
        self.asked.append((lot, last))
        end = self._ends.pop(0)
        if end is not None:
            raise end
        return f"took {len(lot)}"


@pytest.mark.parametrize(
    ("items", "most", "found"),
    [
        ([], 2, []),
        ([1], 2, [[1]]),
        ([1, 2], 2, [[1, 2]]),
        ([1, 2, 3], 2, [[1, 2], [3]]),
    ],
)
def test_lots_keep_the_order(items: list[int], most: int, found: list[list[int]]) -> None:
    """None is empty, and none is too long."""
    assert list(lots(items, most)) == found


async def test_every_lot_is_sent_and_the_last_one_knows() -> None:
    """Each answer is given back beside its lot."""
    product = Product(None, None, None)
    answers, failures = await sent_in_lots(NAMES, 2, product.send)
    assert product.asked == [(["a", "b"], False), (["c", "d"], False), (["e"], True)]
    assert answers == [(["a", "b"], "took 2"), (["c", "d"], "took 2"), (["e"], "took 1")]
    assert failures == {}


async def test_nothing_is_sent_for_an_empty_list() -> None:
    """There is no empty request."""
    product = Product()
    assert await sent_in_lots([], 2, product.send) == ([], {})
    assert product.asked == []


@pytest.mark.parametrize("refusal", [Conflict("there"), Invalid("wrong")])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_refused_lot_does_not_stop_the_others(refusal: ConnectorError, at: int) -> None:
    """It says something of its own entries only, wherever in the list they are."""
    ends: list[ConnectorError | None] = [None, None, None]
    ends[at] = refusal
    product = Product(*ends)
    answers, failures = await sent_in_lots(NAMES, 2, product.send)
    assert len(product.asked) == 3
    assert len(answers) == 2
    assert failures == dict.fromkeys(NAMES[2 * at : 2 * at + 2], refusal)


@pytest.mark.parametrize("error", [Unavailable("down", applied=Applied.MAYBE), Invalid("what?", applied=Applied.MAYBE)])
async def test_a_failure_ends_it_and_names_the_rest(error: ConnectorError) -> None:
    """Entries that were never sent are provably not applied, whatever became of the lot before them."""
    product = Product(None, error)
    answers, failures = await sent_in_lots(NAMES, 2, product.send)
    assert len(product.asked) == 2
    assert answers == [(["a", "b"], "took 2")]
    assert list(failures) == ["c", "d", "e"]
    assert failures["c"] is failures["d"] is error
    assert type(failures["e"]) is Unavailable
    assert failures["e"].applied is Applied.NO


@pytest.mark.parametrize(
    ("ends", "raised"),
    [
        ([Timeout("late")], "late"),
        ([Invalid("one"), Timeout("late")], "late"),
        ([Invalid("one"), Conflict("two"), Invalid("three")], "one"),
    ],
)
async def test_an_error_stands_for_the_whole_if_nothing_was_taken(ends: list[ConnectorError], raised: str) -> None:
    """So that a retry may send all of it again."""
    product = Product(*ends)
    with pytest.raises(ConnectorError, match=raised):
        await sent_in_lots(NAMES, 2, product.send)
    assert len(product.asked) == len(ends)
