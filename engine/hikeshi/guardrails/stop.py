"""The kill switch: what is stopped, and whether it means a change."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from hikeshi.guardrails.rule import any_matches
from hikeshi.quick_dataclass import dataclass

__all__ = ["Scope", "Stop", "Stops"]


class Scope(StrEnum):
    """How much a stop holds back."""

    EVERYTHING = "everything"
    CONNECTOR = "connector"
    ACTION = "action"
    PLAYBOOK = "playbook"


@dataclass(frozen=True, slots=True)
class Stop:
    """One engaged kill switch. `name` is a name or pattern: of a connector, an action or a playbook."""

    scope: Scope
    name: str = ""
    by: str = ""
    why: str = ""

    @classmethod
    def parse(cls, text: str, *, by: str = "", why: str = "") -> Stop:
        """Return the stop that is written `everything`, `connector:NAME`, `action:PATTERN` or `playbook:ID`.

        Raises ValueError, which says what can be written, for anything else.
        """
        word, colon, name = (part.strip() for part in text.partition(":"))
        if word == Scope.EVERYTHING and not colon:
            return cls(Scope.EVERYTHING, "", by, why)
        if word in (Scope.CONNECTOR, Scope.ACTION, Scope.PLAYBOOK) and name:
            return cls(Scope(word), name, by, why)
        raise ValueError(
            f"{text!r} says not what to stop; write everything, connector:NAME, action:PATTERN or playbook:ID"
        )

    @property
    def text(self) -> str:
        """The stop as `parse` reads it."""
        return f"{self.scope}:{self.name}" if self.name else str(self.scope)

    def holds_back(self, action: str, connector: str, playbook: str) -> bool:
        """Say whether a change by an action of a connector in a playbook is stopped."""
        match self.scope:
            case Scope.EVERYTHING:
                return True
            case Scope.CONNECTOR:
                return any_matches((self.name,), connector)
            case Scope.ACTION:
                return any_matches((self.name,), action)
            case Scope.PLAYBOOK:
                return any_matches((self.name,), playbook)


@dataclass(frozen=True, slots=True)
class Stops:
    """Every kill switch that is engaged."""

    engaged: tuple[Stop, ...] = ()

    @classmethod
    def read(cls, stored: Iterable[str]) -> Stops:
        """Return the stops of stored texts. One that cannot be understood stops everything."""
        return cls(tuple(map(_understood, stored)))

    @classmethod
    def unreadable(cls, reason: str) -> Stops:
        """Return what holds if the kill switch could not be read: everything is stopped."""
        return cls((Stop(Scope.EVERYTHING, why=f"the kill switch could not be read: {reason}"),))

    def match(self, action: str, connector: str, playbook: str) -> Stop | None:
        """Return the first stop that holds back a change, or None. Reads, releases and undo are not asked about."""
        return next((stop for stop in self.engaged if stop.holds_back(action, connector, playbook)), None)


def _understood(text: str) -> Stop:
    try:
        return Stop.parse(text)
    except ValueError:
        return Stop(Scope.EVERYTHING, why=f"a stored stop could not be understood: {text!r}")
