"""Some rules with lists, and the index over their lists: which of the rules mean a target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from hikeshi.guardrails.names import Names
from hikeshi.guardrails.protection import NotAnEntry, Protection
from hikeshi.guardrails.rule import Listed, Sense, any_matches

__all__ = ["Met", "Rulebook"]


class _Rule(Protocol):
    @property
    def origin(self) -> str: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    @property
    def lists(self) -> tuple[Listed, ...]: ...


R = TypeVar("R", bound=_Rule)
_FACTS = {Sense.GROUPS: "groups", Sense.TAGS: "tags"}


class Met(NamedTuple, Generic[R]):
    """A rule that means a target, and by which entry."""

    rule: R
    where: str
    text: str


class Rulebook(Generic[R]):
    """Rules of one kind, in the order of the file."""

    def __init__(self, rules: tuple[R, ...], domains: tuple[str, ...] = ()) -> None:
        """Raises NotAnEntry, with its place, for an entry of a list that can't be compared with anything."""
        self.rules = rules
        self._facts_by_action: dict[str, frozenset[str]] = {}
        self._lists = [(rule, listed) for rule in rules for listed in rule.lists]
        try:
            self._index = Protection([listed for _, listed in self._lists], domains)
        except NotAnEntry as exc:
            raise NotAnEntry(str(exc), exc.number, exc.line, self._where(exc.number, exc.line)) from None

    def hits(self, action: str, names: Names) -> Iterator[Met[R]]:
        """Yield the rules about an action that mean a target; one may come more than once."""
        for hit in self._index.hits(names):
            rule, _ = self._lists[hit.entry.number]
            if any_matches(rule.actions, action):
                yield Met(rule, self._where(hit.entry.number, hit.entry.line), hit.text)

    def why_about(self, rule: R, names: Names) -> str | None:
        """Return which name of a target a rule means, empty if it means every target, None if it does not mean it."""
        if not rule.lists:
            return ""
        for hit in self._index.hits(names):
            if self._lists[hit.entry.number][0] is rule:
                return hit.text
        missing = sorted(_facts(rule) & names.not_known)
        return f"its {' and '.join(missing)} are not known" if missing else None

    def facts_for(self, action: str) -> frozenset[str]:
        """Return what rules about an action need to know of a target besides its names: `groups`, `tags`."""
        facts = self._facts_by_action.get(action)
        if facts is None:
            asking = (rule for rule in self.rules if any_matches(rule.actions, action))
            facts = self._facts_by_action[action] = frozenset(fact for rule in asking for fact in _facts(rule))
        return facts

    def _where(self, number: int, line: int) -> str:
        """Where an entry stands: a line of a file, or its rule."""
        rule, listed = self._lists[number]
        return f"{listed.file}:{line}" if listed.file else rule.origin


def _facts(rule: _Rule) -> frozenset[str]:
    return frozenset(_FACTS[listed.sense] for listed in rule.lists if listed.sense in _FACTS)
