"""The estate: what takes time, what comes back, and what a snapshot holds."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hikeshi.testing.estate import Connection, Estate, EstateError, Ioc, RunningClock, SignIn


def test_containment_takes_effect_after_a_while(estate, clock):
    """A host is pending at first and contained when the settle time is over, without anything running meanwhile."""
    estate.contain("h1")
    clock.tick(0.2)
    estate.settle()
    assert estate.hosts["h1"].isolation == "containment_pending"
    clock.tick(0.2)
    estate.settle()
    assert estate.hosts["h1"].isolation == "contained"
    assert estate.hosts["h2"].isolation == "normal"


def test_lifting_a_containment_takes_a_while_too(estate, clock):
    """A contained host goes through its own pending state on the way back to normal."""
    estate.contain("h1")
    clock.tick(1)
    estate.lift_containment("h1")
    assert estate.hosts["h1"].isolation == "lift_containment_pending"
    clock.tick(1)
    estate.settle()
    assert estate.hosts["h1"].isolation == "normal"


def test_containment_of_a_contained_host_is_refused(estate, clock):
    """A second containment is an error that says in which state the host is."""
    estate.contain("h1")
    with pytest.raises(EstateError, match="containment_pending, not normal"):
        estate.contain("h1")
    with pytest.raises(EstateError, match="normal, not contained"):
        estate.lift_containment("h2")


def test_an_offline_host_stays_pending_until_it_is_back(estate, clock):
    """What is asked of a host that is switched off happens when it comes back."""
    estate.set_online("h1", False)
    estate.contain("h1")
    clock.tick(3600)
    estate.settle()
    assert estate.hosts["h1"].isolation == "containment_pending"
    estate.set_online("h1", True)
    estate.settle()
    assert estate.hosts["h1"].isolation == "contained"


def test_undone_changes_leave_the_same_bytes(estate, clock):
    """After containing and releasing, tagging and untagging, the snapshot is byte for byte what it was."""
    before = estate.snapshot_bytes()
    estate.contain("h1")
    estate.register_tag("203.0.113.7", "blocked")
    estate.groups["g1"].members.discard("u1")
    h2 = estate.hosts.pop("h2")
    clock.tick(1)
    assert estate.snapshot_bytes() != before
    estate.lift_containment("h1")
    estate.unregister_tag("203.0.113.7", "blocked")
    estate.groups["g1"].members.add("u1")
    estate.hosts = {"h2": h2, "h1": estate.hosts["h1"]}
    clock.tick(1)
    assert estate.snapshot_bytes() == before


def test_a_tag_with_a_timeout_ends_by_itself(estate, clock):
    """The firewall lifts a timed tag when its time is over, and keeps one without a timeout."""
    assert estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    assert estate.register_tag("203.0.113.7", "watched")
    clock.tick(61)
    estate.settle()
    assert estate.firewall.registered_tags == {"203.0.113.7": {"watched": None}}


def test_a_tag_registered_anew_is_not_ended_by_its_predecessor(estate, clock):
    """The timeout of a tag that was removed does not end a later tag of the same name."""
    estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    clock.tick(30)
    assert estate.unregister_tag("203.0.113.7", "blocked")
    assert estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    clock.tick(45)
    estate.settle()
    assert "203.0.113.7" in estate.firewall.registered_tags


def test_registering_a_tag_twice_says_that_it_was_there(estate, clock):
    """A repeated registration changes nothing and returns False; so does removing a tag that is absent."""
    assert estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    first = estate.firewall.registered_tags["203.0.113.7"]["blocked"]
    clock.tick(5)
    assert not estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    assert estate.firewall.registered_tags["203.0.113.7"]["blocked"] == first
    assert not estate.unregister_tag("203.0.113.7", "other")


def test_a_commit_takes_a_while_and_takes_what_was_there_at_its_start(estate, clock):
    """Configuration acts when the job has finished; an edit after the commit began is not part of it."""
    estate.firewall.candidate.url_categories["bad"] = {"evil.example"}
    job = estate.commit()
    estate.firewall.candidate.url_categories["bad"].add("later.example")
    assert job is not None
    assert (job.result, estate.firewall.running.url_categories) == (None, {})
    clock.tick(1)
    estate.settle()
    assert (job.result, estate.firewall.running.url_categories) == ("OK", {"bad": {"evil.example"}})


def test_a_commit_without_changes_is_no_job(estate):
    """When candidate and running configuration are equal there is nothing to commit."""
    assert estate.commit() is None


def test_a_failed_commit_leaves_the_running_configuration(estate, clock):
    """A job that fails says so and changes nothing."""
    estate.firewall.candidate.url_categories["bad"] = {"not a url"}
    job = estate.commit(error="url is not valid")
    clock.tick(1)
    estate.settle()
    assert job is not None
    assert (job.result, job.error, estate.firewall.running.url_categories) == ("FAIL", "url is not valid", {})


def test_an_indicator_ends_at_its_expiry(estate, clock):
    """An indicator with an expiry goes away by itself; one that replaced it meanwhile stays."""
    short = estate.now() + timedelta(seconds=60)
    estate.add_ioc(Ioc("i1", "ipv4", "203.0.113.7", "detect", estate.now(), short))
    estate.add_ioc(Ioc("i2", "ipv4", "203.0.113.8", "detect", estate.now(), short))
    estate.add_ioc(Ioc("i2", "ipv4", "203.0.113.8", "detect", estate.now()))
    clock.tick(61)
    estate.settle()
    assert list(estate.iocs) == ["i2"]
    assert estate.remove_ioc("i2")
    assert not estate.remove_ioc("i2")


def test_names_are_looked_up_without_regard_to_case(estate):
    """Two hosts of one name are both returned, whatever the case; a user is found by id, UPN or mail."""
    assert [host.id for host in estate.hosts_named("Build-01")] == ["h1", "h2"]
    assert estate.user("MEI@minato.example") is estate.user("u1")
    assert estate.user("nobody@minato.example") is None
    assert estate.user("") is None
    assert [group.name for group in estate.groups_of("u1")] == ["Admins", "VPN Users"]
    assert estate.host_with_ip("10.40.0.5") is estate.hosts["h2"]


def test_revoked_sessions_are_no_longer_live(estate, clock):
    """Sessions that began before the revocation end; a later one lives."""
    estate.users["u1"].sign_ins.append(SignIn("s1", estate.now(), "10.10.0.9", "Office"))
    clock.tick(10)
    estate.revoke_sessions("u1")
    clock.tick(10)
    estate.users["u1"].sign_ins.append(SignIn("s2", estate.now(), "10.10.0.9", "Office"))
    assert [session.id for session in estate.live_sign_ins("u1")] == ["s2"]


def test_connections_are_found_by_address_and_by_name(estate):
    """A search matches the destination's address or its domain name, exactly."""
    for address, domain in [("203.0.113.7", "evil.example"), ("203.0.113.70", None)]:
        estate.connections.append(Connection(estate.now(), "h1", "10.12.0.5", address, 443, 1, 1, "ssl", domain=domain))
    assert [each.address for each in estate.connections_to("203.0.113.7")] == ["203.0.113.7"]
    assert [each.address for each in estate.connections_to("evil.example")] == ["203.0.113.7"]


