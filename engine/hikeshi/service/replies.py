"""The same request once, however often it comes: an Idempotency-Key is a stream of the journal.

Its first record claims the key, and whoever is second meets a conflict; its second record is the reply that was given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.access.identity import Identity
from hikeshi.journal import SequenceConflict, encode_record

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["KeyReused", "Replies", "Reply", "ReplyPending"]

_LARGEST_BYTES = 32 * 1024
_PENDING_FOR = timedelta(minutes=2)


class KeyReused(Exception):
    """The key came before, with another request."""


class ReplyPending(Exception):
    """The request came before, and its reply is not known (yet)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request was answered."""

    status: int
    body: Any


class Replies:
    """The replies of one service."""

    def __init__(self, app: Hikeshi) -> None:
        self._app = app

    async def claim(self, who: Identity, key: str, request: Mapping[str, Any]) -> Reply | None:
        """Claim a key, and return None, or the reply that it got before.

        Raises KeyReused, ReplyPending, JournalError.
        """
        stream, digest = self._stream(who, key), _digest(request)
        try:
            await self._append(stream, 1, "RequestClaimed", {"by": who.actor, "digest": digest})
        except SequenceConflict:
            return self._known(stream, digest)
        return None

    async def keep(self, who: Identity, key: str, reply: Reply) -> None:
        """Keep a reply for whoever asks the same again. Raises JournalError."""
        body = self._app.redactor.data(reply.body)
        if len(json.dumps(body)) > _LARGEST_BYTES:
            body = None
        data = {"status": reply.status, "body": body, "kept": body is not None or reply.body is None}
        await self._append(self._stream(who, key), 2, "RequestAnswered", data)

    def _known(self, stream: str, digest: str) -> Reply:
        records = list(self._app.journal.read(stream))
        if records[0].data["digest"] != digest:
            raise KeyReused("this Idempotency-Key came before with another request; use a new one")
        if len(records) < 2:
            late = self._app.clock.now() - records[0].at > _PENDING_FOR
            why = (
                "and nobody knows how it ended; look at the runs" if late else "and is under way; ask again in a moment"
            )
            raise ReplyPending(f"this request came before, {why}")
        answered: Mapping[str, Any] = records[1].data
        if not answered["kept"]:
            raise ReplyPending("this request came before and was done; its answer was too large to be kept")
        return Reply(int(answered["status"]), answered["body"])

    async def _append(self, stream: str, seq: int, kind: str, data: dict[str, Any]) -> None:
        record = encode_record(run=stream, seq=seq, at=self._app.clock.now(), kind=kind, path="", data=data)
        await self._app.journal.append(stream, seq, [record])

    def _stream(self, who: Identity, key: str) -> str:
        digest = hashlib.sha256(f"{who.actor}\0{key}".encode()).hexdigest()
        return f"request-{digest[:32]}"


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
