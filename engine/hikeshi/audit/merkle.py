"""The Merkle tree of RFC 9162 (section 2): its roots, its proofs, and the right edge from which it grows.

Rule of this file: hashes only. What a leaf stands for is said elsewhere.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Edge",
    "Tree",
    "inclusion_holds",
    "leaf_hash",
    "node_hash",
    "prefix_holds",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf. Source: RFC 9162, 2.1.1."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two others. Source: RFC 9162, 2.1.1."""
    return sha256(b"\1" + left + right).digest()


class Edge:
    """The right edge of a tree: all that is needed to add leaves and to say the root.

    `hashes` are the roots of the complete subtrees from left to right, one for each bit that is set in `size`.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        hashes, size = self.hashes, self.size
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\1" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)

    def root(self) -> bytes:
        """Return the root hash of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        *others, root = self.hashes
        for left in reversed(others):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """Return the hashes one after the other; the size is not among them."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, stored: bytes) -> "Edge":
        """Return the edge of a tree of this size. Raises ValueError if it cannot be one."""
        if size < 0 or len(stored) != HASH_BYTES * size.bit_count():
            raise ValueError("not the edge of a tree of this size")
        return cls(size, [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)])


class Tree:
    """A whole tree in memory, for proofs: every hash of a complete subtree, by level. 64 bytes and more for a leaf."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        levels = self._levels
        levels[0].append(leaf)
        level = 0
        while not len(levels[level]) & 1:
            if level + 1 == len(levels):
                levels.append([])
            levels[level + 1].append(node_hash(levels[level][-2], levels[level][-1]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, or of all. Raises IndexError if there are not that many."""
        end = len(self) if size is None else size
        if not 0 <= end <= len(self):
            raise IndexError(f"the tree has {len(self)} leaves, not {end}")
        return self._range(0, end) if end else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index`, from 0, is among the first `size`. Source: RFC 9162, 2.1.3.1."""
        if not 0 <= index < size <= len(self):
            raise IndexError(f"no leaf {index} in a tree of {size} of {len(self)} leaves")
        proof: list[bytes] = []
        begin, end = 0, size
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin = middle
        return proof[::-1]

    def prefix(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `old` leaves begin the first `new`. Source: RFC 9162, 2.1.4.1."""
        if not 0 < old <= new <= len(self):
            raise IndexError(f"no proof from {old} to {new} in a tree of {len(self)} leaves")
        proof: list[bytes] = []
        begin, end, is_whole = 0, new, True
        while old != end:
            middle = begin + _split(end - begin)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin, is_whole = middle, False
        if not is_whole:
            proof.append(self._range(begin, end))
        return proof[::-1]

    def _range(self, begin: int, end: int) -> bytes:
        """Return the root over leaves begin to end, where begin is where a subtree of that size can begin."""
        hashes = list(self._complete(begin, end))
        root = hashes.pop()
        while hashes:
            root = node_hash(hashes.pop(), root)
        return root

    def _complete(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            level = (end - begin).bit_length() - 1
            yield self._levels[level][begin >> level]
            begin += 1 << level


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether a proof shows that the leaf hash is leaf `index`, from 0, of the tree. Source: RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, each)
        at >>= 1
        last >>= 1
    return last == 0 and found == root


def prefix_holds(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether a proof shows that the old tree begins the new one. Source: RFC 9162, 2.1.4.2."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    found_old = found_new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            found_old, found_new = node_hash(each, found_old), node_hash(each, found_new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found_new = node_hash(found_new, each)
        at >>= 1
        last >>= 1
    return last == 0 and found_old == old_root and found_new == new_root


def _split(count: int) -> int:
    """Return the largest power of two below the count."""
    return 1 << ((count - 1).bit_length() - 1)
