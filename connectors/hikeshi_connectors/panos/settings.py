"""The settings of a PAN-OS instance."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, StringConstraints

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["PanOsSettings"]


def _usable_tag(tag: str) -> str:
    if tag.lower() in {"and", "or", "not"} or re.search(r"['\"\x00-\x1f]|  ", tag):
        raise ValueError("PAN-OS does not take this tag: no quotes, no double spaces, and not 'and', 'or' or 'not'")
    return tag


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write it as in Asia/Tokyo or UTC") from None
    return name


class PanOsSettings(ConnectorSettings):
    """What hikeshi.yaml says of one firewall. Source of the tag's rules: http://api-lab.paloaltonetworks.com."""

    api_key: Secret
    # The administrator the API key belongs to. Needed for domains and URLs: a commit carries only their changes.
    admin: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20]{1,63}$")] | None = None
    tag: Annotated[str, StringConstraints(min_length=1, max_length=127), AfterValidator(_usable_tag)] = (
        "hikeshi-blocked"
    )
    url_category: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,30}$")] = "hikeshi-blocked"
    vsys: Annotated[str, StringConstraints(pattern=r"^vsys[1-9][0-9]{0,2}$")] = "vsys1"
    # The zone that the firewall's clock is set to; log queries do not name one.
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
