"""Limits: how many distinct targets may be changed before somebody is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum
from fractions import Fraction

from hikeshi.guardrails.rule import any_matches
from hikeshi.quick_dataclass import dataclass

__all__ = ["Limit", "Per", "Population"]


class Per(StrEnum):
    """What the targets are counted over."""

    STEP = "step"
    RUN = "run"
    PLAYBOOK = "playbook"  # all runs of one, within a time
    ACTION = "action"  # each action by itself, over all runs, within a time
    WINDOW = "window"  # everything that the limit is about, within a time


@dataclass(frozen=True, slots=True)
class Population:
    """A share of a known number of things: at most `per_cent` of `count`."""

    count: int
    per_cent: float

    @property
    def most(self) -> int:
        """Return the greatest number that is not more than the share, computed exactly."""
        return int(self.count * Fraction(str(self.per_cent)) / 100)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many distinct targets. Reaching past it pauses a run for approval.

    `within_s` is the length of the time window in seconds that ends now, None for a step or a run, which count from
    their beginning. Of `at_most` and `population` the smaller one holds; one of them is there.
    """

    origin: str
    per: Per
    at_most: int | None = None
    population: Population | None = None
    within_s: int | None = None
    actions: tuple[str, ...] = field(default=("*",))
    playbooks: tuple[str, ...] = field(default=("*",))
    why: str = ""
    by: tuple[str, ...] = ()  # who is asked past it; nobody named is everybody in the project

    @property
    def most(self) -> int:
        """How many distinct targets are allowed; the next one is asked about. Raises ValueError if nothing says."""
        counts = [] if self.at_most is None else [self.at_most]
        counts += [] if self.population is None else [self.population.most]
        return min(counts)

    def is_about(self, action: str, playbook: str) -> bool:
        """Say whether changes by an action in a playbook count."""
        return any_matches(self.actions, action) and any_matches(self.playbooks, playbook)

    def passed_by(self, distinct: int) -> bool:
        """Say whether so many distinct targets, the new ones among them, are more than are allowed."""
        return distinct > self.most

    def scope_key(self, *, run: str, step: str, playbook: str, action: str) -> str:
        """Return under what a target is counted: equal keys share one count.

        The key stays the same when only the allowed number changes, so a limit that is raised or lowered goes on
        counting. `step` is the path of the step.
        """
        scope = self._scope(run, step, playbook, action)
        return _key_of((self.per, str(self.within_s)), sorted(self.actions), sorted(self.playbooks), scope)

    def _scope(self, run: str, step: str, playbook: str, action: str) -> tuple[str, ...]:
        match self.per:
            case Per.STEP:
                return (run, step)
            case Per.RUN:
                return (run,)
            case Per.PLAYBOOK:
                return (playbook,)
            case Per.ACTION:
                return (action,)
            case Per.WINDOW:
                return ()


def _key_of(*parts: Iterable[str]) -> str:
    text = "\x1e".join("\x1f".join(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
