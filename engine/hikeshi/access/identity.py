"""Somebody whom a service knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hikeshi.access.roles import MAY, Permission, Role

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request. `actor` is what the journal records, `person` the ID in hikeshi.yaml if it is a person.

    `token` is the ID of what they came in with, never its secret.
    """

    actor: str
    token: str
    roles: frozenset[Role]
    person: str | None = None
    shown: str = ""
    permissions: frozenset[Permission] = field(init=False)

    def __post_init__(self) -> None:
        given: Iterable[frozenset[Permission]] = (MAY[role] for role in self.roles)
        object.__setattr__(self, "permissions", frozenset[Permission]().union(*given))

    def may(self, permission: Permission) -> bool:
        """Say whether one of the roles permits something."""
        return permission in self.permissions
