"""Trees and their proofs, against the definition of RFC 9162 written down as it stands there."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from hikeshi.audit.merkle import Edge, Tree, inclusion_holds, leaf_hash, prefix_holds

LEAVES = st.lists(st.binary(max_size=4), min_size=1, max_size=70).map(lambda each: [leaf_hash(data) for data in each])


def naive_root(leaves: list[bytes]) -> bytes:
    """Section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    middle = naive_split(len(leaves))
    return sha256(b"\1" + naive_root(leaves[:middle]) + naive_root(leaves[middle:])).digest()


def naive_split(count: int) -> int:
    middle = 1
    while middle * 2 < count:
        middle *= 2
    return middle


def naive_inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """Section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    middle = naive_split(len(leaves))
    if index < middle:
        return [*naive_inclusion(index, leaves[:middle]), naive_root(leaves[middle:])]
    return [*naive_inclusion(index - middle, leaves[middle:]), naive_root(leaves[:middle])]


def naive_prefix(old: int, leaves: list[bytes], is_whole: bool = True) -> list[bytes]:
    """Section 2.1.4.1."""
    if old == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    middle = naive_split(len(leaves))
    if old <= middle:
        return [*naive_prefix(old, leaves[:middle], is_whole), naive_root(leaves[middle:])]
    return [*naive_prefix(old - middle, leaves[middle:], False), naive_root(leaves[:middle])]


@given(LEAVES, st.data())
def test_roots_and_proofs_are_those_of_the_definition(leaves: list[bytes], data: st.DataObject) -> None:
    """For any size, leaf and smaller size."""
    tree = Tree(leaves)
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))

    assert tree.root(size) == naive_root(leaves[:size])
    assert tree.inclusion(index, size) == naive_inclusion(index, leaves[:size])
    assert tree.prefix(old, size) == naive_prefix(old, leaves[:size])


@given(LEAVES, st.data())
def test_proofs_hold_and_every_other_one_does_not(leaves: list[bytes], data: st.DataObject) -> None:
    """A proof of which one hash or one bit is another shows nothing."""
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    tree = Tree(leaves)
    root, old_root = tree.root(size), tree.root(old)
    inclusion, prefix = tree.inclusion(index, size), tree.prefix(old, size)

    assert inclusion_holds(leaves[index], index, size, inclusion, root)
    assert prefix_holds(old, old_root, size, root, prefix)
    for proof, holds in (
        (inclusion, lambda wrong: inclusion_holds(leaves[index], index, size, wrong, root)),
        (prefix, lambda wrong: prefix_holds(old, old_root, size, root, wrong)),
    ):
        if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            changed = bytearray(proof[at])
            changed[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
            assert not holds([*proof[:at], bytes(changed), *proof[at + 1 :]])
            assert not holds([*proof[:at], *proof[at + 1 :]])


@given(LEAVES, st.data())
def test_an_edge_that_is_stored_between_grows_to_the_same_tree(leaves: list[bytes], data: st.DataObject) -> None:
    """Wherever checkpoints fall."""
    cuts = data.draw(st.sets(st.integers(0, len(leaves))))
    edge = Edge()
    for at, leaf in enumerate(leaves):
        if at in cuts:
            edge = Edge.from_bytes(edge.size, edge.to_bytes())
        edge.append(leaf)

    assert (edge.size, edge.root()) == (len(leaves), naive_root(leaves))
