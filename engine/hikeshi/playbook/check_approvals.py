"""Checks of approvals: do they cover what is there, and can they be asked before what they cover?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from hikeshi.capabilities import Effect
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_shapes import KnownPlaybooks
from hikeshi.playbook.model import ActionStep, ApproveStep, PlaybookStep, ReleaseStep, Step
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.scope import Spot

__all__ = ["approvals_can_be_asked", "approvals_cover_steps"]


def approvals_cover_steps(context: Context) -> Iterator[Problem]:
    """`covers` with something that the approval can't cover."""
    for spot in _approvals(context):
        for at, (message, near) in _not_coverables(spot, context):
            position = context.places.value(spot.step.position, ("covers", at))
            yield Problem("unknown-cover", message, position, near)


def _not_coverables(approval: Spot, context: Context) -> Iterator[tuple[int, tuple[str, str | None]]]:
    assert isinstance(approval.step, ApproveStep)
    for at, name in enumerate(approval.step.covers or ()):
        found = _not_coverable(approval, name, context)
        if found is not None:
            yield at, found


def _not_coverable(approval: Spot, name: str, context: Context) -> tuple[str, str | None] | None:
    """Return why an approval can't cover a step, and the name that was probably meant."""
    known = context.outline.by_id
    if name not in known:
        near = nearest(name, known)
        return f"there is no step {name!r}" + ("" if near is None else f"; did you mean {near!r}?"), near
    if known[name] is approval:
        return f"the approval {name!r} can't cover itself; name the steps that wait for it", None
    there = {place for place, _ in _only_in(known[name])}
    outside = next((why for place, why in _only_in(approval) if place not in there), None)
    if outside is None:
        return None
    return f"{name!r} stands outside of {outside}; put the approval outside too, or name a step that is inside", None


def _only_in(spot: Spot) -> Iterator[tuple[object, str]]:
    """Give each place around a step in which it does not run exactly once, and what that is, in words."""
    if spot.trail[0].role == "on_failure":
        yield "on_failure", "'on_failure', where this is asked only after a failure"
    for outer, inner in zip(spot.trail, spot.trail[1:], strict=False):
        if inner.role == "on_error":
            yield (outer, inner.role), f"the handler of {outer.label}, where this is asked only if that fails"
        elif outer.repeats:
            yield (outer, inner.role), f"{outer.label}, where this is asked for each pass"
        elif outer.step.when is not None:
            yield (outer, inner.role), f"{outer.label}, which may be skipped, and then nobody could approve"


def approvals_can_be_asked(context: Context) -> Iterator[Problem]:
    """Approvals that wait for what they cover."""
    order = _Order(context)
    for spot in _approvals(context):
        way = order.way_back(spot)
        if way and not any(_not_coverables(spot, context)):
            waits = ", which waits for ".join([*way[:-1], "the approval"])
            message = f"the approval {spot.label} waits for {waits}: neither would ever go on"
            yield context.at_key("approval-deadlock", message, spot.step.position, ("approve",))


def _approvals(context: Context) -> Iterator[Spot]:
    return (spot for spot in context.outline.spots if isinstance(spot.step, ApproveStep))


Moment: TypeAlias = Literal["start", "done", "end"]
Point: TypeAlias = tuple[Spot, Moment]
"""A moment of a step: it starts, it is done with its own work and what is inside of it, its handler has ended too."""


@dataclass(frozen=True)
class _Order:
    """What waits for what: by the order of the lists, by nesting, and by approvals."""

    context: Context

    def way_back(self, approval: Spot) -> list[str]:
        """Return the changes and approvals on the shortest way on which an approval waits for itself, or nothing."""
        goal: Point = (approval, "done")
        came_from: dict[Point, Point] = {(approval, "start"): (approval, "start")}
        open_: list[Point] = [(approval, "start")]
        for point in open_:  # it grows
            for needed in self._needed(point):
                if needed not in came_from:
                    came_from[needed] = point
                    open_.append(needed)
        return _labels(goal, came_from) if goal in came_from else []

    def _needed(self, point: Point) -> Iterator[Point]:
        """Give what must have happened before a moment."""
        spot, moment = point
        if moment == "start":
            yield from self._needed_to_start(spot)
            return
        yield spot, "start" if moment == "done" else "done"
        role = "block" if moment == "done" else "on_error"
        yield from ((inner, "end") for inner in self._inside.get(spot, ()) if inner.role == role)
        if moment == "done":
            yield from ((approval, "done") for approval in self._covering.get(spot, ()))

    def _needed_to_start(self, spot: Spot) -> Iterator[Point]:
        for key in spot.step.after:
            yield self._by_place[id(spot.siblings), key], "end"
        if spot.above is not None:
            yield spot.above, "start" if spot.role == "block" else "done"
        elif spot.role == "finally":
            yield from ((other, "end") for other in self._tops if other.role != "finally")

    @cached_property
    def _tops(self) -> tuple[Spot, ...]:
        return tuple(spot for spot in self.context.outline.spots if spot.above is None)

    @cached_property
    def _by_place(self) -> Mapping[tuple[int, str], Spot]:
        return {(id(spot.siblings), spot.step.key): spot for spot in self.context.outline.spots}

    @cached_property
    def _inside(self) -> Mapping[Spot, list[Spot]]:
        found: dict[Spot, list[Spot]] = {}
        for spot in self.context.outline.spots:
            if spot.above is not None:
                found.setdefault(spot.above, []).append(spot)
        return found

    @cached_property
    def _covering(self) -> Mapping[Spot, list[Spot]]:
        """Return the approvals that each step waits for. Only changes wait, not what reads or tells people."""
        playbook = self.context.playbook
        chains = [chain for chain, _ in playbook.walk()]
        by_chain = dict(zip(chains, self.context.outline.spots, strict=True))
        return {
            by_chain[chain]: [by_chain[approval] for approval in approvals]
            for chain, approvals in playbook.coverage.items()
            if _changes(by_chain[chain].step, self.context)
        }


def _labels(goal: Point, came_from: Mapping[Point, Point]) -> list[str]:
    """Return the way to a goal as names: each change that waits for an approval, and that approval."""
    found: list[str] = []
    point = goal
    while came_from[point] != point:
        before = came_from[point]
        if point[1] == before[1] == "done":
            found += [f"the approval {point[0].label}", before[0].label]
        point = before
    return found[::-1]


def _changes(step: Step, context: Context) -> bool:
    """Say whether a step by itself, not by the steps inside of it, changes anything outside."""
    if isinstance(step, ActionStep):
        spec = context.spec(step.action)
        return spec is not None and spec.effect is Effect.CHANGE
    if isinstance(step, PlaybookStep):
        return any(_changes(inner, context) for inner in _steps_of(step.playbook, context.library))
    return isinstance(step, ReleaseStep)


def _steps_of(playbook: str, library: KnownPlaybooks) -> Iterator[Step]:
    """Give every step of a playbook and of those it runs, but for the steps that run these."""
    open_ = [playbook]
    for name in open_:  # it grows
        found = library.playbook(name)
        for _, step in found.walk() if found is not None else ():
            if not isinstance(step, PlaybookStep):
                yield step
            elif step.playbook not in open_:
                open_.append(step.playbook)
