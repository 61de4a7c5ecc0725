"""Leaves: what of a record is hashed, byte for byte, since auditors hash it with programs of their own."""

from __future__ import annotations

import pytest

from hikeshi.audit.errors import AuditError
from hikeshi.audit.leaf import add_places, leaf_of
from hikeshi.audit.merkle import Edge, leaf_hash
from hikeshi.journal import Place

HASH = b"h" * 32


@pytest.mark.parametrize(
    ("seq", "encoded"),
    [(1, "0000000000000001"), (258, "0000000000000102"), (2**63 - 1, "7fffffffffffffff")],
)
def test_a_leaf_is_over_the_number_the_hash_and_the_run(seq: int, encoded: str) -> None:
    """The number in eight bytes, the first of them the highest."""
    assert leaf_of("ログ".encode(), seq, HASH) == leaf_hash(bytes.fromhex(encoded) + HASH + "ログ".encode())


def test_a_tree_grows_by_the_records_that_come_next() -> None:
    """In their order."""
    edge = Edge()
    add_places(edge, [Place(1, "a", 1, HASH), Place(2, "b", 1, HASH)])

    expected = Edge()
    for run in (b"a", b"b"):
        expected.append(leaf_of(run, 1, HASH))
    assert (edge.size, edge.root()) == (2, expected.root())


@pytest.mark.parametrize("place", [(3, "a", 1, HASH), (1, "a", 1, HASH), (2, b"a", 1, HASH), (2, "a", 1, "h")])
def test_a_tree_does_not_grow_by_what_is_no_next_record(place: tuple[int, str, int, bytes]) -> None:
    """The place that should hold it is named."""
    edge = Edge()
    add_places(edge, [Place(1, "a", 1, HASH)])

    with pytest.raises(AuditError, match="Record 2 of the journal is not where it was"):
        add_places(edge, [Place(*place)])
    assert edge.size == 1
