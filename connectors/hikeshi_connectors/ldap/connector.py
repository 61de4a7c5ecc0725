"""Accounts and groups of a directory, over LDAP version 3.

A directory keeps no sessions, so there is nothing here that could end them.
"""

# ruff: noqa: ARG002 - a directory has no place for the reason of a change; the journal keeps it

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Final, Literal
from urllib.parse import quote

from hikeshi.capabilities import Account, Group, Identity, Membership, User
from hikeshi.connector import Ambiguous, Conflict, Connector, Invalid, NotFound, Pace, PreviewedRequest, Unsupported
from hikeshi.connector.pace import Pacer
from hikeshi_connectors.ldap.active_directory import ActiveDirectory
from hikeshi_connectors.ldap.dialect import Dialect, uuid_in
from hikeshi_connectors.ldap.entry import Entry, Modification, escaped, ldif
from hikeshi_connectors.ldap.openldap import OpenLdap
from hikeshi_connectors.ldap.own_account import SignedIn, is_own
from hikeshi_connectors.ldap.session import Session, open_session
from hikeshi_connectors.ldap.settings import LdapSettings

__all__ = ["Ldap"]

_NAME_MOST: Final = 256  # characters


class Ldap(Connector, Identity, product="ldap"):
    """One directory, Active Directory or OpenLDAP; ids are its objectGUIDs or entryUUIDs."""

    Settings = LdapSettings
    settings: LdapSettings
    pace = Pace(at_once=8)  # connections
    least_privileges: ClassVar[tuple[str, ...]] = (
        "read accounts and groups below base_dn",
        "Active Directory: write userAccountControl of the accounts and member of the groups concerned",
        "OpenLDAP: write the lock_attribute of the accounts and the member_attribute of the groups concerned",
    )

    def set_up(self) -> None:
        kinds: dict[str, type[Dialect]] = {"active_directory": ActiveDirectory, "openldap": OpenLdap}
        self._dialect = kinds[self.settings.kind](self.name, self.settings)
        self._pacer = Pacer(self.pace_of(self.settings) or self.pace)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        password = self.reveal(self.settings.password)
        async with self._pacer.passage(), open_session(self.name, self.settings, password) as session:
            yield session

    # --- accounts

    async def find_users(self, name: str) -> list[User]:
        """Find accounts by sign-in name, mail address or id, in full and in any case.

        In Active Directory by userPrincipalName, sAMAccountName and mail.
        """
        if not name.strip() or not name.isprintable() or len(name) > _NAME_MOST:
            raise Invalid(f"{self.name}: {name[:80]!r} names no account")
        dialect = self._dialect
        wanted = name.casefold()
        async with self._session() as session:
            base, attributes = self.settings.base_dn, dialect.user_attributes
            found = await session.search(base, dialect.users_named(name), attributes)
            found = [each for each in found if any(wanted == known.casefold() for known in dialect.names_of(each))]
            if not found and _is_id(name):
                found = await session.search(base, dialect.with_id(name), attributes)
        return [dialect.user_of(each) for each in found]

    async def account_of(self, user: User) -> Account:
        async with self._session() as session:
            entry = await self._entry(session, user, self._dialect.lock_attributes)
        return Account(connector=self.name, user_id=user.id, enabled=self._dialect.is_enabled(entry))

    async def disable_user(self, user: User, reason: str) -> None:
        await self._lock(user, True)

    async def enable_user(self, user: User, reason: str) -> None:
        await self._lock(user, False)

    async def _lock(self, user: User, lock: bool) -> None:
        async with self._session() as session:
            entry = await self._entry(session, user, [*self._dialect.lock_attributes, *self._dialect.user_attributes])
            if lock:
                await self._refuse_own(session, entry)
            parts = self._dialect.locked(entry, lock)
            if not parts:
                raise Conflict(f"{self.name}: {user.name} is {'disabled' if lock else 'enabled'} already")
            await self._modify(session, entry.dn, parts)

    # --- groups

    async def groups_of(self, user: User) -> list[Group]:
        """List the groups that name the account itself, and its primary group, which counts as filled by a rule."""
        async with self._session() as session:
            owner = await self._entry(session, user, self._dialect.user_attributes)
            found = await self._search(session, self._dialect.groups_with(owner), self._dialect.group_attributes)
        groups = [self._dialect.group_of(each, owner) for each in found]
        self._dialect.refuse_incomplete(groups, owner)
        return groups

    async def membership_of(self, user: User, group: Group) -> Membership:
        async with self._session() as session:
            owner = await self._entry(session, user, self._dialect.user_attributes)
            entry = await self._entry(session, group, self._dialect.group_attributes)
            member = self._dialect.is_primary(entry, owner) or await self._is_listed(session, owner, group)
        return Membership(connector=self.name, user_id=user.id, group_id=group.id, member=member)

    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        await self._change_member(user, group, "delete")

    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        await self._change_member(user, group, "add")

    async def _change_member(self, user: User, group: Group, operation: Literal["add", "delete"]) -> None:
        async with self._session() as session:
            owner = await self._entry(session, user, self._dialect.user_attributes)
            entry = await self._entry(session, group, self._dialect.group_attributes)
            if group.dynamic or self._dialect.is_primary(entry, owner):
                raise Unsupported(
                    f"{self.name}: {group.name} is the primary group of {user.name}, or filled by a rule; nobody can "
                    "be taken out of it here"
                )
            if operation == "delete":
                await self._refuse_own(session, owner)
            part = Modification(operation, self._dialect.member_attribute, (owner.dn,))
            await self._modify(session, entry.dn, [part])

    async def _refuse_own(self, session: Session, entry: Entry) -> None:
        """Raise Unsupported for the account that signs in here: without it nothing could be undone."""
        sids = await session.token() if self._dialect.has_sids else ()
        signed_in = SignedIn(sids, await session.name())
        if is_own(entry, self._dialect.names_of(entry), self.settings.bind_user, signed_in):
            raise Unsupported(f"{self.name}: {entry.dn} is the account that Hikeshi signs in with; change it by hand")

    async def _is_listed(self, session: Session, owner: Entry, group: Group) -> bool:
        """Ask the directory to compare: the list of a group's members can be longer than it gives at once."""
        member = f"({self._dialect.member_attribute}={escaped(owner.dn)})"
        return bool(await self._search(session, f"(&{self._dialect.with_id(group.id)}{member})", ["cn"]))

    # --- asking

    async def _search(self, session: Session, wanted: str, attributes: Sequence[str]) -> list[Entry]:
        return await session.search(self.settings.base_dn, wanted, attributes)

    async def _entry(self, session: Session, of: User | Group, attributes: Sequence[str]) -> Entry:
        """Return the entry of an account or a group as it is now. Raises NotFound if there is none below base_dn."""
        found = await self._search(session, self._dialect.with_id(of.id), attributes)
        if not found:
            raise NotFound(f"{self.name}: there is no {of.name} with the id {of.id} below {self.settings.base_dn}")
        if len(found) > 1:
            raise Ambiguous(f"{self.name}: several entries have the id {of.id}: {', '.join(e.dn for e in found)}")
        return found[0]

    async def _modify(self, session: Session, dn: str, parts: Sequence[Modification]) -> None:
        """Send a modification on a connection that stands already: nothing but it leaves after the last permission."""
        address = f"{self.settings.base_url.rstrip('/')}/{quote(dn, safe='=,')}"
        preview = PreviewedRequest("MODIFY", address, ldif(dn, parts))
        await self.commit(preview, lambda: session.modify(dn, parts), last=True)


def _is_id(text: str) -> bool:
    try:
        uuid_in(text)
    except Invalid:
        return False
    return True
