"""Active Directory, as Samba serves it: who is disabled does not sign in, and undo leaves no trace.

Needs root and the Debian packages of Samba that packages.txt names; is skipped without, and says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from samba_domain import PASSWORD, USER_PASSWORD, Domain, domain, why_no_domain

from hikeshi.capabilities import Effect, Group, User
from hikeshi.connector import Conflict, Forbidden, NotFound, Secret, Unauthorized, Unavailable, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.ldap import Ldap
from hikeshi_connectors.ldap.entry import Modification
from hikeshi_connectors.ldap.session import open_session

REASON = why_no_domain()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

BUILT_IN = "CN=Builtin"
RESTRICT = """id: lock-out
inputs: {user: {type: user}}
steps:
  - {id: find, action: identity.get_user, with: {name: "{{ inputs.user }}"}}
  - {id: lock, action: identity.disable_user, with: {user: "{{ steps.find }}", reason: drill}}
  - {id: groups, action: identity.groups_of, with: {user: "{{ steps.find }}"}}
  - id: leave
    for_each: "steps.groups | rejectattr('dynamic')"
    as: group
    action: identity.remove_from_group
    with: {user: "{{ steps.find }}", group: "{{ group }}", reason: drill}
"""


@pytest.fixture(scope="module")
def ad() -> Iterator[Domain]:
    """One domain for all of these tests; each has accounts and groups of its own in it."""
    with domain() as made:
        yield made


def settings(ad: Domain, **more: Any) -> dict[str, Any]:
    given = {"kind": "active_directory", "base_url": ad.address, "ca_file": ad.ca_file, "base_dn": ad.base_dn}
    return {**given, "bind_user": ad.administrator, "password": PASSWORD, **more}


def connector(ad: Domain, **more: Any) -> Ldap:
    given = settings(ad, **more)
    built = build(Ldap, "directory", {**given, "password": Secret.of_value(given["password"])}, Redactor())
    assert isinstance(built, Ldap)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        await change


async def one(ldap: Ldap, name: str) -> User:
    (found,) = await ldap.find_users(name)
    return found


def state(ad: Domain, *dns: str) -> dict[str, Any]:
    return {dn: ad.eyes.entry(dn) for dn in dns}


async def test_a_disabled_account_does_not_sign_in_and_undo_leaves_no_trace(ad: Domain) -> None:
    """The other bits stay, the refusal is the one for disabled accounts, and each byte is as it was."""
    ad.add_user("aiko", control=512 + 0x10000)
    ldap, dn = connector(ad), ad.dn("aiko")
    before = state(ad, dn)
    aiko = await one(ldap, "AIKO@hikeshi.test")
    assert (await ldap.account_of(aiko)).enabled
    assert ad.eyes.signs_in("aiko@hikeshi.test", USER_PASSWORD)[0] == 0

    await live(ldap.disable_user(aiko, "r"))

    assert not (await ldap.account_of(aiko)).enabled
    code, said = ad.eyes.signs_in("aiko@hikeshi.test", USER_PASSWORD)
    assert (code, "data 533" in said) == (49, True)
    assert ad.eyes.entry(dn)["useraccountcontrol"] == [b"66050"]
    with pytest.raises(Conflict):
        await live(ldap.disable_user(aiko, "r"))
    await live(ldap.enable_user(aiko, "r"))
    assert ad.eyes.signs_in("aiko@hikeshi.test", USER_PASSWORD)[0] == 0
    assert state(ad, dn) == {dn: {**before[dn], **_signed_in(ad, dn)}}


def _signed_in(ad: Domain, dn: str) -> dict[str, list[bytes]]:
    """Return what signing in itself has written meanwhile: the test did that, not the connector."""
    now = ad.eyes.entry(dn)
    return {name: now[name] for name in ("lastlogon", "logoncount", "lastlogontimestamp") if name in now}


async def test_memberships_are_taken_and_given_back(ad: Domain) -> None:
    """In groups of one's own and in built-in ones; to the byte; twice is a conflict, both ways."""
    ad.add_user("botan")
    ad.add_group("Botan's, (group)*", "botan")
    ldap = connector(ad)
    botan = await one(ldap, "botan")
    operators = f"CN=Backup Operators,{BUILT_IN},{ad.base_dn}"
    ad.eyes.modify(operators, "MODIFY_ADD", "member", ad.dn("botan"))
    dns = (ad.dn("botan"), ad.dn("Botan's, (group)*"), operators)
    before = state(ad, *dns)
    groups = {each.name: each for each in await ldap.groups_of(botan)}
    assert {name: (each.privileged, each.dynamic) for name, each in groups.items()} == {
        "Botans group": (False, False),
        "Backup Operators": (True, False),
        "Domain Users": (False, True),
    }
    for name in ("Botans group", "Backup Operators"):
        await live(ldap.remove_from_group(botan, groups[name], "r"))
        assert not (await ldap.membership_of(botan, groups[name])).member
        with pytest.raises(Conflict):
            await live(ldap.remove_from_group(botan, groups[name], "r"))
    assert "memberof" not in ad.eyes.entry(ad.dn("botan"))
    for name in ("Botans group", "Backup Operators"):
        await live(ldap.add_to_group(botan, groups[name], "r"))
        assert (await ldap.membership_of(botan, groups[name])).member
        with pytest.raises(Conflict):
            await live(ldap.add_to_group(botan, groups[name], "r"))
    assert state(ad, *dns) == before
    with pytest.raises(Unsupported, match="primary group"):
        await live(ldap.remove_from_group(botan, groups["Domain Users"], "r"))


