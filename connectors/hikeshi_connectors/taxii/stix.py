"""Indicators as STIX 2.1 writes them, and back.

Only patterns that compare one property with one value, alone or joined by OR, are single indicators; what says more
(AND, FOLLOWEDBY, ranges, expressions) means something else than its parts and is left out. Source: STIX 2.1, 4.7 and 9.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.capabilities import Indicator

__all__ = ["indicators_in", "stix_indicator"]

_PATHS: Final = {
    "ipv4": "ipv4-addr:value",
    "ipv6": "ipv6-addr:value",
    "cidr": "ipv4-addr:value",
    "domain": "domain-name:value",
    "url": "url:value",
    "email": "email-addr:value",
    "md5": "file:hashes.MD5",
    "sha1": "file:hashes.'SHA-1'",
    "sha256": "file:hashes.'SHA-256'",
}
_KINDS: Final = {
    "ipv4-addr:value": "ipv4",
    "ipv6-addr:value": "ipv6",
    "domain-name:value": "domain",
    "url:value": "url",
    "email-addr:value": "email",
    "email-message:from_ref.value": "email",
    "file:hashes.md5": "md5",
    "file:hashes.sha-1": "sha1",
    "file:hashes.sha-256": "sha256",
}
_ONE: Final = re.compile(r"\s*([a-z0-9-]+:[A-Za-z0-9_.'\"-]+)\s*=\s*'((?:[^'\\]|\\.)*)'\s*")
_OWN: Final = uuid.UUID("6d3f7d7e-5f4b-5c4e-9a55-2d7a1b0c9e11")  # names of what is shared from here are made of it


def indicators_in(found: Mapping[str, Any], now: datetime) -> list[Indicator]:
    """Return the indicators of a STIX object; none of one that is revoked, over, of another type or says more."""
    if found.get("type") != "indicator" or found.get("revoked") or found.get("pattern_type", "stix") != "stix":
        return []
    until = found.get("valid_until")
    if isinstance(until, str) and datetime.fromisoformat(until) <= now:
        return []
    return list(_parsed(str(found["pattern"])))


def stix_indicator(indicator: Indicator, title: str, key: str, now: datetime) -> dict[str, Any]:
    """Return a STIX object. Its ID follows from `key` and the indicator, so that a repetition is the same object."""
    path = _PATHS[indicator.kind]
    if indicator.kind == "cidr" and ":" in indicator.value:
        path = _PATHS["ipv6"]
    value = indicator.value.replace("\\", "\\\\").replace("'", "\\'")
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(_OWN, f'{key}/{indicator.kind}/{indicator.value}')}",
        "created": moment,
        "modified": moment,
        "name": title,
        "indicator_types": ["malicious-activity"],
        "pattern": f"[{path} = '{value}']",
        "pattern_type": "stix",
        "valid_from": moment,
    }


def _parsed(pattern: str) -> Iterator[Indicator]:
    text = pattern.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return
    found: list[Indicator] = []
    for part in re.split(r"\]\s*OR\s*\[|\sOR\s", text[1:-1]):
        match = _ONE.fullmatch(part)
        kind = None if match is None else _KINDS.get(match[1].replace("'", "").replace('"', "").casefold())
        if match is None or kind is None:
            return  # one part of it is no single indicator, so the whole says something else
        found.append(_normal(kind, re.sub(r"\\(.)", r"\1", match[2])))
    yield from found


def _normal(kind: str, value: str) -> Indicator:
    if kind in ("ipv4", "ipv6") and "/" in value:
        kind = "cidr"
    if kind not in ("url", "email"):
        value = value.casefold()
    return Indicator.model_validate({"kind": kind, "value": value})
