"""What kinds of directory have in different ways: how entries are named, accounts locked and groups kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar
from uuid import UUID

from hikeshi.capabilities import Group, User
from hikeshi.connector import Invalid
from hikeshi_connectors.ldap.entry import Entry, Modification
from hikeshi_connectors.ldap.settings import LdapSettings

__all__ = ["Dialect", "uuid_in"]


class Dialect(ABC):
    """One kind of directory. Everything here decides; nothing here asks."""

    user_attributes: tuple[str, ...]
    group_attributes: tuple[str, ...]
    lock_attributes: tuple[str, ...]
    member_attribute: str
    id_attribute: ClassVar[str]
    has_sids: ClassVar[bool] = False

    def __init__(self, connector: str, settings: LdapSettings) -> None:
        self.connector = connector
        self.settings = settings
        self._privileged = {each.casefold() for each in settings.privileged_groups}

    @abstractmethod
    def with_id(self, entry_id: str) -> str:
        """Return the filter for the entry with this id. Raises Invalid if it is no id."""

    @abstractmethod
    def users_named(self, name: str) -> str:
        """Return the filter for accounts with a name, which need not be exact."""

    @abstractmethod
    def user_of(self, entry: Entry) -> User:
        """Return the account that an entry describes. Raises Invalid."""

    @abstractmethod
    def names_of(self, entry: Entry) -> Collection[str]:
        """Return every name under which an account is found."""

    @abstractmethod
    def is_enabled(self, entry: Entry) -> bool:
        """Say whether an account may sign in. Raises Invalid if the entry does not say."""

    @abstractmethod
    def locked(self, entry: Entry, lock: bool) -> Sequence[Modification]:
        """Return what locks an account or lets it in, given how it is; nothing if it is so."""

    @abstractmethod
    def groups_with(self, user: Entry) -> str:
        """Return the filter for the groups that an account is a direct member of."""

    @abstractmethod
    def group_of(self, entry: Entry, user: Entry | None = None) -> Group:
        """Return the group that an entry describes; `user` is the account whose group it is. Raises Invalid."""

    @abstractmethod
    def is_primary(self, group: Entry, user: Entry) -> bool:
        """Say whether an account belongs to a group by an attribute of its own."""

    def refuse_incomplete(self, groups: Sequence[Group], user: Entry) -> None:  # noqa: B027 - most have no such mark
        """Raise Invalid if an account's groups can't be all of them."""

    def is_configured_privileged(self, names: Collection[str]) -> bool:
        """Say whether one of a group's names is in the settings."""
        return not self._privileged.isdisjoint(each.casefold() for each in names)


def uuid_in(text: str) -> UUID:
    """Return an id. Raises Invalid for what is none in its usual form."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise Invalid(f"{text[:80]!r} is not the id of an entry; nothing was sent")
    return found
