"""Attributes: what an event consists of, as indicators and back.

Several types are made of two values with a bar between; each part counts. Source: MISP 2.5.1,
app/Model/MispAttribute.php (types) and app/Lib/Tools/AttributeValidationTool.php (what is stored of them).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hikeshi.capabilities import Indicator

__all__ = ["KINDS", "TYPES", "indicators_in", "is_flagged", "new_attribute", "same"]

_ADDRESS: Final = "address"
_PARTS: Final[Mapping[str, tuple[str | None, ...]]] = {
    "ip-src": (_ADDRESS,),
    "ip-dst": (_ADDRESS,),
    "ip-src|port": (_ADDRESS, None),
    "ip-dst|port": (_ADDRESS, None),
    "domain": ("domain",),
    "hostname": ("domain",),
    "hostname|port": ("domain", None),
    "domain|ip": ("domain", _ADDRESS),
    "url": ("url",),
    "email": ("email",),
    "email-src": ("email",),
    "email-dst": ("email",),
    "email-reply-to": ("email",),
    "md5": ("md5",),
    "sha1": ("sha1",),
    "sha256": ("sha256",),
    "filename|md5": (None, "md5"),
    "filename|sha1": (None, "sha1"),
    "filename|sha256": (None, "sha256"),
    "malware-sample": (None, "md5"),
}
_MADE: Final = {
    "ipv4": ("Network activity", "ip-dst"),
    "ipv6": ("Network activity", "ip-dst"),
    "cidr": ("Network activity", "ip-dst"),
    "domain": ("Network activity", "domain"),
    "url": ("Network activity", "url"),
    "email": ("Payload delivery", "email-src"),
    "md5": ("Payload delivery", "md5"),
    "sha1": ("Payload delivery", "sha1"),
    "sha256": ("Payload delivery", "sha256"),
}
_HASHES: Final = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha1": re.compile(r"[0-9a-f]{40}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
TYPES: Final = tuple(_PARTS)
KINDS: Final = set(_MADE)


def indicators_in(attribute: Mapping[str, Any]) -> list[Indicator]:
    """Return the indicators that an attribute holds: none for other types, two for an address with its domain."""
    parts = _PARTS.get(str(attribute["type"]), ())
    values = str(attribute["value"]).rsplit("|", max(0, len(parts) - 1))
    if len(values) != len(parts):
        return []
    return [each for part, value in zip(parts, values, strict=True) if part for each in _read(part, value.strip())]


def same(indicator: Indicator) -> Indicator:
    """Return an indicator in the form in which `indicators_in` gives it, to compare the two."""
    part = _ADDRESS if indicator.kind in ("ipv4", "ipv6", "cidr") else indicator.kind
    return next(_read(part, indicator.value), indicator)


def is_flagged(attribute: Mapping[str, Any]) -> bool:
    """Say whether an attribute is meant to be detected by, and is not context alone (`to_ids`)."""
    return attribute["to_ids"] in (True, 1, "1")


def new_attribute(indicator: Indicator, title: str) -> dict[str, Any]:
    """Return an attribute to add to an event. Who gets to see it is left to the default of the instance."""
    category, kind = _MADE[indicator.kind]
    return {"category": category, "type": kind, "value": indicator.value, "to_ids": True, "comment": title}


def _read(part: str, value: str) -> Iterator[Indicator]:
    if part == _ADDRESS:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            return
        whole = "/" in value and network.prefixlen < network.max_prefixlen
        kind, text = ("cidr", str(network)) if whole else (f"ipv{network.version}", str(network.network_address))
        yield Indicator.model_validate({"kind": kind, "value": text})
        return
    text = value if part == "url" else value.lower().rstrip(".") if part == "domain" else value.lower()
    if text and (part not in _HASHES or _HASHES[part].fullmatch(text)):
        yield Indicator.model_validate({"kind": part, "value": text})
