"""One message as it came in, and what verifying it gives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from hikeshi.quick_dataclass import dataclass
from hikeshi.triggers.body import Malformed, object_of

__all__ = ["JSON_TYPES", "Delivery", "Refused", "Unavailable", "Verified", "Verifier"]

JSON_TYPES = ("application/json",)
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)
_ID = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


class Refused(Exception):
    """A message is not taken. `code` is all that its sender is told besides the words, which say no more."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unavailable(Exception):
    """Whether a message may be taken can't be told now; its sender may send it again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message. Names of headers are in lower case; each has every value that was sent."""

    headers: Mapping[str, Sequence[str]]
    content_type: str
    body: bytes
    at: datetime

    def header(self, name: str) -> str:
        """Return the one value of a header. Raises Refused if it is missing, or there are several."""
        values = self.headers.get(name.lower(), ())
        if len(values) != 1:
            raise unsigned() if not values else malformed("a header is given twice")
        return values[0]

    def seconds(self, name: str) -> int:
        """Return the time in a header, in seconds since 1970. Raises Refused."""
        text = self.header(name)
        if not _SECONDS.fullmatch(text):
            raise malformed("its time is no time")
        return int(text)

    def id_in(self, name: str) -> str:
        """Return the ID in a header. Raises Refused."""
        text = self.header(name)
        if not _ID.fullmatch(text):
            raise malformed("its ID is no ID")
        return text

    def object(self) -> dict[str, Any]:
        """Return the body as an object. Raises Refused."""
        try:
            return object_of(self.body)
        except Malformed as exc:
            raise malformed(str(exc)) from None

    @property
    def digest(self) -> str:
        """The SHA-256 of the body: what a message is recognised by whose ID anybody could change."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    def refuse_stale(self, sent_s: float, replay_s: int) -> None:
        """Raise Refused unless a time is near enough to now, either way."""
        if abs(self.at.timestamp() - sent_s) > replay_s:
            raise Refused(400, "stale", "the time of this message is too far from now")


@dataclass(frozen=True, slots=True)
class Verified:
    """A message that comes from whom it says.

    `id` is what its sender calls it, `also` further names by which a copy of it would be recognised. With an `answer`
    its sender wants to hear just that, and nothing is to be stored. With `is_for_people` it starts nothing: `told` is
    what people are to hear of it, and `after` is done once it is stored.
    """

    id: str
    data: Any
    also: tuple[str, ...] = ()
    answer: Mapping[str, Any] | None = None
    is_for_people: bool = False
    told: str = ""
    after: Callable[[], Awaitable[None]] | None = field(default=None)


class Verifier(Protocol):
    """Verifies the messages of one source."""

    @property
    def content_types(self) -> Sequence[str]:
        """The types of body that it reads."""

    @property
    def needs(self) -> Sequence[str]:
        """The headers without which nothing is worth reading, in lower case."""

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""


def unsigned() -> Refused:
    """Return the refusal of a message without a signature."""
    return Refused(401, "unsigned", "this message is not signed as it has to be")


def wrong_signature() -> Refused:
    """Return the refusal of a message whose signature is not that of its sender."""
    return Refused(401, "signature", "the signature of this message is not right")


def malformed(why: str) -> Refused:
    """Return the refusal of a message that can't be read."""
    return Refused(400, "malformed", why)


def text_at(value: Any, path: Sequence[str]) -> str:
    """Return the text or number at a path of an object, as text. Raises Refused unless it can be an ID."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or not 1 <= len(str(value)) <= 1000:
        raise malformed("its ID is not where it has to be")
    return str(value)
