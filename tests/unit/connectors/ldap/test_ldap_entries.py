"""Filters, previews, ids and settings of the directory connector: what decides without a server."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hikeshi.capabilities import User
from hikeshi.connector import Conflict, Invalid, Secret
from hikeshi_connectors.ldap.active_directory import ActiveDirectory, sid_text
from hikeshi_connectors.ldap.entry import Entry, Modification, escaped, ldif
from hikeshi_connectors.ldap.openldap import OpenLdap
from hikeshi_connectors.ldap.settings import LdapSettings

GUID = bytes.fromhex("00112233445566778899aabbccddeeff")
SID = bytes.fromhex("010500000000000515000000010000000200000003000000f4010000")


def settings(kind="active_directory", **more):
    base = {"base_url": "ldaps://dc1.minato.example", "base_dn": "DC=minato,DC=example", "bind_user": "svc"}
    return LdapSettings.model_validate({**base, "kind": kind, "password": Secret.of_value("invented"), **more})


def directory(**more):
    return ActiveDirectory("directory", settings(**more))


def openldap(**more):
    return OpenLdap("directory", settings("openldap", **more))


def entry(**values):
    given = {name.lower(): value if isinstance(value, list) else [value] for name, value in values.items()}
    return Entry("CN=x,DC=minato,DC=example", given)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Mei7", "Mei7"),
        ("*", "\\2a"),
        (")(objectClass=*", "\\29\\28objectClass\\3d\\2a"),
        ("\\2a", "\\5c2a"),
        ("a\x00b", "a\\00b"),
        ("火", "\\e7\\81\\ab"),
        (b"\xff\x01", "\\ff\\01"),
    ],
)
def test_nothing_of_a_value_means_anything_in_a_filter(value, written):
    """Every byte but ASCII letters and digits is written as its number."""
    assert escaped(value) == written


def test_a_preview_is_what_ldif_says():
    """Parts in order, each with its end; what cannot be shown plainly is in base64."""
    parts = [Modification("delete", "member", ("CN=火,DC=x",)), Modification("add", "note", (" a", ":b", "c\nd"))]
    assert ldif("CN=g,DC=x", parts) == (
        "dn: CN=g,DC=x\nchangetype: modify\ndelete: member\nmember: CN=火,DC=x\n-\n"
        "add: note\nnote:: IGE=\nnote:: OmI=\nnote:: Ywpk\n-\n"
    )


@pytest.mark.parametrize(
    ("before", "lock", "after"),
    [(512, True, 514), (66048, True, 66050), (514, False, 512), (0x1000202, False, 0x1000200), (528, True, 530)],
)
def test_one_bit_changes_and_the_others_stay(before, lock, after):
    """The old value is deleted by name, so a value that has changed meanwhile refuses the whole modification."""
    parts = directory().locked(entry(userAccountControl=str(before).encode()), lock)
    assert [(each.operation, each.attribute, each.values) for each in parts] == [
        ("delete", "userAccountControl", (str(before),)),
        ("add", "userAccountControl", (str(after),)),
    ]


def test_what_is_so_already_needs_no_modification():
    """Neither in Active Directory nor in OpenLDAP."""
    assert directory().locked(entry(userAccountControl=b"514"), True) == ()
    assert directory().locked(entry(userAccountControl=b"66048"), False) == ()
    locked = entry(objectClass=b"inetOrgPerson", pwdAccountLockedTime=b"000001010000Z")
    assert openldap().locked(locked, True) == ()
    assert openldap().locked(entry(objectClass=b"inetOrgPerson"), False) == ()


WRONG_PASSWORDS = [b"20260302085900.000001Z", b"20260302090000.7Z", b"20260302085959.9Z"]


def test_a_lock_after_wrong_passwords_makes_way_and_comes_back():
    """That account counts as enabled; the lock without an end is written so that its undo gives back the other."""
    busy = entry(objectClass=b"x", pwdAccountLockedTime=b"20260302090000Z", pwdFailureTime=WRONG_PASSWORDS)
    assert openldap().is_enabled(busy)
    assert openldap().locked(busy, True) == (Modification("replace", "pwdAccountLockedTime", ("0000010100Z",)),)
    locked = entry(objectClass=b"x", pwdAccountLockedTime=b"0000010100Z", pwdFailureTime=WRONG_PASSWORDS)
    assert not openldap().is_enabled(locked)
    assert openldap().locked(locked, False) == (Modification("replace", "pwdAccountLockedTime", ("20260302090000Z",)),)


def test_a_lock_that_cannot_come_back_is_named():
    """An account under attack is locked in any case, and stays so; a lock set by hand is not overwritten."""
    unreadable = entry(objectClass=b"x", pwdAccountLockedTime=b"20260302090000Z")
    assert openldap().locked(unreadable, True)[-1].values == ("0000010100Z",)
    with pytest.raises(Conflict, match="by hand"):
        openldap().locked(entry(objectClass=b"x", pwdAccountLockedTime=b"0000010100Z"), False)
    by_hand = entry(objectClass=b"x", pwdAccountLockedTime=b"20300101000000Z", pwdFailureTime=WRONG_PASSWORDS)
    with pytest.raises(Conflict, match="20300101000000Z"):
        openldap().locked(by_hand, True)


@pytest.mark.parametrize("written", [b"000001010000Z", b"00000101000000Z", b"00000101000000.0Z", b"000001010000+0000"])
def test_a_lock_without_an_end_is_one_however_it_is_written(written):
    """A directory takes all of these for the same time; what is taken away is what stands there."""
    locked = entry(objectClass=b"x", pwdAccountLockedTime=written, pwdFailureTime=WRONG_PASSWORDS)
    assert openldap().locked(locked, True) == ()
    assert openldap().locked(locked, False) == (Modification("delete", "pwdAccountLockedTime", (written.decode(),)),)


def test_another_attribute_may_lock():
    """As in directories that are like OpenLDAP."""
    own = openldap(lock_attribute="nsAccountLock", lock_value="TRUE")
    assert own.lock_attributes[-1] == "nsAccountLock"
    assert own.locked(entry(objectClass=b"x"), True) == (Modification("add", "nsAccountLock", ("TRUE",)),)
    assert not own.is_enabled(entry(objectClass=b"x", nsAccountLock=b"TRUE"))


@pytest.mark.parametrize("wrong", [{}, {"userAccountControl": b"x"}, {"userAccountControl": [b"1", b"2"]}])
def test_an_entry_that_does_not_say_is_an_error(wrong):
    """What may not be read is not enabled."""
    with pytest.raises(Invalid):
        directory().is_enabled(entry(**wrong))
    with pytest.raises(Invalid):
        openldap().is_enabled(entry(pwdAccountLockedTime=[]))


def test_an_account_of_active_directory():
    """The id is the objectGUID as people write it; the name is the one to sign in with."""
    both = {"objectGUID": GUID, "sAMAccountName": b"mei", "mail": b"m@x", "displayName": "芽衣".encode()}
    user = directory().user_of(entry(**both, userPrincipalName=b"mei@minato.example"))
    assert user == User(
        connector="directory", id="33221100-5544-7766-8899-aabbccddeeff", name="mei@minato.example",
        display_name="芽衣", email="m@x", logins=("mei",),
    )  # fmt: skip
    assert directory().user_of(entry(**both)).name == "mei"
    assert directory().with_id(user.id) == f"(objectGUID={escaped(GUID)})"
    for lacking in ({"objectGUID": GUID}, {"sAMAccountName": b"mei"}, {"objectGUID": b"short", "sAMAccountName": b"m"}):
        with pytest.raises(Invalid):
            directory().user_of(entry(**lacking))


@pytest.mark.parametrize(
    ("sid", "more", "privileged"),
    [
        ("01050000000000051500000001000000020000000300000000020000", {}, True),
        ("01020000000000052000000020020000", {}, True),
        ("01020000000000052000000021020000", {}, False),
        (SID.hex(), {}, False),
        (SID.hex(), {"adminCount": b"1"}, True),
        (SID.hex(), {"adminCount": b"0"}, False),
    ],
)
def test_privileged_groups_are_known_by_sid_or_mark(sid, more, privileged):
    """Domain Admins (512) and Administrators (S-1-5-32-544) are, Users (545) is not; nor does a name decide."""
    found = directory().group_of(entry(objectGUID=GUID, objectSid=bytes.fromhex(sid), cn=b"Domain Admins", **more))
    assert found.privileged is privileged


@pytest.mark.parametrize("named", ["VPN admins", "S-1-5-21-1-2-3-500", "33221100-5544-7766-8899-aabbccddeeff"])
def test_privileged_groups_are_named_in_the_settings(named):
    """By name in any case, SID or id."""
    group = entry(objectGUID=GUID, objectSid=SID, sAMAccountName=b"VPN Admins")
    assert directory(privileged_groups=[named]).group_of(group).privileged
    assert not directory(privileged_groups=["VPN"]).group_of(group).privileged


def test_the_primary_group_cannot_be_left():
    """It is named by an attribute of the account, so it counts as filled by a rule."""
    user = entry(objectSid=SID, primaryGroupID=b"513")
    group = entry(objectGUID=GUID, objectSid=SID[:-4] + (513).to_bytes(4, "little"), cn=b"Domain Users")
    assert directory().is_primary(group, user)
    assert directory().group_of(group, user).dynamic
    assert not directory().group_of(group).dynamic
    assert escaped(SID[:-4] + (513).to_bytes(4, "little")) in directory().groups_with(user)
    with pytest.raises(Invalid):
        directory().groups_with(entry(objectSid=SID))


def test_accounts_and_groups_of_openldap():
    """Of several values the first is shown; groups that a search fills are dynamic."""
    known = {"entryUUID": b"33221100-5544-7766-8899-aabbccddeeff", "cn": [b"Mei", b"Mei K"]}
    user = openldap().user_of(entry(**known, uid=b"mei", mail=[b"m@x", b"k@x"]))
    assert (user.name, user.display_name, user.email) == ("mei", "Mei", "m@x")
    assert openldap().group_of(entry(**known, objectClass=b"groupOfURLs")).dynamic
    assert openldap(privileged_groups=["mei"]).group_of(entry(**known)).privileged
    assert openldap(member_attribute="uniqueMember").groups_with(entry()).startswith("(uniqueMember=")


@pytest.mark.parametrize("sid", [b"", b"\x01\x05", SID[:-1], SID + b"x"])
def test_bytes_that_are_no_sid_are_an_error(sid):
    """A SID that is cut short is nobody's."""
    with pytest.raises(Invalid):
        sid_text(sid)


@pytest.mark.parametrize("wrong", ["", "*", "33221100", "33221100554477668899aabbccddeeff", "{3}", "../x", "mei"])
def test_only_an_id_becomes_a_filter(wrong):
    """In its usual form, in any case."""
    for dialect in (directory(), openldap()):
        with pytest.raises(Invalid):
            dialect.with_id(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "ldap://dc1"},
        {"base_url": "https://dc1"},
        {"base_url": "ldaps:///"},
        {"base_url": "ldaps://dc1/DC=x"},
        {"start_tls": True},
        {"kind": "openldap", "lock_attribute": "a)(b"},
        {"kind": "novell"},
    ],
)
def test_settings_that_would_show_the_password_or_mean_nothing_are_refused(wrong):
    """Plain text has to be allowed in so many words."""
    with pytest.raises(ValidationError):
        settings(**wrong)
    assert settings(base_url="ldap://dc1", start_tls=True).port == 389
    assert settings(base_url="ldap://dc1:10389", password_in_plain_text=True).port == 10389
    assert (settings().host, settings().port, settings().is_tls) == ("dc1.minato.example", 636, True)
