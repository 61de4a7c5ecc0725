"""Whether there is somebody to ask: the people of a project against what `by` and `escalate` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hikeshi.playbook.check_places import Places
from hikeshi.playbook.model import ApproveStep, AskStep, Playbook, Position, Step
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem, in_order
from hikeshi.playbook.template import Path

__all__ = ["Somebody", "check_people"]

_ROLE = "role:"


class Somebody(Protocol):
    """A person of a project."""

    @property
    def id(self) -> str:
        """What playbooks call this person."""

    @property
    def roles(self) -> Sequence[str]:
        """The roles that this person has."""

    def is_meant_by(self, entry: str) -> bool:
        """Say whether an entry of `by` means this person."""


def check_people(playbook: Playbook, people: Mapping[str, Somebody]) -> list[Problem]:
    """Return what a playbook asks of people who are not there, in the order of its text.

    `people` are those of the project by ID. Playbooks that it runs are checked by themselves. Raises nothing.
    """
    hall = _Hall(people, Places(playbook))
    return in_order(problem for call in _calls(playbook) for problem in hall.problems(call))


@dataclass(frozen=True, slots=True)
class _Call:
    """One place that asks people: each list of entries with its path below the map that starts at `start`."""

    start: Position
    lists: Mapping[Path, tuple[str, ...]]
    quorum: int = 1


def _calls(playbook: Playbook) -> Iterator[_Call]:
    for _, step in playbook.walk():
        yield from _calls_of(step)
    for trigger in playbook.triggers:
        if trigger.by:
            yield _Call(trigger.position, {("by",): trigger.by})


def _calls_of(step: Step) -> Iterator[_Call]:
    if isinstance(step, AskStep):
        yield _Call(step.position, {("by",): step.by})
    elif isinstance(step, ApproveStep):
        lists: dict[Path, tuple[str, ...]] = {("by",): step.by}
        if step.escalate is not None:
            lists["escalate", "to"] = step.escalate.to
        yield _Call(step.position, lists, step.quorum)


@dataclass(frozen=True, slots=True)
class _Hall:
    """Everybody who could be asked."""

    people: Mapping[str, Somebody]
    places: Places

    def problems(self, call: _Call) -> Iterator[Problem]:
        if not self.people:
            message = "nobody could answer: hikeshi.yaml has no 'people'; name them there, with their roles"
            yield Problem("nobody-may-decide", message, self.places.key(call.start, ("by",)))
            return
        unknown = [
            self._unknown(entry, self.places.value(call.start, (*path, at)))
            for path, entries in call.lists.items()
            for at, entry in enumerate(entries)
            if not self._meant(entry)
        ]
        yield from unknown or self._too_few(call)

    def _meant(self, entry: str) -> set[str]:
        return {person.id for person in self.people.values() if person.is_meant_by(entry)}

    def _unknown(self, entry: str, position: Position) -> Problem:
        bare = entry.removeprefix(_ROLE)
        roles = {role: f"{_ROLE}{role}" for person in self.people.values() for role in person.roles}
        persons = {name: name for name in self.people}
        known = {**persons, **roles} if entry.startswith(_ROLE) else {**roles, **persons}
        near = known.get(nearest(bare, sorted(known)) or "")
        why = f"nobody has the role {bare!r}" if entry.startswith(_ROLE) else "it is no person's ID"
        hint = "" if near is None else f"; did you mean {near!r}?"
        said = f"{entry!r} names nobody in hikeshi.yaml: {why}{hint}"
        return Problem("nobody-may-decide", said, position, near)

    def _too_few(self, call: _Call) -> Iterator[Problem]:
        voters = sorted(set().union(*(self._meant(entry) for entries in call.lists.values() for entry in entries)))
        if call.quorum > len(voters):
            message = f"{call.quorum} must approve, and only {len(voters)} may: {', '.join(voters)}"
            yield Problem("nobody-may-decide", message, self.places.value(call.start, ("quorum",)))
