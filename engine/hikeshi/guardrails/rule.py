"""A rule that protects things, as it is written: lists of names, and why they are on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from enum import StrEnum

from hikeshi.guardrails.spelling import fold, matches
from hikeshi.quick_dataclass import dataclass

__all__ = ["NOBODY", "Listed", "Protected", "Sense", "any_matches"]


NOBODY = "nobody"
"""Who may lift the rules that the engine makes for itself."""


class Sense(StrEnum):
    """What the entries of a list are names of."""

    HOSTS = "hosts"
    USERS = "users"
    GROUPS = "groups"
    TAGS = "tags"
    INDICATORS = "indicators"
    NETWORKS = "networks"


@dataclass(frozen=True, slots=True)
class Listed:
    """Names of one sense, one a line. `file` is where they stand, or empty if they stand in the rule itself.

    Empty lines say nothing, nor does what follows a `#` at the beginning of a line or after a space.
    """

    sense: Sense
    body: str
    file: str = ""

    @classmethod
    def of(cls, sense: Sense, entries: Iterable[str]) -> Listed:
        """Return a list that stands in a rule; there, a `#` is an ordinary character."""
        return cls(sense, "\n".join(entries))

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield each entry with its line, counted from 1; 0 if it stands in a rule."""
        if not self.file:
            yield from ((0, line) for line in self.body.split("\n") if line.strip())
            return
        for number, line in enumerate(self.body.split("\n"), 1):
            text = line.strip()
            if "#" in text:
                text = f" {text}".partition(" #")[0].strip()
            if text:
                yield number, text


@dataclass(frozen=True, slots=True)
class Protected:
    """Things that no change may be made to.

    `origin` says where the rule stands; `lift` who may take it away, empty for whoever may edit the file, or NOBODY;
    `actions` which changes it refuses.
    """

    origin: str
    lists: tuple[Listed, ...]
    why: str = ""
    lift: str = ""
    actions: tuple[str, ...] = field(default=("*",))


def any_matches(patterns: Iterable[str], name: str) -> bool:
    """Say whether one of the patterns means a name, whatever the case of either."""
    folded = fold(name)
    return any(matches(fold(pattern), folded) for pattern in patterns)
