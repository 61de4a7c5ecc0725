"""The order of the steps of one list: who waits for whom."""

from __future__ import annotations

from collections.abc import Mapping

from hikeshi.playbook.parse_report import Report
from hikeshi.playbook.yaml_tree import Scalar

__all__ = ["Needs", "order_of", "report_cycles"]

Needs = Mapping[str, "list[Scalar] | None"]
"""For each key, in the order of the list, the IDs it needs as written, or None if it says nothing."""


def order_of(needs: Needs, *, parallel: bool, report: Report) -> dict[str, tuple[str, ...]]:
    """Return for each key the keys it waits for. Reports needs that name no sibling, and cycles."""
    after: dict[str, tuple[str, ...]] = {}
    before: str | None = None
    for key, written in needs.items():
        if written is not None:
            after[key] = tuple(name for node in written if (name := _sibling(node, key, needs, report)) is not None)
        else:
            after[key] = () if parallel or before is None else (before,)
        before = key
    report_cycles(needs, after, report)
    return after


def _sibling(node: Scalar, key: str, needs: Needs, report: Report) -> str | None:
    name = str(node.value)
    if name == key:
        report.add("cycle", f"the step {key!r} needs itself", node)
        return None
    if name not in needs:
        known = [sibling for sibling in needs if sibling != key and "[" not in sibling]
        report.unknown("unknown-need", f"there is no step {name[:60]!r} in this list", node, name, known)
        return None
    return name


def report_cycles(needs: Needs, after: dict[str, tuple[str, ...]], report: Report) -> None:
    """Report each cycle once, whole, at the first need that is written in it."""
    done: set[str] = set()
    for start in after:
        cycle = _cycle_from(start, after, done)
        if cycle:
            place = next(node for key in cycle for node in needs[key] or () if node.value in cycle)
            report.add("cycle", f"these steps wait for each other: {' -> '.join([*cycle, cycle[0]])}", place)


def _cycle_from(start: str, after: dict[str, tuple[str, ...]], done: set[str]) -> list[str]:
    """Return the keys of a cycle that is reached from `start` and not through what is done, else nothing."""
    if start in done:
        return []
    path = [start]
    on_path = {start}
    open_ = [iter(after[start])]
    while open_:
        following = next(open_[-1], None)
        if following is None:
            open_.pop()
            ended = path.pop()
            on_path.discard(ended)
            done.add(ended)
        elif following in on_path:
            done.update(path)
            return path[path.index(following) :]
        elif following not in done:
            path.append(following)
            on_path.add(following)
            open_.append(iter(after[following]))
    return []
