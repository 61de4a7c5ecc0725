"""The traffic log: the query, and what its entries say. Most of its times are in the firewall's own zone, unnamed.

Sources: https://docs.paloaltonetworks.com/ngfw/api/pan-os-xml-api-request-types-and-actions/retrieve-logs,
"Traffic Log Fields" in the PAN-OS administrator's guide.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from hikeshi.capabilities import Connection
from hikeshi.connector import Invalid

__all__ = ["connection_of", "traffic_query"]

_TIME = "%Y/%m/%d %H:%M:%S"


def traffic_query(address: str, since: datetime, until: datetime, zone: ZoneInfo) -> str:
    """Return the query for traffic to or from an address or network that was logged between two times.

    Raises Invalid for text that is no address: the log knows no names.
    """
    try:
        network = ipaddress.ip_network(address.strip(), strict=False)
    except ValueError:
        raise Invalid(f"{address[:80]!r} is no address; the traffic log knows addresses, not names") from None
    sought = network.network_address if network.prefixlen == network.max_prefixlen else network
    # The upper bound keeps the pages from shifting while new entries arrive.
    bounds = f"(receive_time geq '{_local(since, zone)}') and (receive_time leq '{_local(until, zone)}')"
    return f"(addr in {sought}) and {bounds}"


def connection_of(entry: ET.Element, connector: str, zone: ZoneInfo) -> Connection:
    """Return what one entry of the log says. Raises Invalid if it lacks its time or an address."""
    source, destination = entry.findtext("src"), entry.findtext("dst")
    if not source or not destination:
        raise Invalid(f"{connector}: a traffic log entry without its addresses")
    return Connection(
        connector=connector,
        at=_moment(entry, connector, zone),
        source=source,
        destination=destination,
        destination_port=_number(entry.findtext("dport")),
        bytes_sent=_number(entry.findtext("bytes_sent")),
        # Every other action (deny, drop, reset-both ...) stops the traffic.
        verdict="allowed" if entry.findtext("action") == "allow" else "blocked",
        application=entry.findtext("app") or None,
    )


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime(_TIME)


def _moment(entry: ET.Element, connector: str, zone: ZoneInfo) -> datetime:
    """Return the time of an entry: since PAN-OS 10.0 in milliseconds and with its zone, before in local seconds."""
    text = entry.findtext("high_res_timestamp") or ""
    try:
        if text:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        text = entry.findtext("time_generated") or entry.findtext("receive_time") or ""
        return datetime.strptime(text, _TIME).replace(tzinfo=zone).astimezone(UTC)
    except ValueError:
        raise Invalid(f"{connector}: {text[:40]!r} is not the time of a traffic log entry") from None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
