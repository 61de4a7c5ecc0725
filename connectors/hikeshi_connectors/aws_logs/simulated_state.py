"""What simulated logs hold: entries by log group, findings of GuardDuty and of Security Hub, as plain JSON values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypedDict

from hikeshi.testing.estate import Estate

__all__ = ["DETECTOR", "LOG_GROUP", "State", "guardduty_finding", "hub_finding", "log_entry", "state_of"]

DETECTOR = "12abc34d567e8fa901bc2d34e56789f0"
LOG_GROUP = "/vpc/flow"
_LEVELS = {"informational": 1.0, "low": 2.0, "medium": 5.0, "high": 8.0, "critical": 9.5}
_ARN = f"arn:aws:guardduty:us-east-1:123456789012:detector/{DETECTOR}/finding/"


class State(TypedDict):
    """`logs` by log group; findings as their products give them."""

    logs: dict[str, list[dict[str, Any]]]
    guardduty: list[dict[str, Any]]
    hub: list[dict[str, Any]]
    hub_enabled: bool


def state_of(estate: Estate) -> State:
    """Return the state; the first time, with the estate's alerts as findings and its connections as entries."""
    found: Any = estate.product_state.setdefault("aws_logs", {})
    if not found:
        entries = [
            log_entry(each.at, f"{each.source_ip} {each.address} {each.port} {each.bytes_out} {each.action.upper()}")
            for each in estate.connections
        ]
        findings = [
            guardduty_finding(each.id, each.at, _LEVELS[each.severity], title=each.title)
            for each in estate.alerts.values()
        ]
        found.update({"logs": {LOG_GROUP: entries}, "guardduty": findings, "hub": [], "hub_enabled": True})
    state: State = found
    return state


def log_entry(at: datetime, message: str) -> dict[str, Any]:
    return {"at": at.timestamp(), "message": message, "stream": "eni-0a00000000000001-all"}


def guardduty_finding(key: str, at: datetime, level: float, *, title: str = "A finding") -> dict[str, Any]:
    """Return a finding about a machine."""
    instance = {"instanceId": "i-00000000000000001", "tags": [{"key": "Name", "value": "web-1"}]}
    return {
        "id": key,
        "arn": f"{_ARN}{key}",
        "type": "UnauthorizedAccess:EC2/SSHBruteForce",
        "title": title,
        "severity": level,
        "updatedAt": _written(at),
        "service": {"archived": False, "detectorId": DETECTOR},
        "resource": {"resourceType": "Instance", "instanceDetails": instance},
    }


def hub_finding(key: str, at: datetime, label: str, *, product: str = "Inspector") -> dict[str, Any]:
    """Return a finding about a user."""
    return {
        "Id": f"arn:aws:securityhub:us-east-1:123456789012:finding/{key}",
        "GeneratorId": "a-generator",
        "ProductName": product,
        "Title": "A finding",
        "Severity": {"Label": label},
        "UpdatedAt": _written(at),
        "RecordState": "ACTIVE",
        "Workflow": {"Status": "NEW"},
        "Resources": [{"Type": "AwsIamUser", "Id": "arn:aws:iam::123456789012:user/staff/mei"}],
    }


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
