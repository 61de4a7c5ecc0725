"""Rows of the CMDB, and the assets that they are.

A row is read with `sysparm_display_value=all`: each field has a `value` and, for people, a `display_value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hikeshi.capabilities import Asset, Software

__all__ = ["COMPUTER_FIELDS", "INSTALLATION_FIELDS", "computer", "running", "value_of"]

COMPUTER_FIELDS: Final = "sys_id,name,fqdn,ip_address,os,location,assigned_to,owned_by"
_CI: Final = "installed_on"
INSTALLATION_FIELDS: Final = ",".join(
    (
        f"sys_id,display_name,version,{_CI}",
        *(f"{_CI}.{field}" for field in ("name", "ip_address", "location", "assigned_to", "owned_by")),
    )
)


def value_of(row: Mapping[str, Any], field: str) -> str:
    """Return a field's value as the database has it, "" for none."""
    return str((row.get(field) or {}).get("value") or "").strip()


def computer(connector: str, row: Mapping[str, Any]) -> Asset:
    """Return the asset that a row of cmdb_ci_computer is; KeyError if it has no ID or name."""
    _ = row["sys_id"], row["name"]
    return _asset(connector, row, value_of(row, "sys_id"), "")


def running(connector: str, rows: Iterable[Mapping[str, Any]]) -> list[Asset]:
    """Return the assets that these installations are on, each once, with what was found on it."""
    found: dict[str, Asset] = {}
    for row in rows:
        id_ = value_of(row, _CI)
        software = Software(name=value_of(row, "display_name"), version=value_of(row, "version") or None)
        known = found[id_].software if id_ in found else ()
        asset = _asset(connector, row, id_, f"{_CI}.")
        found[id_] = asset.model_copy(update={"software": tuple(dict.fromkeys((*known, software)))})
    return list(found.values())


def _asset(connector: str, row: Mapping[str, Any], id_: str, prefix: str) -> Asset:
    ip = value_of(row, f"{prefix}ip_address")
    return Asset(
        connector=connector,
        id=id_,
        name=value_of(row, f"{prefix}name") or id_,
        owner=_shown(row, f"{prefix}assigned_to") or _shown(row, f"{prefix}owned_by"),
        os=_shown(row, f"{prefix}os"),
        ips=(ip,) if ip else (),
        site=_shown(row, f"{prefix}location"),
    )


def _shown(row: Mapping[str, Any], field: str) -> str | None:
    return str((row.get(field) or {}).get("display_value") or "").strip() or None
