"""Tokens: what programs and people come in with. A session of the console is one, too, with a shorter life.

A token is 256 bits of chance, so its SHA-256 can be stored without salt: nobody can guess what it is the hash of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hikeshi.access.identity import Identity
from hikeshi.access.projection import STREAM
from hikeshi.access.roles import Role
from hikeshi.journal import Journal, append_to_stream

__all__ = ["LONGEST_S", "PREFIX", "NotKnown", "Token", "Tokens"]

PREFIX = "hik_"
"""What every token begins with, so that scanners of repositories find one that was left there."""

LONGEST_S = 366 * 86_400.0
_FORM = re.compile(rf"{PREFIX}[0-9a-f]{{12}}_[A-Za-z0-9_-]{{43}}")

Kind = Literal["token", "session"]


class NotKnown(Exception):
    """What somebody came in with opens nothing. The text may be told to anybody."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is stored; its secret is not."""

    token: str
    kind: Kind
    name: str
    person: str | None
    roles: tuple[Role, ...]
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None

    def status(self, now: datetime) -> str:
        """Return `good`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "good" if now < self.expires_at else "expired"


class Tokens:
    """The tokens of a project. `people` gives the IDs of the people there are now, each with the name that is shown."""

    def __init__(self, journal: Journal, now: Callable[[], datetime], people: Callable[[], Mapping[str, str]]) -> None:
        self._journal = journal
        self._now = now
        self._people = people

    async def make(
        self,
        name: str,
        roles: Collection[Role],
        *,
        good_for_s: float,
        by: str,
        person: str | None = None,
        kind: Kind = "token",
        parent: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token and return it with its secret text, which is nowhere else.

        `person` is the ID of who acts with it; without one it is a program that does, under `name`. A token with a
        `parent` ends with that one. Raises ValueError for what makes no sense, JournalError.
        """
        if not roles:
            raise ValueError("a token needs a role: " + ", ".join(Role))
        if not 0 < good_for_s <= LONGEST_S:
            raise ValueError("a token is good for more than nothing, and for a year at most")
        if person is not None and person not in self._people():
            known = ", ".join(self._people()) or "nobody yet"
            raise ValueError(f"there is no person {person!r} in hikeshi.yaml (there is {known})")
        if Role.APPROVER in roles and person is None:
            raise ValueError("a program can't approve; a token with the role 'approver' needs the person it is for")
        id_, secret = os.urandom(6).hex(), urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        text = f"{PREFIX}{id_}_{secret}"
        now = self._now()
        data: dict[str, Any] = {
            "token": id_,
            "hash": _hash(text),
            "kind": kind,
            "name": name,
            "person": person,
            "roles": sorted(map(str, roles)),
            "by": by,
            "expires_at": (now + timedelta(seconds=good_for_s)).isoformat(),
            "parent": parent,
        }
        await append_to_stream(self._journal, STREAM, "TokenMade", data, now)
        return self.get(id_), text

    async def revoke(self, token: str, *, by: str) -> Token:
        """Let a token, and the sessions that began with it, open nothing any more. Raises NotKnown, JournalError."""
        found = self.get(token)
        if found.revoked_at is None:
            await append_to_stream(self._journal, STREAM, "TokenRevoked", {"token": token, "by": by}, self._now())
        return self.get(token)

    def get(self, token: str) -> Token:
        """Return a token by its ID. Raises NotKnown, JournalError."""
        rows = self._journal.query("SELECT * FROM tokens WHERE token = ?", (token,))
        if not rows:
            raise NotKnown(f"there is no token {token[:20]!r}; 'hikeshi token list' shows all")
        return _token(rows[0])

    def all(self, kind: Kind | None = "token") -> list[Token]:
        """Return every token, the newest first; None means sessions, too. Raises JournalError."""
        rows = self._journal.query(
            "SELECT * FROM tokens WHERE ? IS NULL OR kind = ? ORDER BY made_at DESC, token", (kind, kind)
        )
        return [_token(row) for row in rows]

    def identify(self, text: str, kind: Kind = "token") -> Identity:
        """Return who comes in with a token. Raises NotKnown, and never says what exactly is wrong; JournalError."""
        rows = []
        if _FORM.fullmatch(text):
            rows = self._journal.query("SELECT * FROM tokens WHERE hash = ? AND kind = ?", (_hash(text), kind))
        token = _token(rows[0]) if rows else None
        if token is None or token.status(self._now()) != "good":
            raise NotKnown("this token opens nothing here: it is wrong, expired or revoked")
        people = self._people()
        if token.person is None:
            return Identity(f"token:{token.name}", token.token, frozenset(token.roles), None, token.name)
        if token.person not in people:
            raise NotKnown("this token opens nothing here: its person is not in hikeshi.yaml any more")
        shown = people[token.person]
        return Identity(token.person, token.token, frozenset(token.roles), token.person, shown)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token(row: Any) -> Token:
    revoked_at = row["revoked_at"]
    return Token(
        row["token"],
        row["kind"],
        row["name"],
        row["person"],
        tuple(Role(each) for each in json.loads(row["roles"])),
        row["made_by"],
        datetime.fromisoformat(row["made_at"]),
        datetime.fromisoformat(row["expires_at"]),
        None if revoked_at is None else datetime.fromisoformat(revoked_at),
        row["revoked_by"],
    )
