"""Detections: notable events of Splunk Enterprise Security, or alerts that saved searches have fired.

Sources: https://docs.splunk.com/Documentation/ES/latest/Admin/Notablesearchreference (fields of notable events) and
https://docs.splunk.com/Documentation/Splunk/9.4.0/RESTREF/RESTsearch, alerts/fired_alerts/{name}.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity
from hikeshi_connectors.splunk.log_entry import first, moment_of

__all__ = ["NOTABLES", "alert_of_fired", "alert_of_notable", "at_least"]

NOTABLES: Final = "search index=notable"
_LEVELS: Final[tuple[Severity, ...]] = get_args(Severity)
# What is "unknown" must not get lost among the low ones.
_NAMED: Final[dict[str, Severity]] = {"informational": "low", "unknown": "medium", **{each: each for each in _LEVELS}}
_NUMBERED: Final[dict[int, Severity]] = {1: "low", 2: "low", 3: "medium", 4: "high", 5: "critical", 6: "critical"}
_STATUSES: Final = {"0": "unassigned", "1": "new", "2": "in progress", "3": "pending", "4": "resolved", "5": "closed"}


def alert_of_notable(row: Mapping[str, Any], connector: str) -> Alert:
    """Return a notable event. Its urgency counts; where the search head does not work it out, its severity."""
    at = moment_of(first(row, "_time"))
    name = first(row, "rule_title", "rule_name", "search_name", "source")
    key = first(row, "event_id") or f"{row['_bkt']}:{row['_cd']}"
    if at is None or name is None:
        raise ValueError("a notable event without a time or a name")
    level = first(row, "urgency", "severity") or "unknown"
    status = first(row, "status")
    return Alert(
        connector=connector,
        id=key,
        name=name,
        title=name,
        severity=_NAMED.get(level.lower(), "medium"),
        at=at,
        status=first(row, "status_label") or (_STATUSES.get(status, status) if status else None),
        host_name=first(row, "dest_host", "dest", "src_host", "src"),
        user_name=first(row, "user", "src_user"),
        sha256=next((each for each in [first(row, "file_hash")] if each and len(each) == 64), None),
        technique=first(row, "annotations.mitre_attack.mitre_technique_id", "annotations.mitre_attack"),
    )


def alert_of_fired(entry: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert that a saved search has fired. It names neither host nor user."""
    content = entry["content"]
    title = str(content["savedsearch_name"])
    return Alert(
        connector=connector,
        id=str(entry["name"]),
        name=title,
        title=title,
        severity=_NUMBERED[int(content["severity"])],
        at=datetime.fromtimestamp(float(content["trigger_time"]), UTC),
    )


def at_least(alert: Alert, severity: Severity | None) -> bool:
    return severity is None or _LEVELS.index(alert.severity) >= _LEVELS.index(severity)
