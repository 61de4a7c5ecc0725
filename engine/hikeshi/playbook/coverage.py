"""Which approvals cover which steps of a playbook.

By its place an approval covers every step written after it in its list, whatever `needs` says; with `covers` it covers
the steps that it names instead. Either way what is inside of a covered step is covered too: blocks, loops, handlers.
The handler of an approval is always covered, so that a rejection can't lead to the change by the back door.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from hikeshi.playbook.model import ApproveStep, BlockStep, Playbook, StepList

__all__ = ["Chain", "covering"]

Chain: TypeAlias = tuple[str, ...]
"""The keys that lead from the root of a playbook to a step, as `Playbook.walk` gives them."""


def covering(playbook: Playbook) -> Mapping[Chain, tuple[Chain, ...]]:
    """Return for each covered step the approvals that cover it, in the order of the text, all by their chains.

    A step that no approval covers is not in the map, and no approval covers itself. What `covers` names and the
    playbook does not have is passed over. `Playbook.coverage` keeps the result.
    """
    roots = _roots(playbook)
    if not roots:
        return {}
    order = {chain: at for at, (chain, _) in enumerate(playbook.walk())}
    found: dict[Chain, tuple[Chain, ...]] = {}
    for chain in order:
        owner, handler = _owner(chain)
        around = found.get(owner, ())
        direct = (*roots.get(chain, ()), *roots.get(handler, ()))
        if direct or chain in around:
            around = tuple(sorted({*around, *direct} - {chain}, key=order.__getitem__))
        if around:
            found[chain] = around
    return found


def _owner(chain: Chain) -> tuple[Chain, Chain]:
    """Return the chain of the step that a step is inside of; if it is in its handler, also that of the handler."""
    return (chain[:-2], chain[:-1]) if chain[-2:-1] == ("on_error",) else (chain[:-1], ())


def _roots(playbook: Playbook) -> dict[Chain, list[Chain]]:
    """Return what each approval covers directly: steps, and its own handler, which is named `(*chain, "on_error")`."""
    roots: dict[Chain, list[Chain]] = {}
    for prefix, steps in _lists(playbook):
        for at, step in enumerate(steps):
            if not isinstance(step, ApproveStep):
                continue
            approval = (*prefix, step.key)
            if step.covers is None:
                covered = [(*prefix, later.key) for later in steps.steps[at + 1 :]]
            else:
                covered = [playbook.chains[name] for name in step.covers if name in playbook.chains]
            for chain in (*covered, (*approval, "on_error")):
                roots.setdefault(chain, []).append(approval)
    return roots


def _lists(playbook: Playbook) -> Iterator[tuple[Chain, StepList]]:
    """Give every list of steps with the keys that lead to it."""
    yield from (((), playbook.steps), (("on_failure",), playbook.on_failure), (("finally",), playbook.finally_))
    for chain, step in playbook.walk():
        if isinstance(step, BlockStep):
            yield chain, step.children
        if step.on_error is not None and step.on_error.steps is not None:
            yield (*chain, "on_error"), step.on_error.steps
