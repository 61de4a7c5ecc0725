"""Detections: alerts of Elastic Security's rules, or of OpenSearch's Security Analytics.

Sources: https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema (which advises to ask for
`fields` and not for `_source`), https://docs.opensearch.org/latest/security-analytics/api-tools/alert-finding-api/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity
from hikeshi_connectors.elastic.log_entry import first, moment_of

__all__ = ["ALERT_FIELDS", "alert_of_hit", "alert_of_security_analytics", "at_least", "severe_enough"]

_LEVELS: Final[tuple[Severity, ...]] = get_args(Severity)
_NAMED: Final[dict[str, Severity]] = {each: each for each in _LEVELS}
# Triggers of Security Analytics count from 1, the highest, to 5. What has no severity must not get lost.
_NUMBERED: Final[dict[str, Severity]] = {"1": "critical", "2": "high", "3": "medium", "4": "low", "5": "low"}
_RULE, _LEVEL, _STATUS = "kibana.alert.rule.name", "kibana.alert.severity", "kibana.alert.workflow_status"
_ID, _TECHNIQUE = "kibana.alert.uuid", "kibana.alert.rule.threat.technique.id"
_HASHES: Final = ("file.hash.sha256", "process.hash.sha256", "dll.hash.sha256")
_HOST_ID, _HOST, _USER = "host.id", "host.name", "user.name"
ALERT_FIELDS: Final = (_ID, _RULE, _LEVEL, _STATUS, _TECHNIQUE, _HOST_ID, _HOST, _USER, *_HASHES)


def severe_enough(severity: Severity | None) -> list[dict[str, Any]]:
    """Return filters: real alerts, and at least as severe as asked. Building blocks are parts of other alerts."""
    real = {"bool": {"must_not": [{"exists": {"field": "kibana.alert.building_block_type"}}]}}
    if severity is None or severity == _LEVELS[0]:
        return [real]
    return [real, {"terms": {_LEVEL: list(_LEVELS[_LEVELS.index(severity) :])}}]


def alert_of_hit(hit: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert of Elastic Security's."""
    fields = hit["fields"]
    title = fields[_RULE][0]
    return Alert(
        connector=connector,
        id=first(fields, _ID) or str(hit["_id"]),
        name=title,
        title=title,
        severity=_NAMED[str(fields[_LEVEL][0]).lower()],
        at=moment_of(hit["sort"][0]),
        status=first(fields, _STATUS),
        host_id=first(fields, _HOST_ID),
        host_name=first(fields, _HOST),
        user_name=first(fields, _USER),
        sha256=first(fields, *_HASHES),
        technique=first(fields, _TECHNIQUE),
    )


def alert_of_security_analytics(alert: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert of OpenSearch's. It names the documents that it is about, and neither host nor user."""
    title = str(alert["trigger_name"])
    return Alert(
        connector=connector,
        id=str(alert["id"]),
        name=title,
        title=title,
        severity=_NUMBERED.get(str(alert["severity"]), "medium"),
        at=moment_of(alert["start_time"]),
        status=str(alert["state"]).lower(),
    )


def at_least(alert: Alert, severity: Severity | None) -> bool:
    return severity is None or _LEVELS.index(alert.severity) >= _LEVELS.index(severity)
