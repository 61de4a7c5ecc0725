"""Whether an account is the one that signs in here, whatever it is called: without it nothing could be undone.

The directory itself says who signed in: by the SIDs of the connection (Active Directory, Samba), or by a name (RFC
4532). The names in the settings are compared as well, as some directories say neither; in doubt it is our own account.
Sources: RFC 4514, 2.4 and 3, and RFC 4518, 2.6.1 for names of entries; MS-ADTS 5.1.1.1.1 for names that sign in.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final
from unicodedata import normalize

from hikeshi_connectors.ldap.entry import Entry
from hikeshi_connectors.ldap.session import load_ldap3

__all__ = ["SignedIn", "is_own", "name_key"]

Key = tuple[frozenset[tuple[str, str]], ...]

# Source: RFC 4519, 2, and what OpenLDAP's schemas call them besides.
_TYPES: Final = {
    "2.5.4.3": "cn",
    "commonname": "cn",
    "2.5.4.10": "o",
    "organizationname": "o",
    "2.5.4.11": "ou",
    "organizationalunitname": "ou",
    "0.9.2342.19200300.100.1.1": "uid",
    "userid": "uid",
    "0.9.2342.19200300.100.1.25": "dc",
    "domaincomponent": "dc",
}
_ESCAPED: Final = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a directory says has signed in; what it does not say is empty.

    `sids` are those of the connection, among them the account's own, as bytes; `name` is a DN or a name.
    """

    sids: Collection[bytes] = ()
    name: str = ""


def is_own(entry: Entry, names: Collection[str], bind_user: str, signed_in: SignedIn) -> bool:
    """Say whether an account, with every name that it signs in with, is the one that signed in."""
    if not set(signed_in.sids).isdisjoint(entry.values("objectSid")):
        return True
    known = {each.casefold() for each in (*names, *entry.texts("displayName"))}
    key = name_key(entry.dn)
    for own in filter(None, (bind_user, signed_in.name)):
        if own.casefold() == entry.dn.casefold() or (key is not None and name_key(own) == key):
            return True
        if not known.isdisjoint(_spellings(own)):
            return True
    # Old ways to write the name of an entry ("a;b", quotes) can't be compared: nobody knows who it is.
    return not signed_in.sids and not signed_in.name and "=" in bind_user and name_key(bind_user) is None


def _spellings(own: str) -> Iterator[str]:
    """Yield a name that signs in, and what of it an account may have as its name: an implicit UPN is `name@domain`."""
    bare = own.strip().casefold().rpartition("\\")[2]
    yield from (own.casefold(), bare, bare.rpartition("@")[0] or bare)


def name_key(dn: str) -> Key | None:
    """Return the name of an entry in a form that is the same for every way to write it, or None if it is none."""
    load_ldap3()
    parse = importlib.import_module("ldap3.utils.dn").parse_dn
    try:
        parts = parse(dn, strip=True)
    except Exception:  # noqa: BLE001 - ldap3 fails in several ways at what is no name
        return None
    found: list[set[tuple[str, str]]] = [set()]
    for kind, value, separator in parts:
        named = kind.strip().casefold()
        found[-1].add((_TYPES.get(named, named), _plain(value)))
        if separator != "+":
            found.append(set())
    return tuple(frozenset(each) for each in found if each)


def _plain(value: str) -> str:
    def meant(hit: re.Match[str]) -> str:
        return hit[2] or bytes.fromhex(hit[1].replace("\\", "")).decode("utf-8", "replace")

    text = _ESCAPED.sub(meant, value)
    return " ".join(normalize("NFKC", text).casefold().split())
