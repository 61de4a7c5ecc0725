"""Detections as GuardDuty and Security Hub describe them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.capabilities import Alert, Severity
from hikeshi.connector import understood

__all__ = ["LABELS_FROM", "LEVEL_FROM", "of_guardduty", "of_security_hub"]

# Source: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html.
LEVEL_FROM: Final[Mapping[Severity, int]] = {"low": 1, "medium": 4, "high": 7, "critical": 9}
_LABELS: Final[Mapping[str, Severity]] = {
    "INFORMATIONAL": "low",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "CRITICAL": "critical",
}
_ORDER: Final[tuple[Severity, ...]] = ("low", "medium", "high", "critical")
LABELS_FROM: Final[Mapping[Severity, tuple[str, ...]]] = {
    severity: tuple(label for label, each in _LABELS.items() if _ORDER.index(each) >= _ORDER.index(severity))
    for severity in _ORDER
}


def of_guardduty(connector: str, finding: Mapping[str, Any]) -> Alert:
    """Return a finding of GuardDuty. Its ID is its ARN, which names the detector too."""
    with understood(f"{connector}: a finding of GuardDuty"):
        resource = finding.get("resource") or {}
        instance, key = resource.get("instanceDetails") or {}, resource.get("accessKeyDetails") or {}
        tags = {str(each["key"]): str(each["value"]) for each in instance.get("tags") or ()}
        return Alert(
            connector=connector,
            id=finding["arn"],
            name=finding["type"],
            title=finding.get("title") or finding["type"],
            severity=_severity_of(float(finding["severity"])),
            at=_moment(finding["updatedAt"]),
            status="archived" if (finding.get("service") or {}).get("archived") else "active",
            host_id=instance.get("instanceId"),
            host_name=tags.get("Name"),
            user_name=key.get("userName"),
        )


def of_security_hub(connector: str, finding: Mapping[str, Any]) -> Alert:
    """Return a finding of Security Hub; the first machine and the first account among its resources are told."""
    with understood(f"{connector}: a finding of Security Hub"):
        resources = finding.get("Resources") or []
        machines = [str(each["Id"]) for each in resources if each.get("Type") == "AwsEc2Instance"]
        users = [str(each["Id"]) for each in resources if each.get("Type") == "AwsIamUser"]
        return Alert(
            connector=connector,
            id=finding["Id"],
            name=finding.get("GeneratorId") or finding["Id"],
            title=finding["Title"],
            severity=_LABELS[finding["Severity"]["Label"]],
            at=_moment(finding["UpdatedAt"]),
            status=str((finding.get("Workflow") or {}).get("Status") or finding.get("RecordState") or "") or None,
            host_id=machines[0].rpartition("/")[2] if machines else None,
            user_name=users[0].rpartition("/")[2] if users else None,
        )


def _severity_of(level: float) -> Severity:
    return next((each for each in reversed(_ORDER) if level >= LEVEL_FROM[each]), "low")


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
