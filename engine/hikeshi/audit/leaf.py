"""What a leaf of the tree stands for: one record, by its run, its number there, and the hash of the run's chain.

The hash covers the record's bytes and everything before them in the run. So one proof for the last record of a run is a
proof for all of it, a checkpoint reads 32 bytes for a record and not the record, and a list of leaves shows which
records there are without showing what is in them.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from hikeshi.audit.errors import AuditError
from hikeshi.audit.merkle import Edge
from hikeshi.journal import Place

__all__ = ["NO_LEAF", "add_places", "leaf_of"]

NO_LEAF: Final = sha256(b"not a record").digest()
"""In the place of a row that can be no record, so that those after it keep theirs."""
_SEQ_BYTES: Final = 8


def leaf_of(run: bytes, seq: int, digest: bytes) -> bytes:
    """Return the leaf hash of a record: RFC 9162's, over seq in eight bytes, the chain's hash, and the run."""
    return sha256(b"\0" + seq.to_bytes(_SEQ_BYTES, "big") + digest + run).digest()


def add_places(edge: Edge, places: Iterable[Place]) -> None:
    """Let a tree grow by the next records. Raises AuditError if they are not the next ones."""
    for position, run, seq, digest in places:
        if position != edge.size + 1 or type(seq) is not int or type(digest) is not bytes or type(run) is not str:
            raise AuditError(
                f"Record {edge.size + 1} of the journal is not where it was",
                f"run {run}, record {seq}",
                "No checkpoint is made over a changed journal; verify it: hikeshi audit verify",
            )
        edge.append(leaf_of(run.encode(), seq, digest))
