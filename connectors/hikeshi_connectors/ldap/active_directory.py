"""Active Directory, and Samba as one of its domain controllers.

Sources: MS-ADTS 2.2.16 (userAccountControl), 3.1.1.1.6 (objectGUID as bytes), MS-DTYP 2.4.2.4 (well-known SIDs),
"Protected Accounts and Groups in Active Directory" (adminCount); Samba 4.17.12.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Final
from uuid import UUID

from hikeshi.capabilities import Group, User
from hikeshi.connector import Invalid
from hikeshi_connectors.ldap.dialect import Dialect, uuid_in
from hikeshi_connectors.ldap.entry import Entry, Modification, escaped

__all__ = ["ActiveDirectory", "sid_text"]

_DISABLED: Final = 0x2  # ADS_UF_ACCOUNTDISABLE
_CONTROL: Final = "userAccountControl"
_NAMES: Final = ("sAMAccountName", "userPrincipalName", "mail")
_BUILT_IN: Final = "S-1-5-32-"
# Administrators, Account, Server, Print and Backup Operators, Replicator
_PRIVILEGED_BUILT_IN: Final = frozenset({"544", "548", "549", "550", "551", "552"})
# Domain Admins, Domain Controllers, Cert Publishers, Schema Admins, Enterprise Admins, Group Policy Creator Owners,
# Read-only Domain Controllers, Key Admins, Enterprise Key Admins
_PRIVILEGED_IN_DOMAIN: Final = frozenset({"512", "516", "517", "518", "519", "520", "521", "526", "527"})


class ActiveDirectory(Dialect):
    """A domain: accounts are locked by a bit of userAccountControl, and one group of each is its primary one."""

    id_attribute: ClassVar[str] = "objectGUID"
    has_sids: ClassVar[bool] = True
    user_attributes = ("objectGUID", *_NAMES, "displayName", "department", "primaryGroupID", "objectSid")
    group_attributes = ("objectGUID", "cn", "sAMAccountName", "objectSid", "adminCount")
    lock_attributes = ("objectGUID", _CONTROL)
    member_attribute = "member"

    def with_id(self, entry_id: str) -> str:
        return f"(objectGUID={escaped(uuid_in(entry_id).bytes_le)})"

    def users_named(self, name: str) -> str:
        names = "".join(f"({each}={escaped(name)})" for each in _NAMES)
        return f"(&(objectCategory=person)(objectClass=user)(|{names}))"

    def user_of(self, entry: Entry) -> User:
        login = entry.text("userPrincipalName") or entry.text("sAMAccountName")
        if not login:
            raise Invalid(f"{self.connector}: {entry.dn} has no sign-in name, or it may not be read")
        return User(
            connector=self.connector,
            id=_guid(entry),
            name=login,
            display_name=entry.text("displayName"),
            email=entry.text("mail"),
            department=entry.text("department"),
            logins=tuple(text for text in entry.texts("sAMAccountName") if text != login),
        )

    def names_of(self, entry: Entry) -> Collection[str]:
        return [text for name in _NAMES for text in entry.texts(name)]

    def is_enabled(self, entry: Entry) -> bool:
        return not self._control(entry) & _DISABLED

    def locked(self, entry: Entry, lock: bool) -> Sequence[Modification]:
        """Return the bit's change. The old value is deleted by name: if it is another by then, nothing happens."""
        old = self._control(entry)
        new = old | _DISABLED if lock else old & ~_DISABLED
        if new == old:
            return ()
        return (Modification("delete", _CONTROL, (str(old),)), Modification("add", _CONTROL, (str(new),)))

    def groups_with(self, user: Entry) -> str:
        primary = self._primary_sid(user)
        return f"(&(objectClass=group)(|(member={escaped(user.dn)})(objectSid={escaped(primary)})))"

    def group_of(self, entry: Entry, user: Entry | None = None) -> Group:
        sid = _sid(entry)
        name = entry.text("sAMAccountName") or entry.text("cn")
        if not name:
            raise Invalid(f"{self.connector}: {entry.dn} has no name, or it may not be read")
        names = {name, sid, _guid(entry), *entry.texts("cn")}
        return Group(
            connector=self.connector,
            id=_guid(entry),
            name=name,
            privileged=_is_well_known(sid)
            or (entry.number("adminCount") or 0) > 0
            or self.is_configured_privileged(names),
            dynamic=user is not None and self.is_primary(entry, user),
        )

    def is_primary(self, group: Entry, user: Entry) -> bool:
        return _sid(group) == sid_text(self._primary_sid(user))

    def refuse_incomplete(self, groups: Sequence[Group], user: Entry) -> None:
        """Everybody has a primary group; where it is not found, others are not found either."""
        if not any(each.dynamic for each in groups):
            raise Invalid(
                f"{self.connector}: the primary group of {user.dn} is not below {self.settings.base_dn}, so other "
                "groups may be missing, too; base_dn has to be the whole domain"
            )

    def _control(self, entry: Entry) -> int:
        found = entry.number(_CONTROL)
        if found is None:
            raise Invalid(
                f"{self.connector}: {entry.dn} does not say {_CONTROL}; the account may lack the right to read it"
            )
        return found

    def _primary_sid(self, user: Entry) -> bytes:
        """Return the SID of the primary group: that of the account's domain with another last number."""
        number, own = user.number("primaryGroupID"), user.values("objectSid")
        if number is None or len(own) != 1 or len(own[0]) < 12:
            raise Invalid(f"{self.connector}: {user.dn} does not say its primary group")
        return own[0][:-4] + number.to_bytes(4, "little")


def sid_text(sid: bytes) -> str:
    """Return a SID as people write it. Raises Invalid if the bytes are none. Source: MS-DTYP 2.4.2.2."""
    if len(sid) < 8 or len(sid) != 8 + 4 * sid[1]:
        raise Invalid("an objectSid that is none")
    parts = (int.from_bytes(sid[at : at + 4], "little") for at in range(8, len(sid), 4))
    return "-".join(["S", str(sid[0]), str(int.from_bytes(sid[2:8], "big")), *map(str, parts)])


def _sid(entry: Entry) -> str:
    values = entry.values("objectSid")
    if len(values) != 1:
        raise Invalid(f"{entry.dn} has no objectSid, or it may not be read")
    return sid_text(values[0])


def _guid(entry: Entry) -> str:
    values = entry.values("objectGUID")
    if len(values) != 1 or len(values[0]) != 16:
        raise Invalid(f"{entry.dn} has no objectGUID, or it may not be read")
    return str(UUID(bytes_le=values[0]))


def _is_well_known(sid: str) -> bool:
    last = sid.rpartition("-")[2]
    if sid.startswith(_BUILT_IN):
        return last in _PRIVILEGED_BUILT_IN
    return sid.startswith("S-1-5-21-") and last in _PRIVILEGED_IN_DOMAIN
