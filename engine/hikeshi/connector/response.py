"""Answers, and what their status means when the product's documentation does not say otherwise."""

from __future__ import annotations

import json as json_codec
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from hikeshi.connector.door import CaptureEnded, current_door
from hikeshi.connector.errors import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)

__all__ = [
    "CapturedResponse",
    "Response",
    "default_check",
    "epoch_or_delay_s",
    "error_of_status",
    "retry_after_s",
    "until_epoch_s",
]

_EPOCH_FROM = 1_000_000_000.0  # a delay of thirty years is none


@dataclass(frozen=True)
class Response:
    """One answer, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    method: str = "GET"
    url: str = ""

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the decoded body, the same each time. Raises Invalid if it is no JSON, whatever the status says."""
        try:
            return self._decoded
        except ValueError:
            kind = self.headers.get("content-type", "no content type")
            # The request was answered, so a change may have had its effect.
            raise Invalid(f"{self.where}: the answer is not JSON ({kind})", applied=Applied.MAYBE) from None

    @cached_property
    def _decoded(self) -> Any:
        return json_codec.loads(self.content)

    @property
    def where(self) -> str:
        parts = urlsplit(self.url)
        return f"{self.method} {parts.netloc}{parts.path} answered {self.status}"


class CapturedResponse(Response):
    """The answer to a request that was never sent. Looking at it ends the preview."""

    def __init__(self) -> None:
        super().__init__(0, {}, b"")

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name != "__dict__":
            return object.__getattribute__(self, name)
        door = current_door()
        if door is not None:
            door.look(name)
        raise CaptureEnded(name)


def default_check(response: Response) -> None:
    """Raise the ConnectorError that a status of 400 and above stands for; pass anything else."""
    if response.status >= 400:
        raise error_of_status(response)


def error_of_status(response: Response, detail: str = "") -> ConnectorError:
    """Return the error that an HTTP status stands for. `detail` is what the product said, without secrets."""
    message = response.where + (f": {detail}" if detail else "")
    status = response.status
    if status == 429:
        return RateLimited(message, retry_after_s=retry_after_s(response.headers))
    if status in (408, 504):
        return Timeout(message, applied=Applied.MAYBE)
    if status >= 500:
        # A server that failed may have failed after the effect.
        return Unavailable(message, applied=Applied.MAYBE, retry_after_s=retry_after_s(response.headers))
    kinds: dict[int, type[ConnectorError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}
    return kinds.get(status, Invalid)(message)


def retry_after_s(headers: Mapping[str, str], name: str = "retry-after") -> float | None:
    """Return the delay a product asks for, in seconds, or None. Source: RFC 9110, 10.2.3 (seconds or a date)."""
    text = headers.get(name, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def until_epoch_s(headers: Mapping[str, str], name: str) -> float | None:
    """Return the seconds until a moment that a header gives in seconds since 1970, or None.

    Compared with the product's own `Date`, so that a clock that is wrong here changes nothing. Where the header is
    there several times, the latest moment counts.
    """
    moments = [float(part) for part in headers.get(name, "").split(",") if part.strip().isdigit()]
    if not moments:
        return None
    try:
        now = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        now = datetime.now(UTC).timestamp()
    return max(0.0, max(moments) - now)


def epoch_or_delay_s(headers: Mapping[str, str], name: str) -> float | None:
    """Return the delay that a header gives, where a product does not say whether it is a delay or a moment."""
    delay_s = retry_after_s(headers, name)
    return until_epoch_s(headers, name) if delay_s is not None and delay_s >= _EPOCH_FROM else delay_s
