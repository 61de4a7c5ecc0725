"""Figures to text: a table for each workload, medians with their spread, and the goals beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Goal", "table"]

_NAME_WIDTH = 44


@dataclass(frozen=True)
class Goal:
    """A limit for one figure. `at_most` False means at least."""

    text: str
    value: float
    limit: float
    at_most: bool = True

    def __str__(self) -> str:
        met = self.value <= self.limit if self.at_most else self.value >= self.limit
        return f"  goal: {self.text}: {_number(self.value)}, {'met' if met else 'NOT MET'}"


def table(title: str, rows: Mapping[str, Sequence[float]], goals: Sequence[Goal] = (), notes: str = "") -> str:
    """Return a workload's table: for each row the median of its rounds, and their lowest and highest."""
    lines = [title, f"  {'':{_NAME_WIDTH}} {'median':>9} {'lowest':>9} {'highest':>9}"]
    for name, values in rows.items():
        shown = (median(values), min(values), max(values)) if values else ()
        numbers = " ".join(f"{_number(value):>9}" for value in shown)
        lines.append(f"  {name:{_NAME_WIDTH}} {numbers or '        -'}")
    lines += [str(goal) for goal in goals]
    if notes:
        lines.append(f"  {notes}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
