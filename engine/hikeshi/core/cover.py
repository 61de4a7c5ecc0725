"""Which approvals a change has to wait for.

The rule: a change is decided only when every approval that covers it was given, or made needless by its own `when`.
Where it stands, what it needs and what failed before make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hikeshi.core.scope import inside_out, join_path, keys_of, split_chain
from hikeshi.core.state import Frame, Node, RunState
from hikeshi.core.status import ENDED, StepStatus

__all__ = ["Standing", "approvals_over", "standing_of"]

Standing = Literal["given", "waived", "open", "refused"]


def approvals_over(state: RunState, node: Node) -> Iterator[tuple[str, Standing]]:
    """Give the path of each approval that covers a step, with how it stands; those of its own playbook first."""
    at: Node | None = node
    while at is not None:
        yield from _in_frame(state, at)
        at = at.frame.owner


def _in_frame(state: RunState, node: Node) -> Iterator[tuple[str, Standing]]:
    covering = node.frame.playbook.coverage.get(keys_of(node))
    if not covering:
        return
    around = list(inside_out(node))
    for chain in covering:
        prefix, rest = split_chain(node.frame, around, chain)
        path = join_path(prefix, rest)
        found = state.nodes.get(path)
        yield path, _never_reached(state, node.frame, prefix, rest) if found is None else standing_of(found)


def standing_of(approval: Node) -> Standing:
    """Return whether an approval was given."""
    if approval.status is StepStatus.SUCCEEDED:
        return "given"
    if approval.status is StepStatus.SKIPPED and approval.waived:
        return "waived"
    return "refused" if approval.status in ENDED else "open"


def _never_reached(state: RunState, frame: Frame, prefix: str, rest: tuple[str, ...]) -> Standing:
    """Return how an approval stands that has no node: what it is inside of has not begun, or never will."""
    while rest := rest[:-1]:
        around = state.nodes.get(join_path(prefix, rest))
        if around is not None:
            return "refused" if around.status in ENDED else "open"
    ended = frame.body_ended if rest == () else False
    return "refused" if ended else "open"
