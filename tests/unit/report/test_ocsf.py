"""OCSF events: of which class each action is, and what is no event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from hikeshi.connector import Forbidden, Unavailable
from hikeshi.journal import Record
from hikeshi.report.ocsf import ocsf_events
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import RunHarness

AT = datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)
AT_MS = 1770091506789
SHA256 = "a" * 64
PUBLISHED = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))

WHOLE = f"""
id: t
vars:
  hash: {{kind: sha256, value: {SHA256}}}
  site: {{kind: domain, value: bad.example}}
  ip: {{kind: ipv4, value: 203.0.113.66}}
inputs: {{group: {{type: dict}}}}
steps:
  - {{id: find, action: edr.get_host, with: {{name: pc1}}}}
  - {{id: who, action: identity.get_user, with: {{name: mei}}}}
  - {{id: isolate, action: edr.isolate_host, with: {{host: "{{{{ steps.find }}}}", reason: beacon}}}}
  - {{id: hash, action: edr.block_hashes, with: {{hashes: ["{{{{ vars.hash }}}}"], reason: beacon}}}}
  - id: block
    action: firewall.block_indicators
    with: {{indicators: ["{{{{ vars.site }}}}", "{{{{ vars.ip }}}}"], reason: beacon}}
  - {{id: disable, action: identity.disable_user, with: {{user: "{{{{ steps.who }}}}", reason: beacon}}}}
  - {{id: revoke, action: identity.revoke_sessions, with: {{user: "{{{{ steps.who }}}}", reason: beacon}}}}
  - id: add
    action: identity.add_to_group
    with: {{user: "{{{{ steps.who }}}}", group: "{{{{ inputs.group }}}}", reason: beacon}}
  - {{id: tell, action: messaging.post, with: {{channel: soc, text: done}}}}
  - {{id: undo, release: "[steps.find, vars.hash, vars.site, vars.ip, steps.who]"}}
"""
ISOLATE = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: beacon}}
"""


def wrong(event: dict[str, Any]) -> list[str]:
    """Return what the published schema says against an event."""
    name = PUBLISHED.lookup_class_name_from_uid(class_uid=event["class_uid"])
    schema = PUBLISHED.get_class_schema(class_name=name, profiles=event["metadata"]["profiles"])
    return [error.message for error in Draft202012Validator(schema).iter_errors(event)]


async def events_of(harness: RunHarness, text: str = ISOLATE) -> list[dict[str, Any]]:
    return list(ocsf_events((await harness.run(text)).records))


def recorded(*facts: tuple[str, str, dict[str, Any]], **started: Any) -> list[dict[str, Any]]:
    """Return the events of a run in which this happened, a second apart."""
    begun = {"playbook": "p", "sources": {}, "digests": {}, "inputs": {}, "actor": "mei", "mode": "live"}
    begun |= {"routes": {}, "engine": "1", "owner": "o"} | started
    every = [("RunStarted", "", begun), *facts]
    records = (
        Record("r", seq, AT + timedelta(seconds=seq), kind, path, data, b"")
        for seq, (kind, path, data) in enumerate(every)
    )
    return list(ocsf_events(records, {"badges": "doorman"}))


def intended(action: str = "badge.lock", target: str = "badges:badge:7") -> dict[str, Any]:
    named = [{"identity": target, "label": "badge 7"}]
    return {"attempt": 1, "action": action, "instance": "badges", "key": "k", "targets": named}


def opened(undo: Any) -> dict[str, Any]:
    hold = {"hold": "h", "target": "badges:badge:7", "label": "badge 7", "prior": None}
    return {"action": "badge.lock", "instance": "badges", "opened": [hold], "undo": undo}


def settled(outcome: str, error: dict[str, str] | None = None) -> dict[str, Any]:
    return {"settled": [{"target": "badges:badge:7", "outcome": outcome, "error": error}]}


