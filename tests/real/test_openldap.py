"""OpenLDAP with ppolicy: who is locked does not sign in, and undo leaves no trace.

Needs the Debian package slapd; is skipped without, and says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from open_ldap import BASE_DN, PASSWORD, SERVICE, SHORT, USER_PASSWORD, Slapd, slapd, why_no_slapd

from hikeshi.capabilities import Effect, User
from hikeshi.connector import Conflict, Forbidden, Invalid, Secret, Unauthorized, Unavailable, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.ldap import Ldap

REASON = why_no_slapd()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

LOCK_OUT = """id: lock-out
inputs: {user: {type: user}}
steps:
  - {id: find, action: identity.get_user, with: {name: "{{ inputs.user }}"}}
  - {id: lock, action: identity.disable_user, with: {user: "{{ steps.find }}", reason: drill}}
  - {id: groups, action: identity.groups_of, with: {user: "{{ steps.find }}"}}
  - id: leave
    for_each: "steps.groups | selectattr('privileged')"
    as: group
    action: identity.remove_from_group
    with: {user: "{{ steps.find }}", group: "{{ group }}", reason: drill}
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[Slapd]:
    """One server for all of these tests; each has accounts and groups of its own in it."""
    with slapd() as made:
        yield made


def settings(tree: Slapd, **more: Any) -> dict[str, Any]:
    given = {"kind": "openldap", "base_url": tree.protected, "ca_file": tree.ca_file, "base_dn": BASE_DN}
    return {**given, "bind_user": SERVICE, "password": PASSWORD, "privileged_groups": ["admins"], **more}


def connector(tree: Slapd, **more: Any) -> Ldap:
    given = settings(tree, **more)
    built = build(Ldap, "directory", {**given, "password": Secret.of_value(given["password"])}, Redactor())
    assert isinstance(built, Ldap)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        await change


async def one(ldap: Ldap, name: str) -> User:
    (found,) = await ldap.find_users(name)
    return found


def state(tree: Slapd, *dns: str) -> dict[str, Any]:
    return {dn: tree.eyes.entry(dn, "pwdAccountLockedTime", "entryUUID") for dn in dns}


async def test_a_locked_account_does_not_sign_in_and_undo_leaves_no_trace(tree: Slapd) -> None:
    """With a policy that has pwdLockout; twice is a conflict, both ways."""
    tree.add_user("aiko")
    ldap, dn = connector(tree), tree.dn("aiko")
    before = state(tree, dn)
    aiko = await one(ldap, "AIKO")
    assert (aiko.email, aiko.display_name) == ("aiko@minato.example", "Aiko 芽衣")
    assert [await one(ldap, name) for name in ("aiko@minato.example", aiko.id)] == [aiko, aiko]
    assert tree.eyes.signs_in(dn, USER_PASSWORD)[0] == 0

    await live(ldap.disable_user(aiko, "r"))

    assert not (await ldap.account_of(aiko)).enabled
    assert tree.eyes.signs_in(dn, USER_PASSWORD)[0] == 49
    with pytest.raises(Conflict):
        await live(ldap.disable_user(aiko, "r"))
    await live(ldap.enable_user(aiko, "r"))
    with pytest.raises(Conflict):
        await live(ldap.enable_user(aiko, "r"))
    assert (await ldap.account_of(aiko)).enabled
    assert tree.eyes.signs_in(dn, USER_PASSWORD)[0] == 0
    assert state(tree, dn) == before


async def test_a_lock_after_wrong_passwords_is_there_again_after_undo(tree: Slapd) -> None:
    """Meanwhile the account is locked without an end; so is one that somebody locked in another way of writing."""
    tree.add_user("hiro")
    ldap, dn = connector(tree), tree.dn("hiro")
    hiro = await one(ldap, "hiro")
    for _ in range(5):
        assert tree.eyes.signs_in(dn, "wrong")[0] == 49
    before = tree.eyes.entry(dn, "pwdAccountLockedTime", "pwdFailureTime")
    assert before["pwdaccountlockedtime"][0].startswith(b"20")
    await live(ldap.disable_user(hiro, "r"))
    assert not (await ldap.account_of(hiro)).enabled
    for _ in range(2):
        assert tree.eyes.signs_in(dn, "wrong")[0] == 49
    await live(ldap.enable_user(hiro, "r"))
    assert (await ldap.account_of(hiro)).enabled
    assert tree.eyes.entry(dn, "pwdAccountLockedTime", "pwdFailureTime") == before
    assert tree.eyes.signs_in(dn, USER_PASSWORD)[0] == 49

    tree.eyes.modify(dn, "MODIFY_REPLACE", "pwdAccountLockedTime", "00000101000000Z")
    with pytest.raises(Conflict):
        await live(ldap.disable_user(hiro, "r"))


