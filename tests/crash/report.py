"""The table of a crash test: one row for each way and playbook, and what was found."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from verdict import KINDS, Verdict

__all__ = ["Tally", "table"]

_FIGURES = ("cases", "kills", "halts", "ended", "asked", *KINDS)


@dataclass
class Tally:
    """What the cases came to. `points` is how many places each row has; `first` and `second` head its two columns."""

    first: str
    points: Mapping[tuple[str, str], int]
    second: str = "playbook"
    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    problems: list[str] = field(default_factory=list)

    def add(self, row: tuple[str, str], verdict: Verdict, case: str) -> None:
        """Count one case in a row."""
        counts = self.counts[row]
        counts.update({"cases": 1, "kills": verdict.kills, "halts": verdict.halts, "asked": int(verdict.asked)})
        counts["ended"] += "stuck" not in verdict.kinds
        counts.update(verdict.kinds)
        self.problems += [f"{kind}: {case}: {text}" for kind, text in verdict.problems]

    @property
    def has_problems(self) -> bool:
        return bool(self.problems)

    def as_json(self) -> str:
        """Return the same as a JSON document."""
        rows = [
            {self.first: row[0], self.second: row[1], "points": self.points[row]}
            | {figure: counts[figure] for figure in _FIGURES}
            for row, counts in self.counts.items()
        ]
        return json.dumps({"rows": rows, "problems": self.problems}, indent=2)


def table(tally: Tally) -> str:
    """Return the table as text, with a last row of sums."""
    rows = [[tally.first, tally.second, "points", *_FIGURES]]
    for row in tally.points:
        if row in tally.counts:
            figures = [tally.points[row], *(tally.counts[row][figure] for figure in _FIGURES)]
            rows.append([*row, *map(str, figures)])
    columns = range(2, len(rows[0]))
    rows.append(["", "all", *(str(sum(int(row[at]) for row in rows[1:])) for at in columns)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    pairs = enumerate(zip(row, widths, strict=True))
    return [text.ljust(width) if at < 2 else text.rjust(width) for at, (text, width) in pairs]
