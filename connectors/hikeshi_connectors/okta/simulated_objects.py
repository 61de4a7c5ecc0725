"""How the simulated Okta shows what is in the estate: accounts, groups, rules, roles and events of its System Log."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from hikeshi.testing.estate import Group, User

__all__ = [
    "TYPED_ROLES",
    "assignment_id",
    "attributes",
    "event_json",
    "group_json",
    "group_key",
    "moment",
    "role_json",
    "rule_json",
    "user_json",
    "user_key",
]

# In the order in which the estate's directory roles, sorted by name, become roles of Okta.
TYPED_ROLES = {
    "SUPER_ADMIN": "Super Organization Administrator",
    "ORG_ADMIN": "Organization Administrator",
    "HELP_DESK_ADMIN": "Help Desk Administrator",
    "APP_ADMIN": "Application Administrator",
    "READ_ONLY_ADMIN": "Read-only Administrator",
}
_ORG = "https://simulated.okta.com"


def _key(kind: str, estate_id: str) -> str:
    return kind + sha256(estate_id.encode()).hexdigest()[:17]


def user_key(user_id: str) -> str:
    """Return Okta's id of an account of the estate."""
    return _key("00u", user_id)


def group_key(group_id: str) -> str:
    """Return Okta's id of a group of the estate."""
    return _key("00g", group_id)


def assignment_id(role: Group, user_id: str) -> str:
    """Return the id of the assignment of a role to an account."""
    return _key("IFI", role.id + user_id)


def moment(at: datetime) -> str:
    """Return a moment as Okta writes it: in UTC, with milliseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def user_json(user: User, status: str) -> dict[str, Any]:
    """Return an account as Okta describes it."""
    first, _, last = user.display_name.partition(" ")
    profile = {"login": user.upn, "email": user.mail or user.upn, "secondEmail": None, "mobilePhone": None}
    names = {"firstName": first, "lastName": last or first, "displayName": user.display_name}
    key = user_key(user.id)
    return {
        "id": key,
        "status": status,
        "type": {"id": "otysimulated000000d7"},
        "profile": {**profile, **names, "department": user.department, "title": user.job_title},
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        "_links": {"self": {"href": f"{_ORG}/api/v1/users/{key}"}},
    }


def group_json(group: Group, kind: str) -> dict[str, Any]:
    """Return a group as Okta describes it; `kind` is OKTA_GROUP, APP_GROUP or BUILT_IN."""
    return {
        "id": group_key(group.id),
        "objectClass": ["okta:user_group"],
        "type": kind,
        "profile": {"name": group.name, "description": group.description},
    }


def rule_json(group: Group, number: int) -> dict[str, Any]:
    """Return the rule that fills a dynamic group."""
    return {
        "type": "group_rule",
        "id": _key("0pr", group.id),
        "status": "ACTIVE",
        "name": f"rule {number}",
        "conditions": {"expression": {"type": "urn:okta:expression:1.0", "value": 'user.department!=""'}},
        "actions": {"assignUserToGroups": {"groupIds": [group_key(group.id)]}},
    }


def role_json(
    kind: str, label: str, key: str, assignee: str, *, of_group: bool, targets: dict[str, Any]
) -> dict[str, Any]:
    """Return an assignment of an administrator role."""
    place = "groups" if of_group else "users"
    data = {
        "id": key,
        "label": label,
        "type": kind,
        "status": "ACTIVE",
        "assignmentType": "GROUP" if of_group else "USER",
        "_links": {"assignee": {"href": f"{_ORG}/api/v1/{place}/{assignee}"}},
    }
    return {**data, "_embedded": {"targets": targets}} if targets else data


def event_json(kind: str, user: User, at: str) -> dict[str, Any]:
    """Return an event of the System Log that an API call on an account caused."""
    target = {"id": user_key(user.id), "type": "User", "alternateId": user.upn, "displayName": user.display_name}
    return {
        "uuid": sha256(f"{kind}{user.id}{at}".encode()).hexdigest()[:32],
        "published": at,
        "eventType": kind,
        "severity": "INFO",
        "outcome": {"result": "SUCCESS"},
        "target": [target],
    }


def attributes(event: dict[str, Any]) -> dict[str, Any]:
    """Return what a filter of the System Log sees of an event."""
    return {
        "eventType": event["eventType"],
        "outcome.result": event["outcome"]["result"],
        "target.id": [each["id"] for each in event["target"]],
    }
