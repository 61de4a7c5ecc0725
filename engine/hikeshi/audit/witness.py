"""What signed checkpoints say about records: the tree is built anew, and compared with each signed root as it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from hikeshi.audit.anchor_file import Leaf
from hikeshi.audit.leaf import NO_LEAF, leaf_of
from hikeshi.audit.merkle import Edge
from hikeshi.audit.note import VerifierKey
from hikeshi.audit.stream import AUDIT_RUN
from hikeshi.journal.examination import BadRecord, Row

__all__ = ["Claim", "Witness", "believed_leaves"]

_LARGEST_SEQ: Final = 2**63
_AUDIT: Final = AUDIT_RUN.encode()


class Claim(NamedTuple):
    """What a believed signature says: the first `size` records have this root."""

    size: int
    root: bytes
    signer: VerifierKey
    is_anchored: bool


class Witness:
    """Looks on while records are examined, and says afterwards what of the claims is true.

    `leaves` are those that an anchor keeps, confirmed or not; `retired` says from which record of the run `audit` on a
    key does not count any more.
    """

    def __init__(
        self, claims: Iterable[Claim], leaves: Sequence[Leaf] = (), retired: Mapping[VerifierKey, int] | None = None
    ) -> None:
        self._claims: dict[int, list[Claim]] = {}
        for claim in claims:
            self._claims.setdefault(claim.size, []).append(claim)
        self._leaves = leaves
        self._retired = retired or {}
        self._own: set[Any] = set()  # the numbers of the records of `audit` that were seen
        self._before: bytes | None = None
        self.edge = Edge()
        self.signed_to = 0
        self.anchored_to = 0
        self.rejected: list[Claim] = []  # of keys that were retired by then
        self._wrong_at = 0  # the smallest size whose root is another one
        self._wrong_from: tuple[int, Any, Any]  # and then the record after the last good claim before it
        self._after_good: tuple[Any, Any] | None = None  # which record follows the last good claim
        self._first_other: tuple[int, Any, Any] | None = (
            None  # where the anchor's list says otherwise, and what is there
        )

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Give the rows on, one by one."""
        edge, leaves, claims = self.edge, self._leaves, self._claims
        kept = len(leaves)
        for row in rows:
            _, run, seq, _, digest = row
            if type(run) is bytes and type(seq) is int and 0 < seq < _LARGEST_SEQ and type(digest) is bytes:
                leaf = leaf_of(run, seq, digest)
            else:
                leaf = NO_LEAF
            at = edge.size
            if self._after_good is None:
                self._after_good = (run, seq)
            if at < kept and (run, seq, digest) != leaves[at]:
                kept = at  # from here on everything may be another
                self._first_other = at, run, seq
            if run == _AUDIT:
                self._own.add(seq)
            edge.append(leaf)
            if at + 1 in claims:
                self._compare(claims[at + 1])
            yield row

    def _compare(self, claims: Sequence[Claim]) -> None:
        root = self.edge.root()
        # Of two that contradict each other the wrong one comes first: the good one ends what it is about.
        for claim in sorted(claims, key=lambda claim: claim.root == root):
            retired_by = self._retired.get(claim.signer)
            if retired_by is not None and retired_by in self._own:
                self.rejected.append(claim)
            elif claim.root == root:
                self.signed_to = claim.size
                self.anchored_to = claim.size if claim.is_anchored else self.anchored_to
                self._after_good = None
            elif not self._wrong_at:
                assert self._after_good is not None
                self._wrong_at = claim.size
                self._wrong_from = (self.signed_to + 1, *self._after_good)

    @cached_property
    def _believed(self) -> Sequence[Leaf]:
        """The anchor's list, up to the last record that a claim confirms. Only needed where something is wrong."""
        return believed_leaves(self._leaves, (claim for each in self._claims.values() for claim in each))

    def remarks(self) -> list[str]:
        """Return what is to be said of the anchor's list."""
        if self._first_other is None or self._first_other[0] < len(self._believed):
            return []
        return [f"of the {len(self._leaves)} records that the anchor lists, {len(self._believed)} are confirmed"]

    def _other(self) -> BadRecord | None:
        if self._first_other is None or self._first_other[0] >= len(self._believed):
            return None
        at, run, seq = self._first_other
        kept_run, kept_seq, _ = self._believed[at]
        what = (
            "is not the one that was anchored: it was changed, and its hash computed anew"
            if (run, seq) == (kept_run, kept_seq)
            else f"is not in its place: record {seq if type(seq) is int else 0} of run {_shown(run)} stands there"
        )
        return BadRecord(_shown(kept_run), kept_seq, what, at + 1)

    def problems(self, examined: Sequence[BadRecord], *, may_be_older: bool, only_run: str | None) -> list[BadRecord]:
        """Return all problems, those that were examined and those of the claims, in the order of their places.

        With `may_be_older`, claims about more records than there are do not matter; with `only_run` those matter that
        are known to be of this run, if it is known which are.
        """
        found = list(examined)
        missing = [] if may_be_older else self._missing(found, only_run)
        found = missing + found
        other = self._other()
        if other is not None:  # before others of the same place: it knows what should stand there
            found.insert(0, other)
        elif self._wrong_at and not any(0 < each.position <= self._wrong_at for each in found):
            found.append(self._range())
        places: dict[object, BadRecord] = {}
        for each in sorted(found, key=lambda each: (not each.position, each.position)):
            places.setdefault((each.run, each.seq) if each.seq else each.what, each)
        return list(places.values())

    def _range(self) -> BadRecord:
        begin, run, seq = self._wrong_from
        what = (
            f"is the first of records {begin} to {self._wrong_at} of the journal, which are not all what was signed: "
            "one or more were replaced, and the hashes computed anew"
        )
        return BadRecord(_shown(run), seq if type(seq) is int else 0, what, begin)

    def _missing(self, found: list[BadRecord], only_run: str | None) -> list[BadRecord]:
        size, most = self.edge.size, max(self._claims, default=0)
        if most <= size:
            return []
        gone = self._believed[size:most]
        if only_run is not None and len(self._believed) >= most:
            name = only_run.encode()
            at = next((at for at, leaf in enumerate(gone) if leaf[0] == name), None)
            if at is None:
                return []
            return [BadRecord(only_run, gone[at][1], "is missing: the anchor has it", size + at + 1)]
        what = f"is missing: {most} records of the journal were signed, and it ends with the one before"
        if gone:
            return [BadRecord(_shown(gone[0][0]), gone[0][1], what, size + 1)]
        by_head = [each for each in found if not each.position and each.what.startswith("is missing")]
        if len(by_head) == 1:  # only one run is short, so it is known which record comes next
            return [BadRecord(by_head[0].run, by_head[0].seq, what, size + 1)]
        return [] if self._wrong_at else [self._short(most)]

    def _short(self, most: int) -> BadRecord:
        """Say that the end is missing where nothing tells which records were after the last good claim."""
        begin, size = self.signed_to + 1, self.edge.size
        if begin > size:
            return BadRecord("", 0, f"records {begin} to {most} of the journal are missing: they were signed", begin)
        assert self._after_good is not None
        run, seq = self._after_good
        what = (
            f"is the first of records {begin} to {most} of the journal, which are not all there as they were signed: "
            f"it ends with record {size}"
        )
        return BadRecord(_shown(run), seq if type(seq) is int else 0, what, begin)


def believed_leaves(leaves: Sequence[Leaf], claims: Iterable[Claim]) -> Sequence[Leaf]:
    """Return the leaves that an anchor keeps, up to the last one which a claim confirms."""
    roots = {(claim.size, claim.root) for claim in claims if claim.is_anchored}
    sizes = {size for size, _ in roots}
    edge, believed = Edge(), 0
    for leaf in leaves:
        edge.append(leaf_of(*leaf))
        if edge.size in sizes and (edge.size, edge.root()) in roots:
            believed = edge.size
    return leaves[:believed]


def _shown(run: Any) -> str:
    return run.decode(errors="backslashreplace") if isinstance(run, bytes) else repr(run)
