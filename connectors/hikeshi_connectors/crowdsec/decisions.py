"""Decisions as the Local API writes them: what they are about, and how long they last.

A decision's duration is a time span in Go's notation ("1h59m59.5s"), and runs from the `stop_at` of its alert.
Source: pkg/models/localapi_swagger.yaml in crowdsecurity/crowdsec (a88b497b), LAPI 1.4.6 as it answered, and
https://pkg.go.dev/time#ParseDuration.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["KINDS", "Subject", "alert_of", "seconds_of", "subject_of"]

KINDS = {"ipv4", "ipv6", "cidr"}
# A decision has to end at some time: in ten years, if nobody says when.
_ENDLESS_S: Final = 10 * 365 * 24 * 3600
_PARTS: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Subject(NamedTuple):
    """What a decision is about: `Ip` or `Range`, and which."""

    scope: str
    value: str


def subject_of(indicator: Indicator) -> Subject:
    """Return an address or network as the Local API writes it. Raises Invalid, Unsupported."""
    if indicator.kind not in KINDS:
        raise Unsupported(f"CrowdSec decides on addresses and networks, not on indicators of the kind {indicator.kind}")
    try:
        if "%" in indicator.value:
            raise ValueError
        network = ipaddress.ip_network(indicator.value)
    except ValueError:
        raise Invalid(f"{indicator.value[:80]!r} is neither an address nor a network") from None
    if network.prefixlen == network.max_prefixlen:
        return Subject("Ip", str(network.network_address))
    return Subject("Range", str(network))


def alert_of(
    subjects: Sequence[Subject],
    *,
    origin: str,
    scenario: str,
    kind: str,
    reason: str,
    lasts_s: int | None,
    at: datetime,
) -> Mapping[str, Any]:
    """Return the alert that carries a decision for each subject; only with one does the Local API take decisions."""
    now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    decision = {"origin": origin, "type": kind, "scenario": scenario, "duration": f"{lasts_s or _ENDLESS_S}s"}
    return {
        "scenario": scenario,
        "scenario_hash": "",
        "scenario_version": "",
        "message": reason,
        "events_count": len(subjects),
        "start_at": now,
        "stop_at": now,
        "capacity": 0,
        "leakspeed": "",
        "simulated": False,
        "events": [],
        "source": {"scope": "", "value": ""},
        "decisions": [{**decision, **subject._asdict()} for subject in subjects],
    }


def seconds_of(duration: str) -> float:
    """Return a time span in seconds. Raises ValueError for what Go does not take for one."""
    sign, text = (-1, duration[1:]) if duration.startswith("-") else (1, duration.removeprefix("+"))
    if text == "0":
        return 0.0
    if not text or _PARTS.sub("", text):
        raise ValueError(f"{duration!r} is no time span")
    return sign * sum(float(number) * _UNIT_S[unit] for number, unit in _PARTS.findall(text))