async def test_the_administrators_groups_are_privileged(ad: Domain) -> None:
    """Known by their SIDs, whatever they are called."""
    ldap = connector(ad)
    found = {each.name for each in await ldap.groups_of(await one(ldap, "administrator")) if each.privileged}
    assert {"Administrators", "Domain Admins", "Enterprise Admins", "Schema Admins"} <= found
    assert "Domain Users" not in found


async def test_a_value_that_changed_meanwhile_is_not_overwritten(ad: Domain) -> None:
    """Both parts of the modification are refused; what somebody else wrote stays."""
    ad.add_user("chie")
    dn = ad.dn("chie")
    parts = [
        Modification("delete", "userAccountControl", ("512",)),
        Modification("add", "userAccountControl", ("514",)),
    ]
    ad.eyes.modify(dn, "MODIFY_REPLACE", "userAccountControl", "66048")
    async with open_session("directory", connector(ad).settings, PASSWORD) as session:
        with pytest.raises(Conflict):
            await session.modify(dn, parts)
    assert ad.eyes.entry(dn)["useraccountcontrol"] == [b"66048"]


async def test_names_are_whole_and_hostile_ones_nobody(ad: Domain) -> None:
    """Each name leads to the account; what would be a filter leads nowhere; pages are read to the end."""
    ad.add_user("daichi")
    ldap = connector(ad, page_size=2)
    daichi = await one(ldap, "daichi")
    assert (daichi.email, daichi.display_name, daichi.department) == ("daichi@hikeshi.test", "Daichi 芽衣", "IT")
    for name in ("DAICHI", "daichi@hikeshi.test", daichi.id):
        assert await one(ldap, name) == daichi
    for hostile in ("*", "dai*", ")(objectClass=*", "daichi)(|(cn=*", "\\2a", "daichi\\", "x" * 250, "火消し"):
        assert await ldap.find_users(hostile) == []
    for number in range(7):
        ad.add_group(f"Daichi {number}", "daichi")
    assert len(await ldap.groups_of(daichi)) == 8


async def test_refusals_say_what_they_are(ad: Domain, tmp_path: Path) -> None:
    """A wrong password, no right, no encryption, another certificate, somebody who is gone."""
    ad.add_user("emi")
    ad.add_user("iori")
    emi, iori = await one(connector(ad), "emi"), await one(connector(ad), "iori")
    mine = connector(ad, bind_user="iori@hikeshi.test", password=USER_PASSWORD)
    with pytest.raises(Forbidden):
        await live(mine.disable_user(emi, "r"))
    for own in ("iori@hikeshi.test", "HIKESHI\\iori", ad.dn("iori").replace(",", " , ")):
        mine = connector(ad, bind_user=own, password=USER_PASSWORD)
        with pytest.raises(Unsupported, match="signs in"):
            await live(mine.disable_user(iori, "r"))
    with pytest.raises(Unauthorized, match="52e"):
        await connector(ad, password="wrong").find_users("emi")
    plain = {"base_url": ad.address.replace("ldaps:", "ldap:"), "password_in_plain_text": True}
    with pytest.raises(Unauthorized, match="protected connection"):
        await connector(ad, **plain).find_users("emi")
    with pytest.raises(Unavailable, match="certificate"):
        await connector(ad, ca_file=None).find_users("emi")
    protected = {"base_url": ad.address.replace("ldaps:", "ldap:"), "start_tls": True}
    assert await connector(ad, **protected).find_users("emi") == [emi]
    with pytest.raises(Unavailable, match="certificate"):
        await connector(ad, **protected, ca_file=None).find_users("emi")
    gone = emi.model_copy(update={"id": "00000000-0000-4000-8000-000000000001"})
    with pytest.raises(NotFound):
        await connector(ad).account_of(gone)
    nothing = Group(connector="directory", id=gone.id, name="nothing")
    with pytest.raises(NotFound):
        await live(connector(ad).remove_from_group(emi, nothing, "r"))


