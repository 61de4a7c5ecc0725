"""The people of a project: who they are, and whether a playbook's `by` means them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ROLE", "Person", "allowed", "may_decide"]

ROLE = "role:"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be asked. `login` is the name that the operating system or a face knows them by.

    `roles` are what playbooks ask for. `access` are roles of `hikeshi.access.roles` that somebody has who comes in by
    chat or single sign-on; `slack` and `matrix` are the IDs that they have there.
    """

    id: str
    login: str
    name: str
    roles: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    slack: str | None = None
    matrix: str | None = None

    def is_meant_by(self, entry: str) -> bool:
        """Say whether an entry of `by` means this person: `role:<role>`, or a person's ID."""
        if entry.startswith(ROLE):
            return entry.removeprefix(ROLE) in self.roles
        return entry == self.id


def allowed(by: Sequence[str], people: Mapping[str, Person]) -> list[Person]:
    """Return the people that `by` means, each once, in the order of the configuration.

    An entry that names no role and no person allows nobody.
    """
    return [person for person in people.values() if may_decide(person, by)]


def may_decide(person: Person, by: Sequence[str]) -> bool:
    """Say whether a person is among those that `by` means."""
    return any(person.is_meant_by(entry) for entry in by)
