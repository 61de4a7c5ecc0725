"""What an approval would allow: the changes that it covers, planned from the present state of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hikeshi.core import Program, RunState, fold
from hikeshi.core.assume import assume_approved, covered_by
from hikeshi.journal import Journal
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.gate import Gate

__all__ = ["look_ahead"]

_LONGEST_S = 120.0
_MOST_NOT_KNOWN = 50


class _Nowhere:
    """Where the events of a plan go that nobody keeps."""

    async def append(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)


async def look_ahead(
    run: str, program: Program, up_to: int, approval: str, journal: Journal, gate: Gate, clock: Clock
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the targets that the covered changes would have, and what could not be predicted.

    `gate` is one for plans: reads are made, nothing else leaves. A target: `{action, connector, target, label, path}`,
    with `already` where it is so now: allowing it holds it, should somebody else let it go.
    """
    from hikeshi.runtime.driver import Driver

    state = RunState(run, program)
    for record in journal.read(run):
        if record.seq > up_to:
            break
        fold(state, record.seq, record.at, record.kind, record.path, record.data, record.encoded)
    failed_before = set(state.failures)
    assume_approved(state, approval)
    try:
        async with asyncio.timeout(_LONGEST_S):
            await Driver(state, gate, _Nowhere(), clock, gate.redactor).drive()  # type: ignore[arg-type]
    except TimeoutError:
        return [], [f"planning what it covers took longer than {_LONGEST_S:g} s"]
    return _shown(state, approval, failed_before)


def _shown(state: RunState, approval: str, failed_before: set[str]) -> tuple[list[dict[str, Any]], list[str]]:
    shows: list[dict[str, Any]] = []
    not_known: list[str] = []
    for node in covered_by(state, approval):
        plan = node.plan
        assert plan is not None
        targets = _as_list(plan.target)
        if not targets:
            not_known.append(f"{node.path}: {plan.action}: {'; '.join(plan.not_checked) or 'its target'}")
        shows += [
            {
                "action": plan.action,
                "connector": plan.connector,
                "target": target["identity"],
                "label": target["label"],
                "path": node.path,
                **({"already": True} if plan.already else {}),
            }
            for target in targets
        ]
    for path in state.failures:
        failed = state.nodes.get(path)
        if path not in failed_before and failed is not None and failed.error is not None:
            not_known.append(f"{path}: {failed.error.message}")
    if len(not_known) > _MOST_NOT_KNOWN:
        not_known = [*not_known[:_MOST_NOT_KNOWN], f"and {len(not_known) - _MOST_NOT_KNOWN} more"]
    return shows, not_known


def _as_list(target: Any) -> Sequence[dict[str, str]]:
    if target is None:
        return []
    return target if isinstance(target, list) else [target]
