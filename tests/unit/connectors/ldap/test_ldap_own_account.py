"""The account that signs in is known under every name, and nobody else is taken for it."""

from __future__ import annotations

import pytest

from hikeshi_connectors.ldap.entry import Entry
from hikeshi_connectors.ldap.own_account import SignedIn, is_own, name_key

DN = "CN=Hikeshi\\, Inc,OU=svc,DC=corp,DC=example"
NAMES = ("svc-hikeshi", "hk@corp.example")
SID, OTHER = b"\x01\x05own", b"\x01\x05other"


def own(bind_user: str, signed_in: SignedIn | None = None, names: tuple[str, ...] = NAMES) -> bool:
    entry = Entry(DN, {"objectsid": [SID], "displayname": [b"Fire Brigade"]})
    return is_own(entry, names, bind_user, signed_in or SignedIn())


@pytest.mark.parametrize(
    "bind_user",
    [
        "cn=hikeshi\\, inc, ou=svc, dc=corp, dc=example",
        "CN=hikeshi\\2C  Inc , 2.5.4.11=SVC,dc=corp,domainComponent=example",
        "commonName=\\68ikeshi\\2c\\20inc,ou=svc,dc=corp,dc=example",
        "SVC-Hikeshi",
        "CORP\\svc-hikeshi",
        "svc-hikeshi@corp.example",
        "HK@corp.example",
        "fire brigade",
        "cn=old;ou=way",
    ],
)
def test_the_own_account_is_known_by_its_name(bind_user: str) -> None:
    """Names of entries are compared, not their writing; a UPN may be implicit; what can't be compared is in doubt."""
    assert own(bind_user)


@pytest.mark.parametrize(
    "bind_user",
    ["cn=hikeshi\\, inc,ou=other,dc=corp,dc=example", "svc", "other@corp.example", "CORP\\hikeshi", "@", "\\"],
)
def test_another_account_is_not_taken_for_it(bind_user: str) -> None:
    """Of what is alike nothing is enough."""
    assert not own(bind_user)


def test_the_directory_knows_best() -> None:
    """By the SIDs of the connection, or by the name that it gives, whatever the settings say."""
    assert own("S-1-5-21-1", SignedIn({OTHER, SID}))
    assert not own("S-1-5-21-1", SignedIn({OTHER}))
    assert own("anybody", SignedIn(name="CORP\\svc-hikeshi"))
    assert own("cn=old;ou=way", SignedIn(name="cn=hikeshi\\2c inc,ou=svc,dc=corp,dc=example"))
    assert not own("cn=old;ou=way", SignedIn(name="cn=other,dc=example"))


def test_a_backslash_that_is_meant_is_no_escape() -> None:
    """And what is no name of an entry has no key."""
    assert name_key("cn=a\\\\2cb,dc=x") != name_key("cn=a\\2cb,dc=x")
    assert name_key("cn=a+uid=b,dc=x") == name_key("UID=B + CN=A, DC=X")
    assert [name_key(each) for each in ("", "svc", "svc@x.example", "CORP\\svc")] == [None] * 4
