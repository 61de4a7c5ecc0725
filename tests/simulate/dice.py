"""Chance that is not left to chance: every choice of a simulation comes from here and is the same for the same seed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableSequence, Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Dice(ABC):
    """Gives choices. 0 is the simplest one where there is a simplest, so that a failure can be made smaller."""

    @abstractmethod
    def below(self, limit: int) -> int:
        """Return a whole number from 0 to limit - 1."""

    @abstractmethod
    def fork(self, name: str) -> Dice:
        """Return dice for one purpose, so that more choices there change none elsewhere."""

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: float) -> bool:
        """Say yes in so many of a hundred cases."""
        return self.below(1000) >= 1000 - round(percent * 10)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of several; the first one is the simplest."""
        return choices[self.below(len(choices))]

    def weighted(self, choices: Mapping[T, int]) -> T:
        """Return one of several, each as often as its weight says."""
        at = self.below(sum(choices.values()))
        for choice, weight in choices.items():
            at -= weight
            if at < 0:
                return choice
        raise AssertionError("weights are positive")

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        """Return up to so many different ones, in their order."""
        wanted = self.below(min(most, len(choices)) + 1)
        at = list(range(len(choices)))
        self.shuffle(at)
        return [choices[index] for index in sorted(at[:wanted])]

    def shuffle(self, things: MutableSequence[T]) -> None:
        """Put things into another order."""
        for last in range(len(things) - 1, 0, -1):
            other = last - self.below(last + 1)
            things[last], things[other] = things[other], things[last]

    def seconds(self, low: float, high: float) -> float:
        """Return a time in between, in whole milliseconds; short ones are as likely as long ones of ten times that."""
        steps = self.below(1000) / 1000
        return round(low + (high - low) * steps**3, 3)


class SeededDice(Dice):
    """Choices from a number: SplitMix64, which is the same in every version of Python."""

    def __init__(self, seed: int | str) -> None:
        self._seed = str(seed)
        self._state = int.from_bytes(hashlib.sha256(self._seed.encode()).digest()[:8], "big")

    def below(self, limit: int) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) * limit) >> 64

    def fork(self, name: str) -> SeededDice:
        return SeededDice(f"{self._seed}/{name}")


class DrawnDice(Dice):
    """Choices from Hypothesis, which makes those of a failure smaller."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def below(self, limit: int) -> int:
        return self._draw(st.integers(0, limit - 1)) if limit > 1 else 0

    def fork(self, name: str) -> SeededDice:
        """What a world does goes by a number: drawn one by one, its thousand choices would take minutes."""
        return SeededDice(f"{self._draw(st.integers(0, 9999))}/{name}")
