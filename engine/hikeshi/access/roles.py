"""Roles and what each of them may do. Every permission check of the program reads this table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["MAY", "Permission", "Role"]


class Role(StrEnum):
    """What somebody is to a service. Roles of a playbook's `by` are something else: those name whom it asks."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    APPROVER = "approver"
    ENGINEER = "engineer"
    ADMIN = "admin"


class Permission(StrEnum):
    """One kind of thing that somebody may be let do."""

    LOOK = "look"
    """Read runs, plans, holds, triggers, connectors and rules."""
    PLAN = "plan"
    RUN = "run"
    """Start, apply, cancel, pause, resume, retry and resolve runs; answer forms."""
    UNDO = "undo"
    """Undo runs, and release and extend holds."""
    DECIDE = "decide"
    """Approve and reject. Whether the question asks this person is judged by the run."""
    STOP = "stop"
    """Engage the kill switch."""
    RELEASE_STOP = "release_stop"
    TRY = "try"
    """Try triggers and connectors without changing anything."""
    AUDIT = "audit"
    """Verify, sign and take out the audit log."""
    PEOPLE = "people"
    """See and revoke what others come in with."""


_LOOK = frozenset({Permission.LOOK})
_RESPOND = _LOOK | {Permission.PLAN, Permission.RUN, Permission.UNDO, Permission.STOP}

MAY: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _LOOK,
    Role.RESPONDER: _RESPOND,
    # Stopping harms nobody who can wait, so whoever decides may do it; letting go on is the graver thing.
    Role.APPROVER: _LOOK | {Permission.DECIDE, Permission.STOP, Permission.RELEASE_STOP},
    Role.ENGINEER: _LOOK | {Permission.PLAN, Permission.STOP, Permission.TRY},
    Role.ADMIN: frozenset(Permission) - {Permission.DECIDE},
}
"""An admin who should decide gets the role of an approver as well: it is a person's duty, and no privilege."""