def test_a_run_and_its_undo_by_the_engine(ad: Domain, tmp_path: Path) -> None:
    """The plan shows the modifications; a run makes them; undo takes them back, to the byte."""
    ad.add_user("fumi")
    ad.add_group("Fumi's group", "fumi")
    ad.add_group("Another", "fumi")
    dns = (ad.dn("fumi"), ad.dn("Fumi's group"), ad.dn("Another"))
    before = state(ad, *dns)
    hikeshi = project(ad, tmp_path)

    planned = hikeshi("plan", "lock-out", "-i", "user=fumi")
    assert planned.code == 0, planned.out + planned.err
    assert "userAccountControl: 514" in planned.out
    assert state(ad, *dns) == before
    done = hikeshi("run", "lock-out", "-i", "user=fumi@hikeshi.test", "--json")
    assert done.code == 0, done.out + done.err
    assert ad.eyes.signs_in("fumi@hikeshi.test", USER_PASSWORD)[0] == 49
    assert "memberof" not in ad.eyes.entry(dns[0])

    undone = hikeshi("undo", str(done.document["run"]), "--yes")
    assert undone.code == 0, undone.out + undone.err
    assert state(ad, *dns) == {**before, dns[0]: {**before[dns[0]], **_tried_in_vain(ad, dns[0])}}
    assert ad.eyes.signs_in("fumi@hikeshi.test", USER_PASSWORD)[0] == 0


def _tried_in_vain(ad: Domain, dn: str) -> dict[str, list[bytes]]:
    now = ad.eyes.entry(dn)
    return {name: now[name] for name in ("badpwdcount", "badpasswordtime", "lastlogon") if name in now}


def test_an_account_that_was_disabled_stays_disabled(ad: Domain, tmp_path: Path) -> None:
    """The run finds it so, and its undo gives back the group and nothing more."""
    ad.add_user("goro", control=514)
    ad.add_group("Goro's group", "goro")
    dns = (ad.dn("goro"), ad.dn("Goro's group"))
    before = state(ad, *dns)
    hikeshi = project(ad, tmp_path)
    done = hikeshi("run", "lock-out", "-i", "user=goro", "--json")
    assert done.code == 0, done.out + done.err
    assert "memberof" not in ad.eyes.entry(dns[0])
    assert hikeshi("undo", str(done.document["run"]), "--yes").code == 0
    assert state(ad, *dns) == before
    assert ad.eyes.entry(dns[0])["useraccountcontrol"] == [b"514"]


def test_the_playbook_that_restricts_a_user_skips_sessions(ad: Domain, tmp_path: Path) -> None:
    """A directory has none; the account is disabled and out of the privileged group, and undo brings both back."""
    ad.add_user("hana")
    operators = f"CN=Account Operators,{BUILT_IN},{ad.base_dn}"
    ad.eyes.modify(operators, "MODIFY_ADD", "member", ad.dn("hana"))
    before = state(ad, ad.dn("hana"), operators)
    hikeshi = project(ad, tmp_path)
    done = hikeshi("run", "restrict-user", "-i", "user=hana", "--json")
    assert done.code == 0, done.out + done.err
    assert "memberof" not in ad.eyes.entry(ad.dn("hana"))
    assert ad.eyes.entry(ad.dn("hana"))["useraccountcontrol"] == [b"514"]
    assert hikeshi("undo", str(done.document["run"]), "--yes").code == 0
    assert state(ad, ad.dn("hana"), operators) == before


def project(ad: Domain, folder: Path) -> CommandLine:
    hikeshi = CommandLine(folder)
    hikeshi.configure({"directory": {"product": "ldap", **settings(ad)}})
    hikeshi.add_playbook("lock-out", RESTRICT)
    return hikeshi
