"""`people` in hikeshi.yaml: read, and refused where two of them could not be told apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from hikeshi.access.roles import Role
from hikeshi.project.people import ROLE, Person

__all__ = ["people_of"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_KEYS: Final = ("login", "name", "roles", "access", "slack", "matrix")
_EXAMPLE: Final = "{login: mkobayashi, name: Mei Kobayashi, roles: [soc_lead]}"
_CHAT_IDS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "slack": (
        re.compile(r"[UW][A-Z0-9]{2,30}"),
        "a member ID of Slack, such as U012ABCDEF (names change)",
    ),
    "matrix": (
        re.compile(r"@[!-9;-~]{1,200}:[A-Za-z0-9.\[\]:-]{1,200}"),
        'a user ID of Matrix in quotes, such as "@mei:example.org"',
    ),
}


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


def people_of(raw: Any, problems: _Problems) -> dict[str, Person]:
    """Return what `people` says, by the ID of each."""
    if not isinstance(raw, dict):
        problems.add(("people",), f"'people' is a map from the ID of a person to {_EXAMPLE}")
        return {}
    read = {id_: _person(id_, settings, problems) for id_, settings in raw.items()}
    found = {id_: person for id_, person in read.items() if person is not None}
    _refuse_twins(found, problems)
    return found


def _refuse_twins(people: Mapping[str, Person], problems: _Problems) -> None:
    owners = {id_: id_ for id_ in people}  # of each name under which somebody may come
    for id_, person in people.items():
        owner = owners.setdefault(person.login, id_)
        if owner != id_:
            text = f"the login {person.login!r} of {id_!r} means {owner!r} already; nobody could tell them apart"
            problems.add(("people", id_, "login"), text)
    for key in _CHAT_IDS:
        members: dict[str, str] = {}
        for id_, person in people.items():
            member = getattr(person, key)
            owner = id_ if member is None else members.setdefault(member, id_)
            if owner != id_:
                text = f"{key} {member!r} of {id_!r} is {owner!r} already; nobody could tell who answers"
                problems.add(("people", id_, key), text)


def _person(id_: Any, settings: Any, problems: _Problems) -> Person | None:
    where = ("people", id_)
    if not isinstance(id_, str) or not _NAME.fullmatch(id_):
        problems.add(where, f"{id_!r} cannot be the ID of a person; use a-z, 0-9, '_' and '-'")
        return None
    given = {} if settings is None else settings
    if not isinstance(given, dict):
        problems.add(where, f"{id_!r} needs a map, such as {_EXAMPLE}")
        return None
    for key in given:
        problems.unknown(key, _KEYS, where)
    texts = {key: given.get(key, id_) for key in ("login", "name")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            problems.add((*where, key), f"{key!r} of {id_!r} is text, and this is {value!r}")
    roles = given.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) and _NAME.fullmatch(role) for role in roles):
        rule = f"a list of names of a-z, 0-9, '_' and '-', such as [soc_lead]; playbooks put {ROLE!r} before them"
        problems.add((*where, "roles"), f"'roles' of {id_!r} is {rule}")
        return None
    access = _access(id_, given.get("access", []), problems)
    slack, matrix = (_chat_id(id_, key, given.get(key), problems) for key in ("slack", "matrix"))
    return Person(id_, str(texts["login"]), str(texts["name"]), tuple(roles), access, slack, matrix)


def _access(id_: str, given: Any, problems: _Problems) -> tuple[str, ...]:
    known = ", ".join(Role)
    if not isinstance(given, list):
        problems.add(("people", id_, "access"), f"'access' of {id_!r} is a list of {known}, such as [approver]")
        return ()
    for role in given:
        if role not in tuple(Role):
            text = f"'access' of {id_!r} has no role {role!r}; there is {known} (those of playbooks stand in 'roles')"
            problems.add(("people", id_, "access"), text)
    return tuple(dict.fromkeys(str(role) for role in given))


def _chat_id(id_: str, key: str, given: Any, problems: _Problems) -> str | None:
    form, meant = _CHAT_IDS[key]
    if given is None:
        return None
    if not isinstance(given, str) or not form.fullmatch(given):
        problems.add(("people", id_, key), f"{key!r} of {id_!r} is {meant}, and this is {given!r}")
        return None
    return given
