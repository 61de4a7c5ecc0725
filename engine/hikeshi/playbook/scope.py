"""Static scope: which steps an expression may read, and whether they have surely run by then.

Rule of this file: it knows the order of steps and nothing of shapes. A step that is read must come before the reader in
every run in which the reader runs; what is inside a loop is seen from outside only as the loop's output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal, TypeAlias

from hikeshi.playbook.model import ActionStep, BlockStep, Playbook, PlaybookStep, Step, StepList

__all__ = ["Gap", "Outline", "Sight", "Spot", "Viewpoint"]

Role: TypeAlias = Literal["steps", "block", "on_error", "on_failure", "finally"]


@dataclass(frozen=True, eq=False)
class Spot:
    """A step and where it stands: in which list, and inside of which steps."""

    step: Step
    siblings: StepList
    role: Role
    above: Spot | None

    @cached_property
    def trail(self) -> tuple[Spot, ...]:
        """Return the steps it is inside of and itself, outermost first."""
        return (*self.above.trail, self) if self.above is not None else (self,)

    @cached_property
    def before(self) -> frozenset[str]:
        """Return the keys of the siblings that have ended when it starts."""
        found: set[str] = set()
        open_ = list(self.step.after)
        while open_:
            key = open_.pop()
            if key not in found:
                found.add(key)
                open_.extend(self.siblings.by_key[key].after)
        return frozenset(found)

    @property
    def is_loop(self) -> bool:
        return isinstance(self.step, (ActionStep, PlaybookStep, BlockStep)) and self.step.loop is not None

    @property
    def repeats(self) -> bool:
        """Say whether the steps inside of it may run more than once."""
        return isinstance(self.step, BlockStep) and (self.step.loop is not None or self.step.repeat is not None)

    @property
    def label(self) -> str:
        return repr(self.step.id or self.step.key)


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """From where an expression looks. Without a spot it belongs to the playbook itself.

    `own_item`: it is asked for each item of its step's loop. `own_when`: it is asked only if its step's `when` holds.
    `inside`: it is asked after the steps inside of its step. `after_all`: it is asked when the playbook has ended.
    `before_all`: it is asked before the run begins, when there are only inputs.
    """

    spot: Spot | None = None
    own_item: bool = False
    own_when: bool = False
    inside: bool = False
    after_itself: bool = False
    after_all: bool = False
    before_all: bool = False
    extra: tuple[str, ...] = ()

    @property
    def loop_names(self) -> tuple[tuple[str, Spot], ...]:
        """Return the names of items that it sees, innermost last, with the loops they belong to."""
        if self.spot is None:
            return ()
        found: list[tuple[str, Spot]] = []
        for spot, inner in zip(self.spot.trail, (*self.spot.trail[1:], None), strict=True):
            visible = self.own_item if inner is None else inner.role != "on_error"
            loop = getattr(spot.step, "loop", None)
            if visible and loop is not None:
                found.append((loop.name, spot))
        return tuple(found)

    @property
    def in_handler(self) -> bool:
        return self.spot is not None and any(spot.role == "on_error" for spot in self.spot.trail)


class Gap(StrEnum):
    """Why a step can't simply be read."""

    NOT_BEFORE = "not-before"
    INSIDE_LOOP = "inside-loop"
    MAYBE_MISSING = "maybe-missing"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a viewpoint sees of a step: nothing is in the way if there is no gap. `why` is for people.

    `guarded`: the reader runs only if a `when` of its own holds, which is taken to care for what may be missing.
    """

    gap: Gap | None = None
    why: str = ""
    guarded: bool = False


@dataclass(frozen=True)
class Outline:
    """Every step of a playbook and where it stands.

    `gives_outcomes` says of an action step whether it gives a list of outcomes, which is there even after a failure;
    `may_fail_unnoticed` whether its failure blocks nothing.
    """

    playbook: Playbook
    gives_outcomes: Callable[[ActionStep], bool] = lambda _: False
    may_fail_unnoticed: Callable[[ActionStep], bool] = lambda _: False
    spots: tuple[Spot, ...] = field(init=False)

    def __post_init__(self) -> None:
        lists: tuple[tuple[Role, StepList], ...] = (
            ("steps", self.playbook.steps),
            ("on_failure", self.playbook.on_failure),
            ("finally", self.playbook.finally_),
        )
        spots = tuple(spot for role, steps in lists for spot in _spots(steps, role, None))
        object.__setattr__(self, "spots", spots)

    @cached_property
    def by_id(self) -> Mapping[str, Spot]:
        return {spot.step.id: spot for spot in self.spots if spot.step.id is not None}

    def sight(self, view: Viewpoint, target: Spot) -> Sight:
        """Return what is seen of `target`."""
        if view.spot is None:
            if not view.after_all:
                return Sight(
                    Gap.NOT_BEFORE, f"no step has run yet when this is computed, so {target.label} can't be read"
                )
            return self._from_the_end(target)
        mine, theirs = view.spot.trail, target.trail
        shared = _shared(mine, theirs)
        if shared == len(theirs):
            return self._of_surroundings(view, target)
        if shared == len(mine):
            return self._of_inside(view, target)
        sight = self._of_others(mine[shared], theirs[shared:])
        whens = [spot.step.when for spot in mine[shared:-1]] + ([view.spot.step.when] if view.own_when else [])
        return Sight(sight.gap, sight.why, guarded=any(when is not None for when in whens))

    def _from_the_end(self, target: Spot) -> Sight:
        if target.trail[0].role != "steps":
            return Sight(Gap.MAYBE_MISSING, f"{target.label} stands in {target.trail[0].role!r}, and may not have run")
        return self._down(target.trail)

    def _of_surroundings(self, view: Viewpoint, target: Spot) -> Sight:
        """Return what a step sees of itself, or of a step it is inside of."""
        assert view.spot is not None
        if target is view.spot:
            reason = f"the step {target.label} reads itself"
            return Sight() if view.after_itself else Sight(Gap.NOT_BEFORE, reason)
        if view.spot.trail[len(target.trail)].role != "on_error":
            return Sight(Gap.NOT_BEFORE, f"this stands inside {target.label}, which has not ended yet")
        return Sight(Gap.MAYBE_MISSING, f"{target.label} has failed when this runs, so it gives nothing; read 'error'")

    def _of_inside(self, view: Viewpoint, target: Spot) -> Sight:
        """Return what an expression of a block sees of the steps inside of it."""
        assert view.spot is not None
        below = target.trail[len(view.spot.trail) :]
        if view.inside and below[0].role == "block":
            return self._down(below)
        return Sight(Gap.NOT_BEFORE, f"{target.label} is inside {view.spot.label}, which has not started yet")

    def _of_others(self, mine: Spot, theirs: tuple[Spot, ...]) -> Sight:
        """Return what a step sees of another one, from where their trails part."""
        target = theirs[-1]
        if mine.siblings is theirs[0].siblings:
            if theirs[0].step.key in mine.before:
                return self._down(theirs)
            return Sight(Gap.NOT_BEFORE, f"{target.label} does not surely run before this; see 'needs'")
        roles = (mine.role, theirs[0].role)
        if roles in (("on_failure", "steps"), ("finally", "steps"), ("finally", "on_failure")):
            sight = self._down(theirs)
            why = f"{target.label} may not have run when {mine.role!r} does"
            return sight if sight.gap is Gap.INSIDE_LOOP else Sight(Gap.MAYBE_MISSING, why)
        if roles == ("on_error", "block"):
            assert mine.above is not None
            if mine.above.repeats:
                return _inside_loop(mine.above, target)
            return Sight(Gap.MAYBE_MISSING, f"{target.label} may not have run when {mine.above.label} fails")
        return Sight(Gap.NOT_BEFORE, f"{target.label} does not surely run before this")

    def _down(self, trail: tuple[Spot, ...]) -> Sight:
        """Return what is seen of the last step of a trail once the first one has ended."""
        target = trail[-1]
        maybe = ""
        for spot, inner in zip(trail, (*trail[1:], None), strict=True):
            if inner is not None and inner.role == "block" and spot.repeats:
                return _inside_loop(spot, target)
            if inner is not None and inner.role == "on_error":
                maybe = maybe or f"{target.label} runs only if {spot.label} fails"
            else:
                maybe = maybe or self._maybe(spot, target)
        return Sight(Gap.MAYBE_MISSING, maybe) if maybe else Sight()

    def _maybe(self, spot: Spot, target: Spot) -> str:
        """Return why the output of `target`, which is `spot` or inside of it, may be missing; nothing if it can't."""
        step = spot.step
        if step.when is not None and not spot.is_loop:
            return f"{target.label} may be skipped" + ("" if spot is target else f", by the 'when' of {spot.label}")
        if isinstance(step, ActionStep) and step.if_unsupported == "skip" and not spot.is_loop:
            return f"{target.label} is skipped where the product cannot do it"
        if spot is target and self._tells_after_failure(spot):
            return ""
        if step.on_error is not None and step.on_error.then_continue:
            return f"{target.label} gives nothing if {spot.label} fails, and this runs all the same"
        if spot is target and isinstance(step, ActionStep) and self.may_fail_unnoticed(step):
            return f"{target.label} is a notification: if it fails it gives nothing, and this runs all the same"
        return ""

    def _tells_after_failure(self, spot: Spot) -> bool:
        """Say whether a step's output tells what became of its parts, and so is there even if some of them failed."""
        if spot.is_loop or isinstance(spot.step, BlockStep):
            return True
        return isinstance(spot.step, ActionStep) and self.gives_outcomes(spot.step)


def _inside_loop(loop: Spot, target: Spot) -> Sight:
    how = f"steps.{loop.step.id}" if loop.step.id is not None else "the loop's output; give the loop an 'id'"
    return Sight(Gap.INSIDE_LOOP, f"{target.label} is inside the loop {loop.label}; from outside read {how}")


def _shared(mine: tuple[Spot, ...], theirs: tuple[Spot, ...]) -> int:
    """Return how many steps two trails have in common."""
    count = 0
    for one, other in zip(mine, theirs, strict=False):
        if one is not other:
            break
        count += 1
    return count


def _spots(steps: StepList, role: Role, above: Spot | None) -> Iterator[Spot]:
    for step in steps:
        spot = Spot(step, steps, role, above)
        yield spot
        if isinstance(step, BlockStep):
            yield from _spots(step.children, "block", spot)
        if step.on_error is not None and step.on_error.steps is not None:
            yield from _spots(step.on_error.steps, "on_error", spot)
