"""The breaker: a source whose alerts all ask for the same change is more likely wrong than right."""

from __future__ import annotations

from dataclasses import field
from fractions import Fraction

from hikeshi.guardrails.rule import any_matches
from hikeshi.quick_dataclass import dataclass

__all__ = ["Breaker"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """Pauses for approval when more than a share of a source's alerts ask for one action.

    Alerts of the last `within_s` seconds count. `at_least` alerts have to ask for it, so that the first ones
    of a day trip nothing.
    """

    origin: str
    at_most_per_cent: float
    at_least: int
    within_s: int
    actions: tuple[str, ...] = field(default=("*",))
    sources: tuple[str, ...] = field(default=("*",))

    def is_about(self, action: str, source: str) -> bool:
        """Say whether it watches an action that a source's alerts ask for."""
        return any_matches(self.actions, action) and any_matches(self.sources, source)

    def trips(self, *, asking: int, alerts: int | None) -> bool:
        """Say whether to stop and ask.

        `asking` is how many alerts of the source asked for the action, this one among them, `alerts` how many there
        were; None if that could not be counted, which is never taken for plenty.
        """
        if asking < self.at_least:
            return False
        return alerts is None or asking * 100 > Fraction(str(self.at_most_per_cent)) * alerts