@pytest.mark.safety(25)
async def test_every_action_has_its_class_and_its_activity(harness: RunHarness) -> None:
    """What is done and how it is taken back, by the built-in verbs; all of it keeps to the published schema."""
    harness.world.add_user("mei")
    group = harness.world.add_group("admins").model_dump(mode="json")

    outcome = await harness.run(WHOLE, inputs={"group": group})
    events = list(ocsf_events(outcome.records))

    assert [wrong(event) for event in events] == [[]] * len(events)
    shown = {(event["metadata"]["event_code"], event["class_uid"], event["activity_name"]) for event in events}
    assert shown == {
        ("edr.isolate_host", 7004, "Isolate"),
        ("edr.block_hashes", 7002, "Isolate"),
        ("firewall.block_indicators", 7004, "Isolate"),
        ("identity.disable_user", 3001, "Disable"),
        ("identity.revoke_sessions", 3001, "Revoke Sessions"),
        ("identity.add_to_group", 3006, "Add User"),
        ("messaging.post", 6003, "Create"),
        ("edr.release_host", 7004, "Restore"),
        ("edr.unblock_hashes", 7002, "Restore"),
        ("firewall.unblock_indicators", 7004, "Restore"),
        ("identity.enable_user", 3001, "Enable"),
        ("identity.remove_from_group", 3006, "Remove User"),
    }
    assert len(events) == 14  # two indicators, each blocked and unblocked by itself


async def test_names_stand_for_the_numbers_beside_them(harness: RunHarness) -> None:
    """The published schema has a caption for each number; a number of one's own has a name of one's own."""
    harness.world.add_user("mei")
    group = harness.world.add_group("admins").model_dump(mode="json")
    outcome = await harness.run(WHOLE, inputs={"group": group})
    classes = {each["uid"]: each for each in get_ocsf_schema(version="1.8.0")["classes"].values()}
    for event in ocsf_events(outcome.records):
        attributes = classes[event["class_uid"]]["attributes"]
        for number, name in {
            "activity_id": "activity_name",
            "category_uid": "category_name",
            "class_uid": "class_name",
            "type_uid": "type_name",
            "severity_id": "severity",
            "status_id": "status",
        }.items():
            if event[number] != 99:
                assert attributes[number]["enum"][str(event[number])]["caption"] == event[name]


async def test_a_containment_says_who_why_what_and_until_when(harness: RunHarness) -> None:
    """And its release has the same correlation, another identity, and the way back as its activity."""
    harness.world.hosts["fake"].clear()
    harness.world.add_host("pc1", ips=("10.0.0.7",))
    text = (
        ISOLATE.replace("reason: beacon}}", "reason: beacon}, hold: 2h}") + '  - {id: end, release: "[steps.find]"}\n'
    )
    outcome = await harness.run(text)
    isolated, released = ocsf_events(outcome.records, {"fake": "falconlike"})

    assert isolated["device"] == {"type_id": 0, "type": "Unknown", "uid": "id-pc1", "name": "pc1", "ip": "10.0.0.7"}
    assert isolated["actor"]["user"] == {"name": "tester"}
    assert isolated["remediation"] == {"desc": "beacon"}
    assert (isolated["status"], isolated["severity"]) == ("Success", "Informational")
    told = isolated["unmapped"]
    assert (told["run"], told["path"], told["connector"], told["product"]) == ("run-1", "iso", "fake", "falconlike")
    assert (told["hold"], told["releases"]) == (isolated["metadata"]["correlation_uid"], False)
    assert told["held_until"].endswith("Z")
    assert released["unmapped"]["releases"] is True
    assert released["metadata"]["correlation_uid"] == isolated["metadata"]["correlation_uid"]
    assert released["metadata"]["uid"] != isolated["metadata"]["uid"]


async def test_two_exports_agree(harness: RunHarness) -> None:
    """Byte for byte; another run of the same has other identities."""
    first, again = await harness.run(ISOLATE), harness.records()
    assert json.dumps(list(ocsf_events(first.records))) == json.dumps(list(ocsf_events(again)))
    harness.world.isolation.clear()
    other = await harness.run(ISOLATE, run="run-2")
    uids = {event["metadata"]["uid"] for run in (first, other) for event in ocsf_events(run.records)}
    assert len(uids) == 2


