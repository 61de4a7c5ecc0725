"""Whom `by` means."""

from __future__ import annotations

import pytest

from hikeshi.project import Person, allowed, may_decide

MEI = Person("mei", "mkobayashi", "Mei Kobayashi", ("soc_lead", "analyst"))
KEN = Person("ken", "ken", "Ken Ito", ("analyst",))
PEOPLE = {"mei": MEI, "ken": KEN}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (["role:analyst"], [MEI, KEN]),
        (["role:soc_lead"], [MEI]),
        (["ken"], [KEN]),
        (["ken", "role:analyst", "mei"], [MEI, KEN]),
        (["role:ciso"], []),
        (["role:"], []),
        (["role:mei"], []),
        (["analyst"], []),
        (["mkobayashi"], []),
        (["Mei Kobayashi"], []),
        ([], []),
    ],
)
def test_an_entry_means_those_who_have_the_role_or_the_id(by: list[str], expected: list[Person]) -> None:
    """Roles and IDs don't mix, logins and names are none of them, and what is unknown allows nobody."""
    assert allowed(by, PEOPLE) == expected
    assert [person for person in PEOPLE.values() if may_decide(person, by)] == expected


def test_without_people_nobody_is_allowed() -> None:
    """An empty configuration opens nothing."""
    assert allowed(["role:soc_lead", "mei"], {}) == []
