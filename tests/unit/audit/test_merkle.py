"""The Merkle tree: published roots and proofs, and refusal of every other one."""

import pytest

from hikeshi.audit.merkle import EMPTY_ROOT, Edge, Tree, inclusion_holds, leaf_hash, node_hash, prefix_holds

# Leaves, roots and proofs of the tests of Certificate Transparency, which RFC 6962 and RFC 9162 describe.
# Source: github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc.
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """Of the edge that grows, and of the whole tree at each of its sizes."""
    edge = Edge()
    for leaf in LEAVES[:size]:
        edge.append(leaf)

    assert edge.root() == Tree(LEAVES).root(size) == ROOTS[size]
    assert ROOTS[0] == EMPTY_ROOT


def test_an_inclusion_proof_is_the_published_one() -> None:
    """Leaf 0 of 8."""
    proof = Tree(LEAVES).inclusion(0, 8)

    assert [each.hex() for each in proof] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_a_consistency_proof_is_the_published_one() -> None:
    """From 6 leaves to 8."""
    proof = Tree(LEAVES).prefix(6, 8)

    assert [each.hex() for each in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_proof_holds_for_its_own_place_only() -> None:
    """All leaves of all sizes; another index, size, root or a shorter proof shows nothing."""
    tree = Tree(LEAVES)
    for size in range(1, 9):
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert inclusion_holds(LEAVES[index], index, size, proof, ROOTS[size])
            others = [at for at in range(8) if at != index]
            assert not any(inclusion_holds(LEAVES[index], at, size, proof, ROOTS[size]) for at in others)
            assert not inclusion_holds(LEAVES[index], index, size, proof, ROOTS[size - 1])
            assert not inclusion_holds(LEAVES[index], index, size, [*proof, ROOTS[1]], ROOTS[size])
            assert not proof or not inclusion_holds(LEAVES[index], index, size, proof[:-1], ROOTS[size])


def test_a_prefix_is_shown_between_its_own_trees_only() -> None:
    """All pairs of sizes; another root or a longer proof shows nothing."""
    tree = Tree(LEAVES)
    for new in range(1, 9):
        for old in range(1, new + 1):
            proof = tree.prefix(old, new)
            assert prefix_holds(old, ROOTS[old], new, ROOTS[new], proof)
            assert not prefix_holds(old, ROOTS[old - 1], new, ROOTS[new], proof)
            assert not prefix_holds(old, ROOTS[old], new, ROOTS[new - 1], proof)
            assert not prefix_holds(old, ROOTS[old], new, ROOTS[new], [*proof, ROOTS[1]])


def test_a_tree_grows_from_its_stored_edge() -> None:
    """As a checkpoint does: only what is new is hashed."""
    for size in range(9):
        edge = Edge()
        for leaf in LEAVES[:size]:
            edge.append(leaf)
        again = Edge.from_bytes(size, edge.to_bytes())
        for leaf in LEAVES[size:]:
            again.append(leaf)
        assert again.root() == ROOTS[8]


@pytest.mark.parametrize(("size", "stored"), [(1, b""), (2, b"x" * 64), (3, b"x" * 63), (-1, b""), (0, b"x" * 32)])
def test_an_edge_that_does_not_fit_its_size_is_refused(size: int, stored: bytes) -> None:
    """A damaged table never becomes a tree."""
    with pytest.raises(ValueError, match="not the edge"):
        Edge.from_bytes(size, stored)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (8, 8), (-1, 8), (0, 9)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    """Asked for a leaf beyond the end."""
    with pytest.raises(IndexError):
        Tree(LEAVES).inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 8), (-1, 8), (5, 4), (8, 9), (9, 9)])
def test_there_is_no_proof_between_trees_that_are_not_there(old: int, new: int) -> None:
    """Nor from nothing, which begins every tree."""
    with pytest.raises(IndexError):
        Tree(LEAVES).prefix(old, new)


@pytest.mark.parametrize("size", [-1, 9])
def test_there_is_no_root_of_what_is_not_there(size: int) -> None:
    """Of more leaves than there are, or fewer than none."""
    with pytest.raises(IndexError, match=f"the tree has 8 leaves, not {size}"):
        Tree(LEAVES).root(size)


def test_a_whole_tree_has_its_root() -> None:
    """Also without a size, and also an empty one."""
    assert (Tree(LEAVES).root(), len(Tree(LEAVES))) == (ROOTS[8], 8)
    assert (Tree().root(), len(Tree())) == (EMPTY_ROOT, 0)


def test_nothing_begins_a_tree_by_any_proof() -> None:
    """Neither no leaves, nor more of them than the new tree has; the same tree needs no proof, and takes none."""
    proof = Tree(LEAVES).prefix(3, 8)
    assert not prefix_holds(0, EMPTY_ROOT, 8, ROOTS[8], proof)
    assert not prefix_holds(8, ROOTS[8], 3, ROOTS[3], proof)
    assert not prefix_holds(3, ROOTS[3], 8, ROOTS[8], [])
    assert prefix_holds(8, ROOTS[8], 8, ROOTS[8], [])
    assert not prefix_holds(8, ROOTS[8], 8, ROOTS[8], proof)
    assert not prefix_holds(8, ROOTS[7], 8, ROOTS[8], [])
    assert not inclusion_holds(LEAVES[0], -1, 8, Tree(LEAVES).inclusion(0, 8), ROOTS[8])
    assert not inclusion_holds(LEAVES[0], 8, 8, Tree(LEAVES).inclusion(0, 8), ROOTS[8])


def test_a_proof_that_is_longer_than_its_tree_is_high_shows_nothing() -> None:
    """Though its hashes lead to the root that was asked about: that is the root of a larger tree."""
    assert not inclusion_holds(LEAVES[1], 0, 1, [LEAVES[0]], ROOTS[2])

    proof, more = Tree(LEAVES).prefix(3, 4), ROOTS[1]
    assert prefix_holds(3, ROOTS[3], 4, ROOTS[4], proof)
    assert not prefix_holds(3, node_hash(more, ROOTS[3]), 4, node_hash(more, ROOTS[4]), [*proof, more])


def test_the_proofs_of_a_larger_tree_hold() -> None:
    """Of every leaf, and between every two sizes, up to one beyond a power of two."""
    leaves = [leaf_hash(bytes([number])) for number in range(33)]
    tree = Tree(leaves)
    for size in range(1, 34):
        for other in range(1, size + 1):
            root, proof = tree.root(size), tree.inclusion(other - 1, size)
            assert inclusion_holds(leaves[other - 1], other - 1, size, proof, root), (other, size)
            assert prefix_holds(other, tree.root(other), size, root, tree.prefix(other, size)), (other, size)
