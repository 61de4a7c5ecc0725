"""What a run did to the world as events of the Open Cybersecurity Schema Framework, version 1.8.

Pure: the same records give the same events. Source: https://schema.ocsf.io/1.8.0
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.journal import Record
from hikeshi.quick_dataclass import dataclass
from hikeshi.report.dispatch import Dispatch, dispatches

__all__ = ["OCSF_VERSION", "ocsf_events"]

OCSF_VERSION = "1.8.0"
_PRODUCT = "Hikeshi"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Class:
    uid: int
    name: str
    category: str

    @property
    def category_uid(self) -> int:
        return self.uid // 1000


_REMEDIATION = _Class(7001, "Remediation Activity", "Remediation")
_FILE = _Class(7002, "File Remediation Activity", "Remediation")
_NETWORK = _Class(7004, "Network Remediation Activity", "Remediation")
_ACCOUNT = _Class(3001, "Account Change", "Identity & Access Management")
_GROUP = _Class(3006, "Group Management", "Identity & Access Management")
_API = _Class(6003, "API Activity", "Application Activity")

_Activity = tuple[int, str]
_ISOLATE: _Activity = (1, "Isolate")
_RESTORE: _Activity = (3, "Restore")

_ACTIONS: Mapping[str, tuple[_Class, _Activity]] = {
    "edr.isolate_host": (_NETWORK, _ISOLATE),
    "edr.release_host": (_NETWORK, _RESTORE),
    "edr.block_hashes": (_FILE, _ISOLATE),
    "edr.unblock_hashes": (_FILE, _RESTORE),
    "firewall.block_indicators": (_NETWORK, _ISOLATE),
    "firewall.unblock_indicators": (_NETWORK, _RESTORE),
    "identity.disable_user": (_ACCOUNT, (5, "Disable")),
    "identity.enable_user": (_ACCOUNT, (2, "Enable")),
    "identity.revoke_sessions": (_ACCOUNT, (99, "Revoke Sessions")),
    "identity.add_to_group": (_GROUP, (3, "Add User")),
    "identity.remove_from_group": (_GROUP, (4, "Remove User")),
}
_STATUSES: Mapping[str | None, tuple[int, str, int, str]] = {  # status and severity, each with its number
    "done": (1, "Success", 1, "Informational"),
    "failed": (2, "Failure", 3, "Medium"),
    "unknown": (0, "Unknown", 4, "High"),
    None: (0, "Unknown", 4, "High"),
}
_OBSERVABLES: Mapping[str, tuple[int, str]] = {
    "domain": (1, "Hostname"),
    "ipv4": (2, "IP Address"),
    "ipv6": (2, "IP Address"),
    "email": (5, "Email Address"),
    "url": (6, "URL String"),
    "md5": (8, "Hash"),
    "sha1": (8, "Hash"),
    "sha256": (8, "Hash"),
    "cidr": (12, "Subnet"),
}
_HASHES: Mapping[str, tuple[int, str]] = {"md5": (1, "MD5"), "sha1": (2, "SHA-1"), "sha256": (3, "SHA-256")}


def ocsf_events(records: Iterable[Record], products: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Give an OCSF event for each change and message that was sent in a run, as plain data.

    `products` says which product a connector instance is. `metadata.uid` follows from run, path and target, so an event
    of a later export replaces the one of an earlier one. Raises UnknownEvent for records of a newer version.
    """
    for sent in dispatches(records):
        yield _event(sent, (products or {}).get(sent.connector))


def _event(sent: Dispatch, product: str | None) -> dict[str, Any]:
    kind, (activity, activity_name) = _class_of(sent)
    status_id, status, severity_id, severity = _STATUSES[sent.outcome]
    event = {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": kind.category_uid,
        "category_name": kind.category,
        "class_uid": kind.uid,
        "class_name": kind.name,
        "type_uid": kind.uid * 100 + activity,
        "type_name": f"{kind.name}: {activity_name if activity != 99 else 'Other'}",
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "time": _ms(sent.at),
        "start_time": _ms(sent.began_at),
        "message": f"{sent.action} {sent.label} on {sent.connector}: {sent.outcome or 'not known yet'}",
        "metadata": _metadata(sent),
        "actor": {"user": {"name": sent.actor}, "app_name": _PRODUCT},
        **_subject(kind, sent, product),
        "unmapped": _unmapped(sent, product),
    }
    detail = sent.error or ("no outcome is recorded yet" if sent.outcome is None else None)
    if detail is not None:
        event["status_detail"] = detail
    return event


