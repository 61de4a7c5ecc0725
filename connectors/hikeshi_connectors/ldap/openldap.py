"""OpenLDAP and directories like it: accounts are locked by an attribute, groups list the names of their members.

Sources: slapo-ppolicy(5) and draft-behera-ldap-password-policy-10, 5.3.3 (pwdAccountLockedTime: 000001010000Z is a lock
without an end, another time one after wrong passwords); RFC 4530 (entryUUID); OpenLDAP 2.5.13.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from hikeshi.capabilities import Group, User
from hikeshi.connector import Invalid
from hikeshi_connectors.ldap.dialect import Dialect, uuid_in
from hikeshi_connectors.ldap.entry import Entry, Modification, escaped
from hikeshi_connectors.ldap.settings import LdapSettings

__all__ = ["OpenLdap"]


class OpenLdap(Dialect):
    """A tree with inetOrgPerson and groupOfNames, or what the settings say instead."""

    id_attribute: ClassVar[str] = "entryUUID"

    def __init__(self, connector: str, settings: LdapSettings) -> None:
        super().__init__(connector, settings)
        names = (settings.login_attribute, "mail")
        self.member_attribute = settings.member_attribute
        self.user_attributes = ("entryUUID", *names, "displayName", "cn", "departmentNumber")
        self.group_attributes = ("entryUUID", "cn", "objectClass")
        self.lock_attributes = ("entryUUID", "objectClass", settings.lock_attribute)
        self._names = names

    def with_id(self, entry_id: str) -> str:
        return f"(entryUUID={escaped(str(uuid_in(entry_id)))})"

    def users_named(self, name: str) -> str:
        names = "".join(f"({each}={escaped(name)})" for each in self._names)
        return f"(&(objectClass={self.settings.user_class})(|{names}))"

    def user_of(self, entry: Entry) -> User:
        logins, mails, shown = entry.texts(self.settings.login_attribute), entry.texts("mail"), entry.texts("cn")
        if not logins:
            raise Invalid(f"{self.connector}: {entry.dn} has no {self.settings.login_attribute}, or it may not be read")
        departments = entry.texts("departmentNumber")
        return User(
            connector=self.connector,
            id=_id(entry),
            name=logins[0],
            display_name=entry.text("displayName") or (shown[0] if shown else None),
            email=mails[0] if mails else None,
            department=departments[0] if departments else None,
            logins=tuple(logins[1:]),
        )

    def names_of(self, entry: Entry) -> Collection[str]:
        return [text for name in self._names for text in entry.texts(name)]

    def is_enabled(self, entry: Entry) -> bool:
        if not entry.values("objectClass"):
            # Without a right to read the entry, a lock cannot be told from none.
            raise Invalid(f"{self.connector}: {entry.dn} may not be read")
        return self.settings.lock_value not in entry.texts(self.settings.lock_attribute)

    def locked(self, entry: Entry, lock: bool) -> Sequence[Modification]:
        """Return the lock's change; a lock that would have ended by itself makes way for the one without an end."""
        attribute, value = self.settings.lock_attribute, self.settings.lock_value
        if self.is_enabled(entry) is not lock:
            return ()
        if not lock:
            return (Modification("delete", attribute, (value,)),)
        there = entry.texts(attribute)
        before = (Modification("delete", attribute, tuple(there)),) if there else ()
        return (*before, Modification("add", attribute, (value,)))

    def groups_with(self, user: Entry) -> str:
        return f"({self.member_attribute}={escaped(user.dn)})"

    def group_of(self, entry: Entry, user: Entry | None = None) -> Group:  # noqa: ARG002 - of Active Directory
        names = entry.texts("cn")
        if not names:
            raise Invalid(f"{self.connector}: {entry.dn} has no name, or it may not be read")
        classes = {each.casefold() for each in entry.texts("objectClass")}
        return Group(
            connector=self.connector,
            id=_id(entry),
            name=names[0],
            privileged=self.is_configured_privileged({*names, entry.dn, _id(entry)}),
            dynamic="groupofurls" in classes,
        )

    def is_primary(self, group: Entry, user: Entry) -> bool:  # noqa: ARG002 - of Active Directory
        return False


def _id(entry: Entry) -> str:
    found = entry.text("entryUUID")
    if not found:
        raise Invalid(f"{entry.dn} has no entryUUID, or it may not be read")
    return str(uuid_in(found))
