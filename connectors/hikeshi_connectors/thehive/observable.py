"""Observables of a case: indicators, in TheHive's types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hikeshi.capabilities import Indicator, IndicatorKind, Model

__all__ = ["DATA_TYPES", "Observable", "same_data"]

# The types that TheHive is delivered with. A network has none.
DATA_TYPES: Final[Mapping[IndicatorKind, str]] = {
    "ipv4": "ip",
    "ipv6": "ip",
    "domain": "domain",
    "url": "url",
    "email": "mail",
    "md5": "hash",
    "sha1": "hash",
    "sha256": "hash",
}


class Observable(Model):
    """Whether an indicator is an observable of a case."""

    connector: str
    case_id: str
    kind: IndicatorKind
    value: str
    in_case: bool


def same_data(data: object, indicator: Indicator) -> bool:
    """Say whether an observable's data is this indicator; of a URL case counts, of all else it does not."""
    if not isinstance(data, str):
        return False
    if indicator.kind == "url":
        return data == indicator.value
    return data.casefold() == indicator.value.casefold()
