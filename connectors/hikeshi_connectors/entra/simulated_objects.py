"""Accounts and groups of the estate as the simulated Graph describes them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hikeshi.testing.estate import Group, User
from hikeshi_connectors.entra.replica import Replica

__all__ = ["ADVANCED", "PROPERTIES", "SHOWN_BY_DEFAULT", "group_json", "user_getter"]

_PLAIN: Mapping[str, Callable[[User], Any]] = {
    "id": lambda user: user.id,
    "userPrincipalName": lambda user: user.upn,
    "mail": lambda user: user.mail,
    "onPremisesSamAccountName": lambda user: user.sam,
    "displayName": lambda user: user.display_name,
    "department": lambda user: user.department,
    "jobTitle": lambda user: user.job_title,
    "officeLocation": lambda user: user.site,
    "userType": lambda user: "Guest" if user.guest else "Member",
    "creationType": lambda user: "Invitation" if user.guest else None,
}
PROPERTIES = frozenset({*_PLAIN, "accountEnabled", "signInSessionsValidFromDateTime"})
"""Every property of an account that the simulation has."""

ADVANCED = frozenset({"onPremisesSamAccountName", "officeLocation"})
"""Those that only an advanced query may compare."""

SHOWN_BY_DEFAULT = ("displayName", "jobTitle", "mail", "officeLocation", "userPrincipalName", "id")


def user_getter(user: User, replica: Replica) -> Callable[[str], Any]:
    """Return a function that gives an account's properties by name, as a read finds them now."""

    def get(name: str) -> Any:
        if name == "accountEnabled":
            return replica.seen(("enabled", user.id), user.enabled)
        if name == "signInSessionsValidFromDateTime":
            return _moment(replica.seen(("sessions", user.id), user.sessions_valid_from))
        getter = _PLAIN.get(name)
        return getter(user) if getter else None

    return get


def group_json(group: Group, extra: Mapping[str, Any], readable: bool) -> dict[str, Any]:
    """Return a group or directory role; one that may not be read is an id whose other properties are null."""
    kind = "directoryRole" if group.role else "group"
    shown: dict[str, Any] = {"displayName": group.name, "description": group.description}
    if not group.role:
        shown |= {
            "groupTypes": ["DynamicMembership"] if group.dynamic else [],
            "isAssignableToRole": True if group.privileged and not group.dynamic else None,
            "mailEnabled": False,
            "securityEnabled": True,
            "onPremisesSyncEnabled": None,
            **extra,
        }
    known = shown if readable else dict.fromkeys(shown)
    return {"@odata.type": f"#microsoft.graph.{kind}", "id": group.id, **known}


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
