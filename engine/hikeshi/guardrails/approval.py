"""Approvals that the project requires, whatever a playbook says."""

from __future__ import annotations

from dataclasses import field

from hikeshi.guardrails.rule import Listed, any_matches
from hikeshi.quick_dataclass import dataclass

__all__ = ["ApprovalRule", "RequiredApproval"]


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Changes by some actions, of the targets on its lists, need people's consent. Without lists: of every target."""

    origin: str
    by: tuple[str, ...]
    quorum: int = 1
    within_s: int | None = None
    why: str = ""
    actions: tuple[str, ...] = field(default=("*",))
    playbooks: tuple[str, ...] = field(default=("*",))
    lists: tuple[Listed, ...] = ()

    def is_about(self, action: str, playbook: str) -> bool:
        """Say whether it speaks of changes by an action in a playbook."""
        return any_matches(self.actions, action) and any_matches(self.playbooks, playbook)


@dataclass(frozen=True, slots=True)
class RequiredApproval:
    """Consent that one change needs: of `quorum` different people among those that `by` means.

    `within_s` is how long in seconds they have, None for what is usual. `matched` says which name of the target made
    it necessary, empty if every target does.
    """

    rule: str
    by: tuple[str, ...]
    quorum: int
    within_s: int | None
    why: str
    matched: str = ""
