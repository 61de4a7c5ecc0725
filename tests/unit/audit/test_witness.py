"""The witness: what claims about a tree say of the records that were seen, record by record."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest

from hikeshi.audit.leaf import leaf_of
from hikeshi.audit.merkle import Edge
from hikeshi.audit.note import VerifierKey
from hikeshi.audit.witness import Claim, Witness, believed_leaves
from hikeshi.journal.examination import BadRecord, Row

pytestmark = pytest.mark.safety(23)

KEY, OTHER = VerifierKey("log", b"k" * 32), VerifierKey("log", b"o" * 32)
Leaf = tuple[bytes, int, bytes]


def leaves(*places: str) -> list[Leaf]:
    """`a1` is the first record of run a."""
    return [(each[:1].encode(), int(each[1:]), sha256(each.encode()).digest()) for each in places]


SIX = leaves("a1", "b1", "a2", "a3", "b2", "a4")


def root(records: Sequence[Leaf], size: int) -> bytes:
    edge = Edge()
    for each in records[:size]:
        edge.append(leaf_of(*each))
    return edge.root()


def claim(size: int, *, anchored: bool = True, signer: VerifierKey = KEY, of: Sequence[Leaf] = SIX) -> Claim:
    return Claim(size, root(of, size), signer, anchored)


def watched(witness: Witness, records: Sequence[Leaf]) -> Witness:
    rows: list[Row] = [(at, run, seq, b"{}", digest) for at, (run, seq, digest) in enumerate(records, 1)]
    assert list(witness.watch(rows)) == rows
    return witness


def problems(witness: Witness, *examined: BadRecord, older: bool = False, run: str | None = None) -> list[BadRecord]:
    return witness.problems(examined, may_be_older=older, only_run=run)


def places(found: list[BadRecord]) -> list[tuple[str, int, int]]:
    return [(each.run, each.seq, each.position) for each in found]


def forged(at: int) -> list[Leaf]:
    """The same records, but for one whose hash is another."""
    return [(run, seq, b"f" * 32 if place == at else digest) for place, (run, seq, digest) in enumerate(SIX, 1)]


def test_what_is_signed_and_what_is_anchored_are_told_apart() -> None:
    """Each up to the last claim of its kind that is true."""
    witness = watched(Witness([claim(2), claim(4, anchored=False)]), SIX)

    assert (witness.signed_to, witness.anchored_to, problems(witness)) == (4, 2, [])
    both = watched(Witness([claim(4, anchored=True), claim(4, anchored=False)]), SIX)
    assert (both.signed_to, both.anchored_to) == (4, 4)
    assert watched(Witness([]), SIX).signed_to == 0


def test_nothing_is_missing_where_nothing_was_claimed() -> None:
    """Of a journal without any record, too."""
    for records in (SIX, []):
        witness = watched(Witness([]), records)
        assert (problems(witness), witness.signed_to, witness.anchored_to) == ([], 0, 0)


def test_without_a_list_a_change_is_between_two_claims() -> None:
    """The first record after the last true claim is named, with how far it may be."""
    witness = watched(Witness([claim(2), claim(5), claim(6)]), forged(4))

    (found,) = problems(witness)
    assert (found.run, found.seq, found.position) == ("a", 2, 3)
    assert "records 3 to 5 of the journal" in found.what
    assert (witness.signed_to, witness.anchored_to) == (2, 2)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_claims_that_contradict_each_other_one_is_a_problem(order: int) -> None:
    """Whichever comes first: the same key has signed two different journals of the same size."""
    claims = [claim(4), claim(4, of=forged(4))][::order]
    witness = watched(Witness([claim(2), *claims]), SIX)

    (found,) = problems(witness)
    assert (found.run, found.seq, found.position) == ("a", 2, 3)
    assert "records 3 to 4 of the journal" in found.what
    assert witness.signed_to == 4


def test_before_the_first_true_claim_it_may_be_any_record() -> None:
    """From the first one on."""
    (found,) = problems(watched(Witness([claim(5)]), forged(4)))

    assert (found.run, found.seq, found.position) == ("a", 1, 1)


@pytest.mark.parametrize(("position", "counts"), [(1, True), (5, True), (6, False), (0, False)])
def test_what_was_found_at_a_record_says_more_than_a_range(position: int, counts: bool) -> None:
    """If it explains the claim: it lies before that, at a known place."""
    own = BadRecord("b", 9, "its bytes are not a record", position)

    found = problems(watched(Witness([claim(2), claim(5)]), forged(4)), own)

    assert own in found
    assert len(found) == (1 if counts else 2)
    assert sorted(places(found), key=lambda each: (not each[2], each[2])) == places(found)


def test_a_list_names_the_changed_record() -> None:
    """As far as a claim confirms the list; what comes after that is only remarked upon."""
    witness = watched(Witness([claim(2), claim(5)], SIX), forged(4))
    (found,) = problems(witness)
    assert (found.run, found.seq, found.position) == ("a", 3, 4)
    assert "computed anew" in found.what
    assert witness.remarks() == []

    beyond = watched(Witness([claim(2), claim(5)], SIX), forged(6))
    assert problems(beyond) == []
    assert beyond.remarks() == ["of the 6 records that the anchor lists, 5 are confirmed"]
    last = watched(Witness([claim(5)], SIX), forged(5))
    assert places(problems(last)) == [("b", 2, 5)]
    assert watched(Witness([claim(5)], SIX), SIX).remarks() == []


def test_a_list_says_what_should_stand_where_another_record_does() -> None:
    """Both are named: the one that is missing, and the one in its place."""
    swapped = [*SIX[:2], SIX[3], SIX[2], *SIX[4:]]

    (found,) = problems(watched(Witness([claim(6)], SIX), swapped))

    assert (found.run, found.seq, found.position) == ("a", 2, 3)
    assert "record 3 of run a stands there" in found.what


def test_what_an_unsigned_claim_says_confirms_no_list() -> None:
    """Only what an anchor kept does."""
    assert list(believed_leaves(SIX, [claim(3, anchored=False)])) == []
    assert list(believed_leaves(SIX, [claim(3), claim(5, of=forged(4))])) == SIX[:3]
    assert list(believed_leaves(SIX, [claim(3), claim(5)])) == SIX[:5]


def test_records_that_are_missing_at_the_end_are_named_by_the_list() -> None:
    """The first of them; and of a run alone, the first of that run."""
    witness = watched(Witness([claim(6)], SIX), SIX[:3])

    assert places(problems(witness)) == [("a", 3, 4)]
    assert places(problems(witness, run="a")) == [("a", 3, 4)]
    assert places(problems(witness, run="b")) == [("b", 2, 5)]
    assert problems(witness, run="c") == []
    assert problems(witness, older=True) == []


def test_a_list_that_is_not_long_enough_does_not_clear_a_run() -> None:
    """What is missing may well be of that run."""
    witness = watched(Witness([claim(4), claim(6)], SIX[:4]), SIX[:3])

    assert places(problems(witness, run="b")) == [("a", 3, 4)]


def missing(run: str, seq: int, position: int = 0) -> BadRecord:
    return BadRecord(run, seq, "is missing: its head knows of it", position)


def test_a_run_whose_head_knows_of_more_is_the_one_that_was_cut() -> None:
    """If it is the only one: its next record is the one after the end."""
    claims = [claim(4), claim(6)]

    assert places(problems(watched(Witness(claims), SIX[:5]), missing("a", 4))) == [("a", 4, 6)]
    both = problems(watched(Witness(claims), SIX[:5]), missing("a", 4), missing("b", 3))
    assert places(both) == [("b", 2, 5), ("a", 4, 0), ("b", 3, 0)]
    placed = problems(watched(Witness(claims), SIX[:5]), missing("a", 3, 4))
    assert places(placed) == [("a", 3, 4), ("b", 2, 5)]
    other = problems(watched(Witness(claims), SIX[:5]), BadRecord("a", 4, "its bytes are not a record"))
    assert places(other) == [("b", 2, 5), ("a", 4, 0)]


def test_an_end_of_which_nobody_knows_the_records_is_told_by_its_numbers() -> None:
    """How many there were is signed."""
    (after,) = problems(watched(Witness([claim(4), claim(6)]), SIX[:4]))
    assert (after.run, after.seq, after.position) == ("", 0, 5)
    assert after.what == "records 5 to 6 of the journal are missing: they were signed"

    (within,) = problems(watched(Witness([claim(4), claim(6)]), SIX[:5]))
    assert (within.run, within.seq, within.position) == ("b", 2, 5)
    assert "records 5 to 6 of the journal" in within.what
    assert "ends with record 5" in within.what


def test_a_change_before_the_missing_end_is_told_first() -> None:
    """Not both: the range says that everything after it may be another."""
    found = problems(watched(Witness([claim(2), claim(4), claim(6)]), [*forged(3)[:5]]))

    assert places(found) == [("a", 2, 3)]


def test_what_stands_in_place_of_a_record_need_not_be_one() -> None:
    """Whatever was written there, it is shown, and never taken for a number."""
    odd: list[Row] = [(1, b"a\xff", "x", b"{}", None), (2, None, 2.5, b"{}", b"d" * 32)]
    witness = Witness([claim(2)], SIX[:2])
    assert len(list(witness.watch(odd))) == 2
    (found,) = problems(witness)
    assert (found.run, found.seq) == ("a", 1)
    assert "record 0 of run a\\xff stands there" in found.what

    blind = Witness([claim(2)])
    assert len(list(blind.watch(odd))) == 2
    assert places(problems(blind)) == [("a\\xff", 0, 1)]
    short = Witness([claim(6)])
    assert len(list(short.watch(odd[1:]))) == 1
    assert places(problems(short)) == [("None", 0, 1)]


@pytest.mark.parametrize("seq", [0, -1, 2**63, 2**64])
def test_a_number_that_no_record_can_have_makes_no_leaf(seq: int) -> None:
    """It is another record than any that was signed, and nothing breaks off."""
    witness = Witness([claim(1)])
    assert len(list(witness.watch([(1, b"a", seq, b"{}", SIX[0][2])]))) == 1
    assert places(problems(witness)) == [("a", seq, 1)]


@pytest.mark.parametrize("seq", [0, 2**63])
def test_a_number_that_no_record_can_have_is_not_believed_because_it_was_signed(seq: int) -> None:
    """Whoever has the key may sign anything; the engine never wrote that."""
    row = [(b"a", seq, b"d" * 32)]

    assert places(problems(watched(Witness([claim(1, of=row)]), row))) == [("a", seq, 1)]


def test_the_last_number_that_a_record_can_have_makes_one() -> None:
    """The twin."""
    last = [(b"a", 2**63 - 1, b"d" * 32)]

    assert problems(watched(Witness([claim(1, of=last)]), last)) == []


def test_a_retired_key_signs_nothing_from_its_retirement_on() -> None:
    """Record 2 of the run `audit` retires the first key: what it signed before counts, and then no more."""
    records = [*leaves("a1", "b1"), (b"audit", 1, b"1" * 32), (b"audit", 2, b"2" * 32), *leaves("a2")]
    early, at, late = (claim(size, of=records) for size in (3, 4, 5))
    new = claim(5, of=records, signer=OTHER)
    witness = watched(Witness([early, at, late, new], (), {KEY: 2}), records)

    assert witness.rejected == [at, late]
    assert (witness.signed_to, problems(witness)) == (5, [])
    unknown = watched(Witness([late], (), {KEY: 9}), records)
    assert (unknown.rejected, unknown.signed_to) == ([], 5)


def test_the_same_record_is_named_once() -> None:
    """By the first that was said of it."""
    one, two = BadRecord("a", 3, "first", 4), BadRecord("a", 3, "second", 4)
    blob, other = BadRecord("", 0, "the blob x is missing"), BadRecord("", 0, "the blob y is missing")

    assert problems(watched(Witness([]), SIX), blob, one, two, other, blob) == [one, blob, other]
