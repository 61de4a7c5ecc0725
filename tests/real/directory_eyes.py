"""Looks into a directory past the connector: who can sign in, and what an entry holds, to the byte."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from hikeshi_connectors.ldap.session import load_ldap3

# What every write moves on, whatever it writes.
_MOVING = frozenset({"whenchanged", "usnchanged", "modifytimestamp", "entrycsn", "replpropertymetadata"})


@dataclass(frozen=True, slots=True)
class Eyes:
    """One administrator of one directory at an address."""

    host: str
    port: int
    user: str
    password: str

    def connection(self, user: str, password: str) -> Any:
        """Return a connection on which somebody has tried to sign in; `result` says how that went."""
        ldap3 = load_ldap3()
        tls = ldap3.Tls(validate=ssl.CERT_NONE)
        server = ldap3.Server(self.host, self.port, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=10)
        made = ldap3.Connection(server, user, password, check_names=False, auto_referrals=False)
        made.open()
        made.bind()
        return made

    def signs_in(self, user: str, password: str) -> tuple[int, str]:
        """Let somebody try to sign in, and return result code and text."""
        made = self.connection(user, password)
        found = int(made.result["result"]), str(made.result["message"])
        made.unbind()
        return found

    def entry(self, dn: str, *more: str) -> dict[str, list[bytes]]:
        """Return everything that an entry holds, but for what every write moves on; `more` are hidden attributes."""
        ldap3 = load_ldap3()
        made = self.connection(self.user, self.password)
        made.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["*", *more])
        found = next(each for each in made.response if each["type"] == "searchResEntry")
        made.unbind()
        values = found["raw_attributes"].items()
        return {name.lower(): sorted(given) for name, given in values if name.lower() not in _MOVING}

    def add(self, dn: str, classes: list[str], **attributes: Any) -> None:
        """Add an entry."""
        self._do(lambda made: made.add(dn, classes, attributes))

    def modify(self, dn: str, operation: str, attribute: str, *values: str) -> None:
        """Change an attribute of an entry: MODIFY_ADD, MODIFY_DELETE or MODIFY_REPLACE."""
        ldap3 = load_ldap3()
        self._do(lambda made: made.modify(dn, {attribute: [(getattr(ldap3, operation), list(values))]}))

    def _do(self, work: Any) -> None:
        made = self.connection(self.user, self.password)
        work(made)
        result = made.result
        made.unbind()
        assert result["result"] == 0, result
