"""The parts of the simulated directory that decide: bytes of messages, and names of entries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi_connectors.ldap.active_directory import sid_text
from hikeshi_connectors.ldap.simulated_ber import element, elements, integer, number_in, octets, size_of
from hikeshi_connectors.ldap.simulated_tree import Refusal, Tree, guid, sid


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20])
def test_an_element_comes_back_as_it_was(length):
    """With lengths of one byte and of several; and what is cut short is noticed."""
    content = b"x" * length
    written = element(0x04, content)
    assert size_of(written + b"more") == len(written)
    assert list(elements(written + octets("a"))) == [(0x04, content), (0x04, b"a")]
    with pytest.raises(ValueError, match="cut short"):
        list(elements((written + b"x")[:-2]))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**31 - 1])
def test_numbers_are_never_taken_for_negative_ones(number):
    """A leading zero is there where it has to be."""
    ((_, content),) = elements(integer(number))
    assert number_in(content) == number


@pytest.mark.parametrize("content", [b"\x04\x80", b"\x04\x85\x01\x01\x01\x01\x01"])
def test_lengths_that_ldap_does_not_use_are_refused(content):
    """Indefinite ones, and those of more than four gigabytes."""
    with pytest.raises(ValueError, match="length"):
        size_of(content)


def test_ids_and_sids_are_what_the_connector_reads():
    """Ids of the estate stay what they are; others become some."""
    assert str(guid("aaaaaaaa-0000-4000-8000-000000000001")) == "aaaaaaaa-0000-4000-8000-000000000001"
    assert guid("x") == guid("x") != guid("y")
    assert sid_text(sid((32, 544))) == "S-1-5-32-544"


def tree(now):
    user = User("u1", "mei@x.example", "mei", "Mei", "IT", "P", "t", now)
    groups = {"g1": Group("g1", "G", members={"u1"}), "g2": Group("g2", "R", role=True)}
    estate = Estate(EstateState("s", now, users={"u1": user}, groups=groups))
    return estate, Tree(estate)


@pytest.mark.parametrize(
    ("dn", "changes", "code"),
    [
        ("CN=mei,OU=People,DC=minato,DC=example", [("delete", "userAccountControl", [b"1"])], 16),
        ("CN=mei,OU=People,DC=minato,DC=example", [("add", "userAccountControl", [b"514"])], 20),
        ("CN=mei,OU=People,DC=minato,DC=example", [("delete", "userAccountControl", [])], 53),
        ("CN=mei,OU=People,DC=minato,DC=example", [("replace", "mail", [b"x"])], 50),
        ("CN=G,OU=Groups,DC=minato,DC=example", [("add", "member", [b"CN=mei,OU=People,DC=minato,DC=example"])], 68),
        ("CN=G,OU=Groups,DC=minato,DC=example", [("delete", "member", [b"CN=ken,OU=People,DC=minato,DC=example"])], 32),
        ("CN=R,OU=Groups,DC=minato,DC=example", [("add", "member", [b"CN=mei,OU=People,DC=minato,DC=example"])], 32),
    ],
)
def test_a_refused_modification_changes_nothing(dn, changes, code):
    """With the codes of a domain controller."""
    estate, there = tree(datetime(2026, 1, 1, tzinfo=UTC))
    before = estate.snapshot_bytes()
    with pytest.raises(Refusal) as caught:
        there.modify(dn, changes)
    assert caught.value.code == code
    assert estate.snapshot_bytes() == before
