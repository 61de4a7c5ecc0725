"""Searching with CloudWatch Logs Insights: how an indicator is asked for, and what a result says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator, LogEntry
from hikeshi.connector import ConnectorError, Invalid, Timeout, Unavailable, Unsupported, understood

__all__ = ["ended_badly", "entry_of", "mention_of", "newest_first"]

_OWN_FIELDS = frozenset({"@ptr", "@message", "@timestamp"})
# What may stand beside an indicator without being a part of a longer one.
_EDGES = {
    "ipv4": "[^0-9.]",
    "ipv6": "[^0-9A-Fa-f:]",
    "domain": "[^0-9A-Za-z-]",
    "email": "[^0-9A-Za-z.+_-]",
    "url": "",
    "md5": "[^0-9A-Fa-f]",
    "sha1": "[^0-9A-Fa-f]",
    "sha256": "[^0-9A-Fa-f]",
}


def mention_of(indicator: Indicator) -> str:
    """Return the query for entries that mention an indicator; a longer address or name around it is none.

    Raises Unsupported for networks. Source: "filter" in
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html: `like` takes a pattern in slashes.
    """
    if indicator.kind not in _EDGES:
        raise Unsupported(f"Logs Insights finds no entries by a {indicator.kind}")
    if not indicator.value.isprintable() or not indicator.value.strip():
        raise Invalid(f"{indicator.value[:80]!r} is no {indicator.kind}")
    text = re.sub(r"([^0-9A-Za-z])", lambda found: _literally(found[1]), indicator.value)
    edge = _EDGES[indicator.kind]
    pattern = f"(^|{edge}){text}($|{edge})" if edge else text
    return (
        f"fields @timestamp, @message, @logStream, @log | filter @message like /(?i){pattern}/ | sort @timestamp desc"
    )


def entry_of(connector: str, fields: Sequence[Mapping[str, Any]]) -> LogEntry:
    """Return one row of a result. Rows of statistics have neither a moment nor a message."""
    with understood(f"{connector}: GetQueryResults"):
        found = {str(each["field"]): str(each.get("value", "")) for each in fields}
        at = None
        if "@timestamp" in found:
            at = _moment(found["@timestamp"])
        rest = {key: value for key, value in found.items() if key not in _OWN_FIELDS}
        text = found.get("@message") or " ".join(f"{key}={value}" for key, value in rest.items())
        return LogEntry(connector=connector, at=at, text=text, fields=rest)


def newest_first(entries: list[LogEntry]) -> list[LogEntry]:
    """Return entries in order of time, as far as each has one; the order of statistics is their query's."""
    if any(each.at is None for each in entries):
        return entries
    return sorted(entries, key=lambda entry: entry.at or datetime.min.replace(tzinfo=UTC), reverse=True)


def ended_badly(what: str, status: str) -> ConnectorError | None:
    """Return the error of a query that will give no whole result, or None for one that is complete or goes on."""
    if status in ("Scheduled", "Running", "Complete"):
        return None
    if status == "Timeout":
        return Timeout(f"{what}: the query took too long for Logs Insights; narrow it, or the time")
    return Unavailable(f"{what}: the query ended as {status!r}; what it had found is not all")


def _moment(text: str) -> datetime:
    """Return a moment as Logs Insights writes it, in UTC; queries may also make milliseconds since 1970 of it."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _literally(character: str) -> str:
    """Escape what a pattern may understand otherwise. Letters of other alphabets need none."""
    return f"\\{character}" if character.isascii() and character not in "@_ " else character
