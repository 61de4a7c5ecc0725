"""Who asked for what: each request that would change something, the refused ones too, is a record of the journal.

Requests that only read are lines of the log. What comes from nobody who is known is counted, and recorded once a
minute, so that whoever hammers at the door can't fill the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.access.identity import Identity
from hikeshi.journal import append_to_stream

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["STREAM", "RequestLog"]

STREAM = "requests"
"""The name under which its records are in the journal, with the day. No run is called so."""

_UNKNOWN_EVERY = timedelta(minutes=1)
_MOST_PLACES = 100


class RequestLog:
    """Records requests of one service."""

    def __init__(self, app: Hikeshi) -> None:
        self._app = app
        self._unknown: Counter[str] = Counter()
        self._unknown_since: datetime | None = None
        self.refused = 0

    async def record(self, who: Identity, what: str, about: Mapping[str, Any], *, allowed: bool) -> None:
        """Record a request before anything is done about it. Raises JournalError; nothing is done then."""
        if not allowed:
            self.refused += 1
        said = {key: value for key, value in about.items() if value is not None}
        data = {"by": who.actor, "token": who.token, "what": what, "about": said, "allowed": allowed}
        await self._append("RequestMade", self._app.redactor.data(data))

    async def record_unknown(self, place: str) -> None:
        """Note that somebody who is not known was turned away; `place` is where they came from, or too many places."""
        self.refused += 1
        now = self._app.clock.now()
        self._unknown[place if place in self._unknown or len(self._unknown) < _MOST_PLACES else "others"] += 1
        if self._unknown_since is None:
            self._unknown_since = now - _UNKNOWN_EVERY  # the first one is recorded at once
        if now - self._unknown_since >= _UNKNOWN_EVERY:
            counted, self._unknown, self._unknown_since = dict(self._unknown), Counter(), now
            await self._append("RequestsTurnedAway", {"from": counted})

    async def _append(self, kind: str, data: Mapping[str, Any]) -> None:
        now = self._app.clock.now()
        await append_to_stream(self._app.journal, f"{STREAM}-{now:%Y%m%d}", kind, data, now)
