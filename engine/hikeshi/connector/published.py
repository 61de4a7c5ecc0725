"""Lists that a connector publishes: products fetch them from the service, at `/lists/<instance>/<name>.txt`.

The connector knows what is in them and who may have them; the service knows HTTP. Everything here may wait for a disk,
so the service calls it beside the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ListStanding", "PublishedLists", "PublishedText"]


@dataclass(frozen=True, slots=True)
class PublishedText:
    """A list as it is now, one entry a line. `revision` says which changes are in it, `changed_at` is UTC."""

    name: str
    content: bytes
    etag: str
    changed_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class ListStanding:
    """How many entries a list has, and when (UTC) and by which address it was fetched last; None and "" for never."""

    name: str
    entries: int
    polled_at: datetime | None
    polled_by: str = ""


class PublishedLists(Protocol):
    """The lists of one instance."""

    def admits(self, *, secret: str, authorization: str, address: str) -> bool:
        """Say whether somebody may have the lists: by the secret in the path ("" for none), header and address.

        Raises SecretUnavailable.
        """
        ...

    def read(self, name: str) -> PublishedText | None:
        """Return a list, or None for a name that there is not. Raises ConnectorError."""
        ...

    def polled(self, text: PublishedText, by: str) -> None:
        """Note that an address has fetched a list, or has learned that its copy is still right."""
        ...

    def standings(self) -> Sequence[ListStanding]:
        """Return how every list stands. Raises ConnectorError."""
        ...
