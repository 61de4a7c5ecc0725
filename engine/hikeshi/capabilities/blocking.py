"""When a block counts as done, and when as lifted; the same on an EDR and on a firewall."""

from __future__ import annotations

from hikeshi.capabilities.entities import Block

__all__ = ["is_blocked", "is_not_blocked"]


def is_blocked(state: Block, _prior: Block) -> bool:
    return state.blocked


def is_not_blocked(state: Block, _prior: Block) -> bool:
    return not state.blocked
