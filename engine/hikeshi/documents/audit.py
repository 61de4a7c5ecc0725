"""What verification found, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.audit.verification import Verdict
    from hikeshi.journal import BadRecord

__all__ = ["sentences_of", "verdict_document"]


def verdict_document(found: Verdict) -> dict[str, Any]:
    """Return a verdict, with what it proves and what it does not as `note`."""
    return {
        "status": found.status,
        "scope": found.scope,
        "records": found.records,
        "runs": found.runs,
        "signed_to": found.signed_to,
        "anchored_to": found.anchored_to,
        "pruned": found.pruned,
        "first_bad": None if found.first_bad is None else _bad(found.first_bad),
        "problems": [_bad(each) for each in found.problems],
        "remarks": list(found.remarks),
        "note": " ".join(sentences_of(found)),
    }


def _bad(each: BadRecord) -> dict[str, Any]:
    return {"run": each.run, "seq": each.seq, "position": each.position, "what": each.what}


def sentences_of(found: Verdict) -> list[str]:
    """Return what the status proves, and what it does not."""
    if not found.pruned:
        return _sentences_of(found)
    pruned = (
        f"{found.pruned} of the records were pruned: their hashes are here and were checked, what they said is in the "
        "packs that records of the run 'retention' name."
    )
    return [*_sentences_of(found), pruned]


def _sentences_of(found: Verdict) -> list[str]:
    signed = (
        f"A key that you believe has signed the first {found.signed_to} records."
        if found.signed_to
        else ("No checkpoint is signed by a key that you believe.")
    )
    match found.status:
        case "ok":
            return ["Every record is the one that was anchored, in its order, and none is missing."]
        case "ok_unanchored_tail":
            return [
                "Every record that is there fits its chain.",
                signed,
                f"Whether records after {found.anchored_to} were cut off, or computed anew by somebody who has the "
                "machine with its key, can tell only a newer checkpoint that an anchor has kept (--anchor FILE).",
            ]
        case "wrong_key":
            return [
                "The records fit their chains, but checkpoints after the last believed one are signed by another key: "
                "nothing there is proven.",
                signed,
                "Compare the key with the one that you pinned, and ask for the record of its change.",
            ]
        case "broken":
            return [
                "Records before the first bad one are as they were signed; from there on nothing is proven.",
                signed,
                "Keep a copy of the file, and its -wal, as they are, and compare them with a backup.",
            ]