@pytest.mark.parametrize(
    "written", ["UID=isao, OU=people, DC=minato, DC=example", "0.9.2342.19200300.100.1.1=\\69sao,"]
)
async def test_the_account_that_signs_in_is_left_alone(tree: Slapd, written: str) -> None:
    """However its name is written: the directory says who it is."""
    if tree.eyes.signs_in(tree.dn("isao"), USER_PASSWORD)[0] != 0:
        tree.add_user("isao")
    bind_user = written if written.endswith("example") else f"{written}ou=people,{BASE_DN}"
    ldap = connector(tree, bind_user=bind_user, password=USER_PASSWORD)
    with pytest.raises(Unsupported, match="signs in"):
        await live(ldap.disable_user(await one(ldap, "isao"), "r"))


async def test_memberships_are_taken_and_given_back(tree: Slapd) -> None:
    """To the byte; the codes for "already so" are conflicts; the last member of a group cannot be taken out."""
    for name in ("botan", "chie"):
        tree.add_user(name)
    tree.add_group("admins", "botan", "chie")
    tree.add_group("alone", "botan")
    ldap = connector(tree)
    botan = await one(ldap, "botan")
    before = state(tree, tree.group_dn("admins"), tree.group_dn("alone"))
    groups = {each.name: each for each in await ldap.groups_of(botan)}
    assert {name: each.privileged for name, each in groups.items()} == {"admins": True, "alone": False}
    await live(ldap.remove_from_group(botan, groups["admins"], "r"))
    assert not (await ldap.membership_of(botan, groups["admins"])).member
    with pytest.raises(Conflict, match="16"):
        await live(ldap.remove_from_group(botan, groups["admins"], "r"))
    await live(ldap.add_to_group(botan, groups["admins"], "r"))
    with pytest.raises(Conflict, match="20"):
        await live(ldap.add_to_group(botan, groups["admins"], "r"))
    assert (await ldap.membership_of(botan, groups["admins"])).member
    with pytest.raises(Unsupported, match="65"):
        await live(ldap.remove_from_group(botan, groups["alone"], "r"))
    after = state(tree, tree.group_dn("admins"), tree.group_dn("alone"))
    assert after == before


async def test_a_list_that_is_cut_short_is_an_error(tree: Slapd) -> None:
    """Where the server gives this account no more than two entries, three groups are not two."""
    tree.add_user("daichi")
    ldap = connector(tree, page_size=2)
    daichi = await one(ldap, "daichi")
    for number in range(5):
        tree.add_group(f"many {number}", "daichi")
    assert len(await ldap.groups_of(daichi)) == 5
    with pytest.raises(Invalid, match="there is more"):
        await connector(tree, bind_user=SHORT).groups_of(daichi)


async def test_refusals_say_what_they_are(tree: Slapd) -> None:
    """A wrong password, no right, another certificate; and StartTLS protects as ldaps does."""
    tree.add_user("emi")
    emi = await one(connector(tree), "emi")
    assert await connector(tree, base_url=tree.plain, start_tls=True).find_users("emi") == [emi]
    for wrong in ({"ca_file": None}, {"base_url": tree.protected.replace("127.0.0.1", "localhost")}):
        with pytest.raises(Unavailable, match="certificate"):
            await connector(tree, **wrong).find_users("emi")
    with pytest.raises(Unavailable, match="certificate"):
        await connector(tree, base_url=tree.plain, start_tls=True, ca_file=None).find_users("emi")
    with pytest.raises(Unauthorized):
        await connector(tree, password="wrong").find_users("emi")
    with pytest.raises(Forbidden):
        await live(connector(tree, bind_user=SHORT).disable_user(emi, "r"))
    for hostile in ("*", "em*", ")(uid=*", "emi)(|(cn=*", "\\2a", "火消し"):
        assert await connector(tree).find_users(hostile) == []


def test_a_run_and_its_undo_by_the_engine(tree: Slapd, tmp_path: Path) -> None:
    """The account is locked and out of the privileged group; undo brings both back, to the byte."""
    for name in ("fumi", "goro", "jiro"):
        tree.add_user(name)
    tree.add_group("operators", "fumi", "goro")
    tree.eyes.modify(tree.dn("goro"), "MODIFY_ADD", "pwdAccountLockedTime", "000001010000Z")
    for _ in range(5):
        tree.eyes.signs_in(tree.dn("jiro"), "wrong")
    dns = (tree.dn("fumi"), tree.dn("goro"), tree.dn("jiro"), tree.group_dn("operators"))
    before = state(tree, *dns)
    hikeshi = CommandLine(tmp_path)
    hikeshi.configure({"directory": {"product": "ldap", **settings(tree, privileged_groups=["operators"])}})
    hikeshi.add_playbook("lock-out", LOCK_OUT)
    for name in ("fumi", "goro", "jiro"):  # goro was locked before, jiro after wrong passwords, and they are afterwards
        done = hikeshi("run", "lock-out", "-i", f"user={name}", "--json")
        assert done.code == 0, done.out + done.err
        assert tree.eyes.signs_in(tree.dn(name), USER_PASSWORD)[0] == 49
        undone = hikeshi("undo", str(done.document["run"]), "--yes")
        assert undone.code == 0, undone.out + undone.err
        assert state(tree, *dns) == before
    assert tree.eyes.signs_in(tree.dn("fumi"), USER_PASSWORD)[0] == 0
    for name in ("goro", "jiro"):
        assert tree.eyes.signs_in(tree.dn(name), USER_PASSWORD)[0] == 49