def test_a_saved_estate_goes_on_where_it_was(estate, clock, tmp_path: Path):
    """A pending containment, a timed tag and a commit under way finish after loading as they would have before."""
    estate.contain("h1")
    estate.register_tag("203.0.113.7", "blocked", timeout_s=60)
    estate.add_ioc(Ioc("i1", "ipv4", "203.0.113.7", "detect", estate.now(), estate.now() + timedelta(seconds=60)))
    estate.firewall.candidate.url_categories["bad"] = {"evil.example"}
    estate.commit()
    estate.save(tmp_path / "estate.json")
    loaded = Estate.load(tmp_path / "estate.json", clock=clock)
    assert loaded.snapshot_bytes() == estate.snapshot_bytes()
    clock.tick(61)
    assert loaded.snapshot_bytes() == estate.snapshot_bytes()
    assert loaded.hosts["h1"].isolation == "contained"
    assert (loaded.firewall.registered_tags, loaded.iocs) == ({}, {})
    assert loaded.firewall.running.url_categories == {"bad": {"evil.example"}}


def test_restoring_takes_back_time_and_state(estate, clock):
    """After a restore the estate is as it was, in the same object, and its time is the clock's again."""
    before = estate.snapshot()
    estate.contain("h1")
    estate.advance(3600)
    estate.restore(before)
    assert estate.now() == clock()
    assert estate.snapshot() == before


def test_time_does_not_go_back(estate):
    """A negative step is refused."""
    with pytest.raises(EstateError, match="cannot go back"):
        estate.advance(-1)


def test_a_running_clock_starts_where_it_is_told():
    """An estate without a clock of its own begins at its base time and runs on with the machine's time."""
    seconds = iter([100.0, 102.5])
    clock = RunningClock(datetime(2025, 11, 21, 11, 30, tzinfo=UTC), seconds=lambda: next(seconds))
    assert clock().isoformat() == "2025-11-21T11:30:02.500000+00:00"


def test_unknown_fields_are_all_named(estate, tmp_path: Path):
    """A file with unknown or wrong fields is refused, with every place and the fields that are known there."""
    data = estate.snapshot()
    data["colour"] = "red"
    data["hosts"]["h1"]["hostname"] = "x"
    data["hosts"]["h2"]["isolation"] = "unplugged"
    path = tmp_path / "estate.json"
    path.write_text(json.dumps(data))
    with pytest.raises(EstateError) as caught:
        Estate.load(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "colour: unknown field; known fields: name, base" in said
    assert "hosts.h1.hostname: unknown field; known fields: id, name" in said
    assert "hosts.h2.isolation: Input should be 'normal'" in said


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "must be a JSON object, is a list")])
def test_a_file_that_is_no_estate_is_refused(tmp_path: Path, text: str, said: str):
    """A broken file is an error that says what is wrong with which file."""
    path = tmp_path / "estate.json"
    path.write_text(text)
    with pytest.raises(EstateError, match=said):
        Estate.load(path)
    with pytest.raises(EstateError, match="cannot be read"):
        Estate.load(tmp_path / "absent.json")
