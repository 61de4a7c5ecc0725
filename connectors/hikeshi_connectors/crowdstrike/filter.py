"""Filters in the Falcon Query Language (FQL).

The rule: nothing from outside enters a filter that could mean anything there. How a quote would be escaped inside a
value is not documented, so values that would need it are never written. What cannot be asked for exactly is asked for
more widely, and the answer is compared here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from hikeshi.connector import Invalid

__all__ = ["age", "any_of", "hosts_that_may_be", "is_agent_id"]

_PLAIN = re.compile(r"[\w.-]+")  # means itself in every place of a filter
_AGENT_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def hosts_that_may_be(name: str) -> str:
    """Return a filter that matches every host of this name, agent ID or IP address, and possibly more.

    `hostname:'X'` matches without regard to case, and also every longer name that begins with X, so the part of a name
    before its first unusual character finds it. Raises Invalid for a name that has no such part: the caller's fault.
    Source: maintainers in CrowdStrike/psfalcon#509 and CrowdStrike/Falcon-Toolkit#192.
    """
    address = _address(name)
    if address is not None:
        return f"local_ip:'{address}',connection_ip:'{address}'"
    beginning = _PLAIN.match(name)
    if beginning is None:
        raise Invalid(
            f"Falcon cannot be asked for a host named {name!r}: a name begins with a letter, a digit, '.', '-' or '_'; "
            "give its agent ID or an IP address instead"
        )
    by_name = f"hostname:'{beginning[0]}'"
    return f"device_id:'{name.lower()}',{by_name}" if is_agent_id(name) else by_name


def is_agent_id(text: str) -> bool:
    """Say whether a text has the form of an agent ID (AID): 32 hexadecimal digits."""
    return bool(_AGENT_ID.fullmatch(text))


def any_of(field: str, values: Iterable[str]) -> str:
    """Return a filter for exactly these values. Raises Invalid for one that would need escaping."""
    listed = list(values)
    strange = [value for value in listed if not _PLAIN.fullmatch(value)]
    if strange:
        raise Invalid(f"{strange[0]!r} cannot be part of a Falcon filter")
    return f"{field}:[" + ",".join(f"'{value}'" for value in listed) + "]"


def age(seconds: int) -> str:
    """Return an age as Falcon and its event search write it, in the largest unit that says it exactly: `7d`, `90m`."""
    if seconds <= 0:
        raise Invalid(f"an age is a positive number of seconds, not {seconds}")
    return next((f"{seconds // size}{unit}" for unit, size in _UNITS if seconds % size == 0), f"{seconds}s")


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
