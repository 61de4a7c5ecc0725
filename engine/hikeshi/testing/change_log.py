"""What the simulated vendors were asked to do: every change in full, every other request as a count."""

import json
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

RECENT_REQUESTS = 1000


@dataclass(slots=True)
class Change:
    """A request for a change, as it arrived. `status` is None while, or if ever, no answer was made;
    `applied` says whether the vendor accepted it, whatever the caller got to see; `fault` is what went wrong on order.
    """

    n: int
    at: datetime
    product: str
    method: str
    url: str
    content_type: str
    raw_body: bytes
    status: int | None = None
    applied: bool = False
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the change as JSON values, its body parsed as its content type says."""
        return {
            "n": self.n,
            "at": self.at.isoformat(),
            "product": self.product,
            "method": self.method,
            "url": self.url,
            "body": parse_body(self.raw_body, self.content_type),
            "status": self.status,
            "applied": self.applied,
            "fault": self.fault,
        }


class ChangeLog:
    """All changes in order of arrival, counts of all requests by product and route, and the latest requests."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.counts: dict[str, Counter[str]] = {}
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT_REQUESTS)
        self._numbers = count(1)

    def open_change(self, at: datetime, product: str, method: str, url: str, content_type: str, body: bytes) -> Change:
        """Record that a change was asked for; its outcome is filled in later."""
        change = Change(next(self._numbers), at, product, method, url, content_type, body)
        self.changes.append(change)
        return change

    def note(self, at: datetime, product: str, method: str, route: str, url: str, status: int | None) -> None:
        """Record that a request was dealt with."""
        self.counts.setdefault(product, Counter())[f"{method} {route}"] += 1
        self.recent.append(
            {"at": at.isoformat(), "product": product, "method": method, "url": url, "status": status},
        )

    def clear(self) -> None:
        """Forget everything; numbers go on, so that no change ever has the number of another."""
        self.changes.clear()
        self.counts.clear()
        self.recent.clear()


def parse_body(body: bytes, content_type: str) -> Any:
    """Return a request's body as JSON values: parsed JSON, a form as a mapping (a list where a field occurs more
    than once), else text; None when there is none."""
    if not body:
        return None
    if "json" in content_type:
        try:
            return json.loads(body)
        except ValueError:
            return body.decode(errors="replace")
    text = body.decode(errors="replace")
    return _parse_form(text) if content_type.startswith("application/x-www-form-urlencoded") else text


def _parse_form(text: str) -> dict[str, str | list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
