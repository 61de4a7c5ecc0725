"""The estate as a domain of Active Directory: entries of accounts and groups, and what may be changed in them.

Codes and texts are those that Samba 4.17 gives. Roles and rule-filled groups belong to other products and are not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import NAMESPACE_DNS, UUID, uuid5

from hikeshi.testing.estate import Estate, Group, User

__all__ = ["BASE_DN", "Attributes", "Change", "Operation", "Refusal", "Tree"]

BASE_DN: Final = "DC=minato,DC=example"
_DOMAIN_NAME: Final = "minato.example"
_PEOPLE, _GROUPS = f"OU=People,{BASE_DN}", f"OU=Groups,{BASE_DN}"
_DOMAIN: Final = (21, 1111111111, 2222222222, 3333333333)
_DOMAIN_USERS: Final = 513
_WELL_KNOWN: Final = {
    "domain admins": (*_DOMAIN, 512),
    "enterprise admins": (*_DOMAIN, 519),
    "administrators": (32, 544),
    "backup operators": (32, 551),
}
_DISABLED: Final = 0x2
_USUAL: Final = 0x200
Attributes = Callable[[str], Sequence[bytes]]
Operation = Literal["add", "delete", "replace"]
Change = tuple[Operation, str, Sequence[bytes]]


class Refusal(Exception):
    """The directory says no, with a result code and a text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Tree:
    """Reads and writes the estate, as one server at a time.

    `product_state["ldap"]["control"]` may hold further bits of userAccountControl, by account.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def entries(self) -> Iterator[tuple[str, Attributes]]:
        """Yield every account and group: its name, and what gives the values of an attribute in lower case."""
        for user in list(self._estate.users.values()):
            if not user.guest:
                yield user_dn(user), self._of_user(user)
        for group in self._listed():
            yield group_dn(group), self._of_group(group)
        yield f"CN=Domain Users,CN=Users,{BASE_DN}", _of_domain_users

    def is_base(self, dn: str) -> bool:
        """Say whether a search may begin there."""
        wanted = dn.casefold()
        places = (BASE_DN, _PEOPLE, _GROUPS, f"CN=Users,{BASE_DN}")
        return wanted in {each.casefold() for each in places} or any(
            wanted == dn.casefold() for dn, _ in self.entries()
        )

    def user_named(self, name: str) -> User | None:
        """Return the account that signs in with a name: an entry's, a login with or without the domain."""
        wanted = re.sub(r"\s*([,=])\s*", r"\1", name.casefold())
        for user in list(self._estate.users.values()):
            sam = user.sam.casefold()
            logins = (user.upn.casefold(), f"{sam}@{_DOMAIN_NAME}", f"{_DOMAIN_NAME.partition('.')[0]}\\{sam}")
            if wanted in (user_dn(user).casefold(), *logins):
                return user
        return None

    def token_of(self, name: str) -> list[bytes]:
        """Return the SIDs that who signs in with a name acts with: the account's own, and that of Domain Users."""
        user = self.user_named(name)
        own = [] if user is None else [sid((*_DOMAIN, _number(user.id)))]
        return [*own, sid((*_DOMAIN, _DOMAIN_USERS))]

    def modify(self, dn: str, changes: Sequence[Change]) -> None:
        """Carry out a modification, or nothing of it. Raises Refusal."""
        wanted = dn.casefold()
        user = next((each for each in self._estate.users.values() if user_dn(each).casefold() == wanted), None)
        group = next((each for each in self._listed() if group_dn(each).casefold() == wanted), None)
        if user is not None and {name.casefold() for _, name, _ in changes} == {"useraccountcontrol"}:
            self._modify_control(user, changes)
        elif group is not None and {name.casefold() for _, name, _ in changes} == {"member"}:
            self._modify_members(group, changes)
        elif user is not None or group is not None:
            raise Refusal(50, f"00002098: Object {dn} has no write property access")
        else:
            raise Refusal(32, f"00002030: No such Base DN: {dn}")

    def _modify_control(self, user: User, changes: Sequence[Change]) -> None:
        values = [str(self._control(user)).encode()]
        for operation, _, given in changes:
            if operation == "delete" and not set(given or values) <= set(values):
                raise Refusal(
                    16, "attribute 'userAccountControl': no matching attribute value while deleting attribute"
                )
            if operation == "delete":
                values = [each for each in values if given and each not in given]
            else:
                values = [*(values if operation == "add" else ()), *given]
            if len(values) > 1:
                raise Refusal(20, f"0000200D: SINGLE-VALUE attribute userAccountControl on {user_dn(user)}")
        if len(values) != 1 or not values[0].isdigit():
            raise Refusal(53, "0000052D: userAccountControl needs a value")
        user.enabled = not int(values[0]) & _DISABLED
        further = int(values[0]) & ~_DISABLED & ~_USUAL
        state = self._estate.product_state.get("ldap", {}).get("control", {})
        if further != state.get(user.id, 0):
            self._estate.product_state.setdefault("ldap", {}).setdefault("control", {})[user.id] = further

    def _modify_members(self, group: Group, changes: Sequence[Change]) -> None:
        members = set(group.members)
        by_dn = {user_dn(each).casefold(): each for each in self._estate.users.values()}
        for operation, _, given in changes:
            for value in given:
                user = by_dn.get(value.decode().casefold())
                if user is None:
                    raise Refusal(32, "00000525: specified dn doesn't exist")
                self._modify_member(members, user, operation)
        group.members.clear()
        group.members.update(members)

    def _modify_member(self, members: set[str], user: User, operation: str) -> None:
        target = f"target GUID {user.id}"
        if operation == "replace":
            raise Refusal(53, "replacing all members is not simulated")
        if operation == "add":
            if user.id in members:
                raise Refusal(68, f"Attribute member already exists for {target}")
            members.add(user.id)
        else:
            if user.id not in members:
                raise Refusal(53, f"Attribute member already deleted for {target}")
            members.remove(user.id)

    def _listed(self) -> list[Group]:
        return [each for each in self._estate.groups.values() if not each.role and not each.dynamic]

    def _control(self, user: User) -> int:
        further: int = self._estate.product_state.get("ldap", {}).get("control", {}).get(user.id, 0)
        return _USUAL | further | (0 if user.enabled else _DISABLED)

    def _of_user(self, user: User) -> Attributes:
        def values(name: str) -> Sequence[bytes]:
            match name:
                case "objectclass":
                    return [b"top", b"person", b"organizationalPerson", b"user"]
                case "objectcategory":
                    return [b"person"]
                case "objectguid":
                    return [guid(user.id).bytes_le]
                case "objectsid":
                    return [sid((*_DOMAIN, _number(user.id)))]
                case "useraccountcontrol":
                    return [str(self._control(user)).encode()]
                case "primarygroupid":
                    return [str(_DOMAIN_USERS).encode()]
                case "memberof":
                    return [group_dn(each).encode() for each in self._listed() if user.id in each.members]
            return _texts(
                {
                    "cn": user.sam,
                    "samaccountname": user.sam,
                    "userprincipalname": user.upn,
                    "mail": user.mail,
                    "displayname": user.display_name,
                    "department": user.department,
                },
                name,
            )

        return values

    def _of_group(self, group: Group) -> Attributes:
        def values(name: str) -> Sequence[bytes]:
            match name:
                case "objectclass":
                    return [b"top", b"group"]
                case "objectcategory":
                    return [b"group"]
                case "objectguid":
                    return [guid(group.id).bytes_le]
                case "objectsid":
                    return [sid(_WELL_KNOWN.get(group.name.casefold(), (*_DOMAIN, _number(group.id))))]
                case "admincount":
                    return [b"1"] if group.privileged else []
                case "member":
                    users = (self._estate.users.get(each) for each in sorted(group.members))
                    return [user_dn(each).encode() for each in users if each is not None]
            return _texts({"cn": group.name, "samaccountname": group.name, "description": group.description}, name)

        return values