async def test_a_dry_run_is_no_event(harness: RunHarness) -> None:
    """Nothing was sent."""
    assert list(ocsf_events((await harness.plan(ISOLATE)).records)) == []
    done = ("ActionIntended", "p", intended()), ("TargetsSettled", "p", settled("done"))
    assert (len(recorded(*done)), recorded(*done, mode="plan")) == (1, [])


async def test_what_was_so_already_is_no_event(harness: RunHarness) -> None:
    """The second run finds the host isolated and sends nothing."""
    await harness.run(ISOLATE)
    second = await harness.run(ISOLATE, run="run-2")
    assert second.node("iso").already
    assert list(ocsf_events(second.records)) == []


async def test_a_refusal_of_the_product_is_a_failure(harness: RunHarness) -> None:
    """It was sent, it had no effect, and the event says why."""
    harness.world.script("isolate_host", Fault("before", Forbidden("not allowed")))
    (event,) = await events_of(harness)
    assert (event["status_id"], event["status_detail"], event["severity"]) == (2, "not allowed", "Medium")
    assert wrong(event) == []


async def test_attempts_are_one_event_with_the_last_word(harness: RunHarness) -> None:
    """The first was dropped, the second worked."""
    harness.world.script("isolate_host", Fault("dropped", Unavailable("busy")))
    (event,) = await events_of(harness)
    assert (event["status"], "status_detail" in event) == ("Success", False)
    assert event["start_time"] < event["time"]


def test_what_somebody_else_did_meanwhile_is_not_claimed() -> None:
    """An attempt failed, and the next one found it so already: what was sent had no effect."""
    failed = ("TargetsSettled", "p", settled("failed", {"kind": "unavailable", "message": "busy"}))
    (event,) = recorded(("ActionIntended", "p", intended()), failed, ("TargetsSettled", "p", settled("already")))
    assert event["status"] == "Failure"


def test_times_are_exact_milliseconds() -> None:
    """From the intent, which is the first record after the start, to the last word."""
    (event,) = recorded(("ActionIntended", "p", intended()), ("TargetsSettled", "p", settled("done")))
    assert (event["start_time"], event["time"]) == (AT_MS + 1000, AT_MS + 2000)


@pytest.mark.parametrize(
    ("facts", "status_id", "detail"),
    [
        ([], 0, "no outcome is recorded yet"),
        ([("TargetsSettled", "p", settled("unknown", {"kind": "timeout", "message": "lost"}))], 0, "lost"),
        ([("TargetsSettled", "p", settled("done"))], 1, None),
        ([("TargetsSettled", "p", settled("failed", {"kind": "forbidden", "message": "no"}))], 2, "no"),
    ],
)
def test_outcomes_are_statuses(facts: list[tuple[str, str, dict[str, Any]]], status_id: int, detail: str) -> None:
    """What nobody knows is Unknown: never a success, never a failure, never left out."""
    (event,) = recorded(("ActionIntended", "p", intended()), *facts)
    assert (event["status_id"], event.get("status_detail")) == (status_id, detail)
    assert wrong(event) == []