def _class_of(sent: Dispatch) -> tuple[_Class, _Activity]:
    """Return the class and the activity. What undoes a hold restores, whatever it does."""
    known = _ACTIONS.get(sent.action)
    if known is None and (sent.undo or sent.releases):
        known = _REMEDIATION, (99, sent.action)
    if known is None:
        return _API, (1, "Create") if sent.notifies else (3, "Update")
    kind, activity = known
    return kind, _RESTORE if sent.releases and kind.category_uid == 7 else activity


def _metadata(sent: Dispatch) -> dict[str, Any]:
    return {
        "version": OCSF_VERSION,
        "profiles": ["host"],  # which brings the actor to the remediation classes
        "product": {"name": _PRODUCT, "vendor_name": _PRODUCT, "version": sent.engine},
        "uid": hashlib.sha256(f"ocsf\0{sent.run}\0{sent.path}\0{sent.target}".encode()).hexdigest()[:32],
        "correlation_uid": sent.hold or sent.run,
        "event_code": sent.action,
    }


def _subject(kind: _Class, sent: Dispatch, product: str | None) -> dict[str, Any]:
    """Return what only events of this class have: the target, above all."""
    match kind.uid:
        case 3001:
            return {"user": _user(sent)}
        case 3006:
            return {"user": _user(sent), "group": _entity(sent, "group")}
        case 6003:
            return {
                "src_endpoint": {"svc_name": "hikeshi"},
                "api": {"operation": sent.action, "service": {"name": product or sent.connector}},
                "resources": [{"uid": sent.target, "name": sent.label}],
            }
    subject: dict[str, Any] = {"command_uid": sent.key, "observables": [_observable(sent)]}
    if sent.reason is not None:
        subject["remediation"] = {"desc": sent.reason}
    if kind is _NETWORK:
        subject["connection_info"] = {"direction_id": 0, "direction": "Unknown"}  # either way
    if _is_host(sent):
        subject["device"] = _device(sent)
    if kind is _FILE:
        subject["file"] = _file(sent)
    return subject


def _observable(sent: Dispatch) -> dict[str, Any]:
    if _is_host(sent):
        return {"name": "device.name", "type_id": 1, "type": "Hostname", "value": sent.label}
    kind, _, value = sent.target.partition(":")
    if kind in _OBSERVABLES:
        type_id, name = _OBSERVABLES[kind]
        return {"name": "target", "type_id": type_id, "type": name, "value": value}
    return {"name": "target", "type_id": 99, "type": "Other", "value": sent.label or sent.target}


def _is_host(sent: Dispatch) -> bool:
    return sent.target.startswith(f"{sent.connector}:host:")


def _device(sent: Dispatch) -> dict[str, Any]:
    ips = _argument(sent, "host").get("ips")
    found = next((ip for ip in ips if _is_ip(ip)), None) if isinstance(ips, list) else None
    device = {"type_id": 0, "type": "Unknown", **_entity(sent, "host")}
    return device if found is None else {**device, "ip": found}


def _user(sent: Dispatch) -> dict[str, Any]:
    return {"type_id": 0, "type": "Unknown", **_entity(sent, "user")}


def _entity(sent: Dispatch, kind: str) -> dict[str, Any]:
    """Return the ID and the name of the host, user or group that a change is about."""
    entity = _argument(sent, kind)
    named = {"uid": entity.get("id"), "name": entity.get("name")}
    texts = {key: value for key, value in named.items() if isinstance(value, str) and value}
    return texts or {"uid": sent.target, "name": sent.label}


def _file(sent: Dispatch) -> dict[str, Any]:
    """Return a file of which nothing is known but what is in it, so that its hash is its name, too."""
    kind, _, value = sent.target.partition(":")
    number, name = _HASHES.get(kind, (99, kind))
    return {
        "name": value,
        "type_id": 0,
        "type": "Unknown",
        "hashes": [{"algorithm_id": number, "algorithm": name, "value": value}],
    }


def _unmapped(sent: Dispatch, product: str | None) -> dict[str, Any]:
    """Return what the schema has no place for. Times are ISO 8601 in UTC."""
    told = {
        "run": sent.run,
        "playbook": sent.playbook,
        "path": sent.path,
        "action": sent.action,
        "connector": sent.connector,
        "product": product,
        "target": sent.target,
        "hold": sent.hold,
        "releases": sent.releases,
        "held_until": None if sent.expires_at is None else sent.expires_at.isoformat().replace("+00:00", "Z"),
        "reason": sent.reason,
        "resolved_by": sent.resolved_by,
    }
    return {key: value for key, value in told.items() if value is not None}


def _argument(sent: Dispatch, name: str) -> Mapping[str, Any]:
    value = sent.arguments.get(name)
    return value if isinstance(value, Mapping) else {}


def _is_ip(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return isinstance(text, str)


def _ms(at: datetime) -> int:
    """Return milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)