def user_dn(user: User) -> str:
    """Return the name of an account's entry."""
    return f"CN={_in_dn(user.sam)},{_PEOPLE}"


def group_dn(group: Group) -> str:
    """Return the name of a group's entry."""
    return f"CN={_in_dn(group.name)},{_GROUPS}"


def guid(estate_id: str) -> UUID:
    """Return an id of the estate as a GUID, which most of them are."""
    try:
        return UUID(estate_id)
    except ValueError:
        return uuid5(NAMESPACE_DNS, estate_id)


def sid(parts: Sequence[int]) -> bytes:
    """Return the SID S-1-5-… as bytes. Source: MS-DTYP 2.4.2.2."""
    return bytes([1, len(parts), 0, 0, 0, 0, 0, 5]) + b"".join(part.to_bytes(4, "little") for part in parts)


def _of_domain_users(name: str) -> Sequence[bytes]:
    """Give the attributes of the group that everybody's primaryGroupID names, which lists no member."""
    values: dict[str, Any] = {
        "objectclass": [b"top", b"group"],
        "objectguid": [uuid5(NAMESPACE_DNS, "domain-users").bytes_le],
        "objectsid": [sid((*_DOMAIN, _DOMAIN_USERS))],
    }
    return values.get(name) or _texts({"cn": "Domain Users", "samaccountname": "Domain Users"}, name)


def _texts(values: Mapping[str, str | None], name: str) -> Sequence[bytes]:
    found = values.get(name)
    return [found.encode()] if found else []


def _number(estate_id: str) -> int:
    return 1000 + int(sha256(estate_id.encode()).hexdigest()[:7], 16)


def _in_dn(text: str) -> str:
    """Return a text as it stands in a name. Source: RFC 4514, 2.4."""
    return "".join(f"\\{each}" if each in ',+"\\<>;=' else each for each in text)
