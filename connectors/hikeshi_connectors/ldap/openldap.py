"""OpenLDAP and directories like it: accounts are locked by an attribute, groups list the names of their members.

Sources: slapo-ppolicy(5) and draft-behera-ldap-password-policy-10, 5.3.3 (pwdAccountLockedTime: 000001010000Z is a lock
without an end, another time one after wrong passwords; pwdFailureTime); RFC 4530 (entryUUID); OpenLDAP 2.5.13.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import ClassVar, Final

from hikeshi.capabilities import Group, User
from hikeshi.connector import Conflict, Invalid
from hikeshi_connectors.ldap.dialect import Dialect, uuid_in
from hikeshi_connectors.ldap.entry import Entry, Modification, escaped
from hikeshi_connectors.ldap.settings import LdapSettings

__all__ = ["OpenLdap"]

_FAILURES: Final = "pwdFailureTime"
# The time 000001010000Z in every way to write it (RFC 4517, 3.3.13): directories compare the time and keep the writing.
_NO_END: Final = re.compile(r"0000010100(00(00)?)?([.,]0+)?(Z|[+-]00(00)?)")
_OVER_ANOTHER: Final = "0000010100Z"
_SECOND: Final = re.compile(r"\d{14}")


class OpenLdap(Dialect):
    """A tree with inetOrgPerson and groupOfNames, or what the settings say instead."""

    id_attribute: ClassVar[str] = "entryUUID"

    def __init__(self, connector: str, settings: LdapSettings) -> None:
        super().__init__(connector, settings)
        names = (settings.login_attribute, "mail")
        self.member_attribute = settings.member_attribute
        self.user_attributes = ("entryUUID", *names, "displayName", "cn", "departmentNumber")
        self.group_attributes = ("entryUUID", "cn", "objectClass")
        self._is_time = settings.lock_attribute.casefold() == "pwdaccountlockedtime"
        failures = (_FAILURES,) if self._is_time else ()
        self.lock_attributes = ("entryUUID", "objectClass", *failures, settings.lock_attribute)
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
        return not self._locks(entry)

    def locked(self, entry: Entry, lock: bool) -> Sequence[Modification]:
        """Return the lock's change. Raises Conflict where a lock stands that could not be given back.

        A lock after wrong passwords makes way for one without an end, which is then written in a way that says so:
        whoever takes that away puts the other back.
        """
        attribute, value = self.settings.lock_attribute, self.settings.lock_value
        if self.is_enabled(entry) is not lock:
            return ()
        there = tuple(entry.texts(attribute) if lock else self._locks(entry))
        before = (Modification("delete", attribute, there),) if there else ()
        if self._is_time and lock and there:
            self._refuse_lock_by_hand(entry, there)
            # To delete the value, even for another one, would make ppolicy forget the wrong passwords.
            return (Modification("replace", attribute, (_OVER_ANOTHER,)),)
        if self._is_time and there == (_OVER_ANOTHER,):
            return (Modification("replace", attribute, (self._temporary(entry),)),)
        return (*before, Modification("add", attribute, (value,))) if lock else before

    def _locks(self, entry: Entry) -> list[str]:
        """Return the values that lock without an end, as they are written."""
        value, there = self.settings.lock_value, entry.texts(self.settings.lock_attribute)
        return [each for each in there if each == value or (self._is_time and _NO_END.fullmatch(each))]

    def _refuse_lock_by_hand(self, entry: Entry, there: tuple[str, ...]) -> None:
        failures = _seconds(entry.texts(_FAILURES))
        if failures and there != (max(failures),):
            raise Conflict(
                f"{self.connector}: {entry.dn} has a {self.settings.lock_attribute} of {', '.join(there)} that no "
                "wrong password set, and undo could not give it back; take it away or lock the account by hand"
            )

    def _temporary(self, entry: Entry) -> str:
        """Return the lock after wrong passwords that was there before: ppolicy sets it to the time of the last one."""
        failures = _seconds(entry.texts(_FAILURES))
        if not failures:
            raise Conflict(
                f"{self.connector}: {entry.dn} was locked after wrong passwords before, and without a {_FAILURES} that "
                "may be read nobody knows until when; see that the account is safe, and unlock it by hand"
            )
        return max(failures)

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


def _seconds(times: Sequence[str]) -> list[str]:
    """Return times without their fractions, as ppolicy writes a lock. Source: OpenLDAP 2.5.13."""
    return [f"{found[0]}Z" for each in times if (found := _SECOND.match(each))]


def _id(entry: Entry) -> str:
    found = entry.text("entryUUID")
    if not found:
        raise Invalid(f"{entry.dn} has no entryUUID, or it may not be read")
    return str(uuid_in(found))
