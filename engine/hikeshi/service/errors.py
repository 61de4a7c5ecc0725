"""What keeps a service from doing what somebody asks."""

from __future__ import annotations

from hikeshi.access.identity import Identity
from hikeshi.access.roles import MAY, Permission

__all__ = ["Denied", "NoTriggers"]


class Denied(Exception):
    """Somebody who is known may not do this."""

    def __init__(self, who: Identity, permission: Permission) -> None:
        roles = ", ".join(role for role, may in MAY.items() if permission in may)
        own = ", ".join(sorted(who.roles)) or "no role"
        super().__init__(f"{who.actor} may not do this: it takes the role {roles}, and you have {own}")
        self.permission = permission


class NoTriggers(LookupError):
    """The service fires no triggers."""
