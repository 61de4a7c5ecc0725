"""The hash chain of a run: what each record's hash covers, and what the first one starts from."""

from hashlib import sha256
from typing import Final

_DOMAIN: Final = b"hikeshi journal chain v1\0"
HASH_BYTES: Final = 32


def genesis_hash(run: str) -> bytes:
    """Return what stands before the run's first record. It differs by run, so records can't change runs."""
    return sha256(_DOMAIN + run.encode()).digest()


def next_hash(previous: bytes, encoded: bytes) -> bytes:
    """Return the hash of a record that follows the one with the previous hash."""
    return sha256(previous + encoded).digest()