@pytest.mark.parametrize(("happened", "status"), [(True, "Success"), (False, "Failure")])
def test_a_person_decides_what_was_unknown(happened: bool, status: str) -> None:
    """The event keeps its identity, and says who."""
    lost = [("ActionIntended", "p", intended()), ("TargetsSettled", "p", settled("unknown"))]
    (before,) = recorded(*lost)
    (event,) = recorded(*lost, ("StepResolved", "p", {"happened": happened, "actor": "ken"}))
    assert (event["status"], event["unmapped"]["resolved_by"]) == (status, "ken")
    assert event["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.safety(25)
@pytest.mark.parametrize("kind", ["refused", "route_refused"])
def test_what_the_engine_held_back_is_no_event(kind: str) -> None:
    """The kill switch after the intent: nothing left. If an earlier attempt did leave, that one counts."""
    held = ("TargetsSettled", "p", settled("failed", {"kind": kind, "message": "stopped"}))
    failed = ("TargetsSettled", "p", settled("failed", {"kind": "unavailable", "message": "busy"}))
    assert recorded(("ActionIntended", "p", intended()), held) == []
    (event,) = recorded(("ActionIntended", "p", intended()), failed, ("ActionIntended", "p", intended()), held)
    assert (event["status"], event["status_detail"]) == ("Failure", "busy")


@pytest.mark.safety(25)
def test_a_containment_that_nobody_has_heard_of_is_a_remediation() -> None:
    """A product's own change: with an inverse it contains something, without one it is a call; a release restores."""
    lock, done = ("ActionIntended", "p", intended()), ("TargetsSettled", "p", settled("done"))
    (held,) = recorded(lock, ("HoldsOpened", "p", opened({"action": "badge.unlock", "arguments": {}})), done)
    (gone,) = recorded(lock, ("HoldsOpened", "p", opened(None)), done)
    hold = {"hold": "h", "action": "badge.unlock", "arguments": {}, "target": "badges:badge:7", "label": "badge 7"}
    (back,) = recorded(
        ("HoldsFound", "rel", {"holds": [hold]}),
        ("ActionIntended", "rel[h]", intended("badge.unlock")),
        ("TargetsSettled", "rel[h]", settled("done")),
        reason="undo r: false alarm",
    )
    assert (held["class_uid"], held["activity_id"], held["activity_name"]) == (7001, 99, "badge.lock")
    assert (gone["class_uid"], gone["activity_name"], gone["api"]["service"]) == (6003, "Update", {"name": "doorman"})
    assert (back["class_uid"], back["activity_name"]) == (7001, "Restore")
    assert back["remediation"] == {"desc": "undo r: false alarm"}
    assert [wrong(event) for event in (held, gone, back)] == [[], [], []]


@pytest.mark.safety(25)
def test_undoing_a_release_is_a_restoration_too() -> None:
    """The host is isolated again since that is how it was before; the operation says what was called."""
    hold = {"hold": "h", "action": "edr.isolate_host", "arguments": {}, "target": "t", "label": "pc1"}
    (event,) = recorded(
        ("HoldsFound", "rel", {"holds": [hold]}),
        ("ActionIntended", "rel[h]", intended("edr.isolate_host")),
        ("TargetsSettled", "rel[h]", settled("done")),
    )
    assert (event["class_uid"], event["activity_id"], event["metadata"]["event_code"]) == (7004, 3, "edr.isolate_host")


def test_what_another_run_had_done_is_its_event_alone() -> None:
    """A run that is tried again takes over messages, and does not tell of them once more."""
    routes = {"messaging.post": {"effect": "notify", "instances": {"slack": None}}}
    asked = ("FannedOut", "tell", {"action": "messaging.post", "calls": {"slack": {"channel": "soc"}}})
    worked = {"attempt": 1, "output": None}
    (event,) = recorded(asked, ("ActionSucceeded", "tell[slack]", worked), routes=routes)
    assert (event["resources"], event["class_uid"]) == ([{"uid": "slack", "name": "soc"}], 6003)
    carried = ("ActionSucceeded", "tell[slack]", {**worked, "carried_from": "r0"})
    assert recorded(asked, carried, routes=routes) == []


@pytest.mark.parametrize(("applied", "status"), [("no", "Failure"), ("maybe", "Unknown")])
def test_a_message_that_may_have_arrived_is_unknown(applied: str, status: str) -> None:
    """One that can't have arrived has failed."""
    routes = {"ticketing.comment": {"effect": "notify", "instances": {"one": None, "two": None}}}
    ticket = {"connector": "two", "id": "1"}
    asked = ("ActionRequested", "note", {"action": "ticketing.comment", "arguments": {"ticket": ticket, "text": "x"}})
    error = {"kind": "timeout", "message": "no answer", "applied": applied}
    (event,) = recorded(asked, ("ActionFailed", "note", {"attempt": 1, "error": error}), routes=routes)
    assert (event["status"], event["unmapped"]["connector"]) == (status, "two")
    assert wrong(event) == []
