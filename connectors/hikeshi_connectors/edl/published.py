"""The lists as the service serves them: who may have them, what is in them, and who has fetched them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from hikeshi.connector import ConnectorError, Secret
from hikeshi.connector.published import ListStanding, PublishedText
from hikeshi_connectors.edl.entries import LISTS
from hikeshi_connectors.edl.settings import EdlSettings
from hikeshi_connectors.edl.store import ListStore

__all__ = ["EdlLists"]


class EdlLists:
    """The published lists of one instance."""

    def __init__(self, store: ListStore, settings: EdlSettings, reveal: Callable[[Secret], str]) -> None:
        self._store = store
        self._settings = settings
        self._reveal = reveal
        self._made: dict[str, tuple[PublishedText, float | None]] = {}

    def admits(self, *, secret: str, authorization: str, address: str) -> bool:
        """Say whether somebody may fetch. With several conditions in the settings, each has to hold."""
        settings = self._settings
        if settings.pollers and address not in settings.pollers:
            return False
        if settings.password is not None and not self._is_user(authorization, settings.password):
            return False
        if settings.secret_path is None:
            return not secret
        return _same(secret, self._reveal(settings.secret_path))

    def read(self, name: str) -> PublishedText | None:
        """Return a list, made anew only if it has changed or a line of it has ended."""
        kinds = LISTS.get(name)
        if kinds is None:
            return None
        text, until = self._made.get(name, (None, None))
        if (
            text is not None
            and text.revision == self._store.revision(kinds)
            and (until is None or self._store.clock() < until)
        ):
            return text
        found = self._store.read(kinds)
        content = "".join(f"{line}\n" for line in found.lines).encode()
        etag = hashlib.sha256(content).hexdigest()[:32]
        text = PublishedText(name, content, etag, datetime.fromtimestamp(found.changed_at, UTC), found.revision)
        self._made[name] = (text, found.until)
        return text

    def polled(self, text: PublishedText, by: str) -> None:
        """Remember who has it. A poll that cannot be written down is one that was not seen: the next one will be."""
        try:
            self._store.polled(text.name, by, text.revision)
        except ConnectorError:
            return

    def standings(self) -> Sequence[ListStanding]:
        """Return how every list stands."""
        found = []
        for name, kinds in LISTS.items():
            latest = next(iter(self._store.polls([name])), None)
            at = None if latest is None else datetime.fromtimestamp(latest.at, UTC)
            found.append(ListStanding(name, self._store.count(kinds), at, "" if latest is None else latest.address))
        return found

    def _is_user(self, authorization: str, password: Secret) -> bool:
        scheme, _, coded = authorization.partition(" ")
        try:
            given = base64.b64decode(coded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and _same(given, f"{self._settings.user}:{self._reveal(password)}")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
