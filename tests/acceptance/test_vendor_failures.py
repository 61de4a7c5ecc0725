"""Vendors that say no, in their own ways: what a run makes of it, and whether a change happened once, never or perhaps.

Rules 13 to 16: could not read is never absent; at most once; unknown is not failed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from drill import Drill, Place

from hikeshi.core import RunState
from hikeshi.core.events import ActionIntended, Event
from hikeshi.testing.estate import Ioc
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256

pytestmark = pytest.mark.safety(13, 16)

HOST = {"hostname": FILE_SERVER}
CONTAIN = {"product": "crowdstrike", "method": "POST", "path": "/devices/entities/devices-actions/v2"}
USER = "kenji.sato@minato.example"
PATCH_USER = {"product": "entra", "method": "PATCH", "path": "/v1.0/users/*"}


def falcon_errors(code: int, message: str) -> dict[str, Any]:
    return {"meta": {"query_time": 0.01}, "errors": [{"code": code, "message": message}], "resources": []}


def slack_says(code: str) -> dict[str, Any]:
    return {"product": "slack", "path": "/chat.postMessage", "status": 200, "body": {"ok": False, "error": code}}


def panos_says(code: str | None, text: str) -> dict[str, Any]:
    attribute = "" if code is None else f' code="{code}"'
    body = f'<response status="error"{attribute}><msg><line>{text}</line></msg></response>'
    return {"product": "panos", "method": "POST", "path": "/api/", "status": 200, "body": body}


# --- Slack: status 200, and `ok: false`


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("channel_not_found", "not_found", "check the name"),
        ("invalid_auth", "unauthorized", "invalid_auth"),
        ("not_in_channel", "forbidden", "invite the app"),
        ("a_code_of_next_year", "invalid", "a_code_of_next_year"),
    ],
)
async def test_a_message_that_slack_refuses_fails_at_once(
    drill: Drill, place: Place, code: str, kind: str, advice: str
) -> None:
    """A refusal that no repetition helps against is not repeated, and is told with what to do."""
    place.order(**slack_says(code), times=None)

    outcome = await drill.run("notify-stakeholders", {"severity": "low", "title": "A drill"})

    step = outcome.steps["tell.team[slack]"]
    assert outcome.status == "failed"
    assert outcome.report["failures"] == ["tell.team[slack]"]
    assert (step["attempts"], step["error"]["kind"]) == (1, kind)
    assert code in step["error"]["message"]
    assert advice in step["error"]["message"]
    assert place.said() == []


async def test_a_message_over_slacks_rate_limit_is_sent_later_and_once(drill: Drill, place: Place) -> None:
    """`ratelimited` means that nothing was posted: the message is sent again, and is no possible repeat."""
    place.order(**slack_says("ratelimited"), headers={"Retry-After": "30"})

    outcome = await drill.run("notify-stakeholders", {"severity": "low", "title": "A drill"})

    assert outcome.status == "succeeded"
    assert outcome.steps["tell.team[slack]"]["attempts"] == 2
    assert max(drill.clock.waits) >= 29
    assert place.said() == [("incidents", "[LOW] A drill\n")]


async def test_a_message_that_slack_may_have_posted_is_repeated_and_marked(drill: Drill, place: Place) -> None:
    """After `internal_error` nobody knows: told twice beats not told, and the run says that it may be twice."""
    place.order(**slack_says("internal_error"))

    outcome = await drill.run("notify-stakeholders", {"severity": "low", "title": "A drill"})

    step = outcome.steps["tell.team[slack]"]
    assert outcome.status == "succeeded"
    assert (step["attempts"], step["possibly_repeated"]) == (2, True)
    assert len(place.said()) == 1


# --- PAN-OS: status 200, and status="error"


@pytest.mark.parametrize(
    ("code", "kind"), [("16", "forbidden"), ("17", "invalid"), ("22", "unauthorized"), (None, "invalid")]
)
async def test_a_firewall_that_answers_200_with_an_error_has_blocked_nothing(
    drill: Drill, place: Place, code: str | None, kind: str
) -> None:
    """`status="error"` in an answer 200 is a failure that says what the firewall said, and no hold stays."""
    refusal = place.order_when("firewall.block_indicators", panos_says(code, "the firewall's own words"))

    outcome = await drill.run("block-indicators", {"indicators": [C2_ADDRESS]}, watchers=[refusal])

    step = outcome.steps["block.addresses[0][fw_hq]"]
    assert outcome.status == "failed"
    assert (step["status"], step["attempts"], step["error"]["kind"]) == ("failed", 1, kind)
    assert "the firewall's own words" in step["error"]["message"]
    assert place.tagged() == set()
    assert [hold["status"] for hold in outcome.holds] == ["void"]


async def test_a_firewall_that_fails_inside_is_asked_again(drill: Drill, place: Place) -> None:
    """An internal error that provably had no effect is followed by another attempt."""
    failure = place.order_when("firewall.block_indicators", panos_says("11", "Internal error"))

    outcome = await drill.run("block-indicators", {"indicators": [C2_ADDRESS]}, watchers=[failure])

    assert outcome.status == "succeeded"
    assert outcome.steps["block.addresses[0][fw_hq]"]["attempts"] == 2
    assert place.tagged() == {C2_ADDRESS}
    assert [change["applied"] for change in place.changes()] == [False, True]


async def test_a_refused_commit_is_no_success(drill: Drill, place: Place) -> None:
    """Domains whose commit is refused are not blocked, and the run says so in the firewall's words."""
    passing = {"product": "panos", "path": "/api/", "delay_s": 0.001, "times": 2}  # the look at the list; the set
    refusal = place.order_when("firewall.block_indicators", passing, panos_says("16", "commits are not allowed"))

    outcome = await drill.run("block-indicators", {"indicators": [C2_DOMAIN]}, watchers=[refusal])

    step = outcome.steps["block.sites[0][fw_hq]"]
    assert (outcome.status, step["status"]) == ("failed", "failed")
    assert "commits are not allowed" in step["error"]["message"]
    assert place.listed() == set()


async def test_a_firewall_whose_state_cannot_be_read_is_not_changed(drill: Drill, place: Place) -> None:
    """What cannot be read is not taken for absent: no change is sent (rule 13)."""
    place.order(**panos_says("16", "show is not allowed"), times=None)

    outcome = await drill.run("block-indicators", {"indicators": [C2_ADDRESS, C2_DOMAIN]})

    assert outcome.status == "failed"
    assert place.changes() == []
    assert outcome.holds == []


# --- CrowdStrike: 409, and answers that are lost


async def test_a_host_that_somebody_isolated_before_is_already_so(drill: Drill, place: Place) -> None:
    """A host found contained needs no request and opens no hold: it is not ours to release."""
    place.estate.contain(place.host(FILE_SERVER).id)
    place.estate.advance(1)

    outcome = await drill.run("isolate-host", HOST)

    assert outcome.status == "succeeded"
    assert outcome.steps["isolate"]["already"]
    assert (place.changes(), outcome.holds) == ([], [])
    assert outcome.report["outputs"]["isolation"]["state"] == "isolated"


async def test_a_conflict_because_somebody_is_isolating_the_host_ends_well(drill: Drill, place: Place) -> None:
    """Falcon's 409 for a host whose containment is pending by another hand: read back until it is contained."""
    place.estate.settle_s = 3600
    place.estate.contain(place.host(FILE_SERVER).id)

    def let_an_hour_pass(event: Event, state: RunState) -> None:
        if isinstance(event, ActionIntended):
            clock = {"advance_s": 3600}
            asyncio.get_running_loop().call_later(0.15, lambda: place.control.post("/_estate/clock", json=clock))

    outcome = await drill.run("isolate-host", HOST, watchers=[let_an_hour_pass])

    assert [change["status"] for change in place.changes()] == [409]
    assert outcome.status == "succeeded"
    assert outcome.steps["isolate"]["attempts"] == 1
    assert place.host(FILE_SERVER).isolation == "contained"


async def test_a_conflict_after_which_the_host_is_contained_is_a_success(drill: Drill, place: Place) -> None:
    """Somebody was quicker between our look and our request: 409, but the host is contained; and it is theirs."""
    place.order(**CONTAIN, status=409, when="after", body=falcon_errors(409, "already contained"))

    outcome = await drill.run("isolate-host", HOST)

    assert outcome.status == "succeeded"
    assert len(place.changes()) == 1
    assert [hold["status"] for hold in outcome.holds] == ["void"]
    assert drill.hikeshi.holds() == []


async def test_a_conflict_while_the_host_stays_connected_is_a_failure(drill: Drill, place: Place) -> None:
    """A 409 is no proof: the host is read back, is not contained, and the step fails without another request."""
    place.order(**CONTAIN, status=409, body=falcon_errors(409, "already contained"), times=None)

    outcome = await drill.run("isolate-host", HOST)

    step = outcome.steps["isolate"]
    assert (outcome.status, step["status"], step["error"]["kind"]) == ("failed", "failed", "conflict")
    assert len(place.changes()) == 1
    assert place.isolated() == []
    assert [hold["status"] for hold in outcome.holds] == ["void"]


async def test_an_answer_lost_after_the_effect_is_read_back_and_not_sent_again(drill: Drill, place: Place) -> None:
    """The connection breaks when Falcon has contained the host: one request, and a success."""
    place.order(**CONTAIN, drop="after")

    outcome = await drill.run("isolate-host", HOST)

    assert outcome.status == "succeeded"
    assert [change["fault"] for change in place.changes()] == ["drop"]
    assert outcome.steps["isolate"]["attempts"] == 1
    assert place.isolated() == [FILE_SERVER]


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"html": True}, {"half": True}])
async def test_an_answer_spoilt_after_the_effect_is_read_back_and_not_sent_again(
    drill: Drill, place: Place, fault: dict[str, Any]
) -> None:
    """Whatever a proxy makes of the answer: if the host is contained, that is a success after one request."""
    place.order(**CONTAIN, **fault, when="after")

    outcome = await drill.run("isolate-host", HOST)

    assert outcome.status == "succeeded"
    assert len(place.changes()) == 1
    assert place.isolated() == [FILE_SERVER]


async def test_a_request_lost_before_its_effect_is_sent_again_and_applied_once(drill: Drill, place: Place) -> None:
    """Read back in time and unchanged: it provably had no effect, so it is sent again."""
    place.order(**CONTAIN, drop="before")

    outcome = await drill.run("isolate-host", HOST)

    assert outcome.status == "succeeded"
    assert [change["applied"] for change in place.changes()] == [False, True]
    assert outcome.steps["isolate"]["attempts"] == 2
    assert [hold["status"] for hold in outcome.holds] == ["active"]


async def test_a_change_that_cannot_be_read_back_is_unknown_and_waits_for_a_person(drill: Drill, place: Place) -> None:
    """The answer is lost and the EDR stays unreachable: not failed, not sent again, nothing that needs it goes on."""
    silence = place.order_when(
        "edr.isolate_host", {**CONTAIN, "drop": "after"}, {"product": "crowdstrike", "drop": "before", "times": None}
    )

    outcome = await drill.run("contain-host", {**HOST, "severity": "low"}, watchers=[silence])

    step = outcome.steps["contain.isolate.isolate"]
    assert (outcome.status, step["status"], step["error"]["kind"]) == ("waiting", "unknown", "outcome_unknown")
    assert outcome.report["unknown"] == ["contain.isolate.isolate"]
    assert [change["url"].partition("?")[2] for change in place.changes("crowdstrike")] == ["action_name=contain"]
    assert outcome.steps["notify"]["status"] == "waiting"
    assert [hold["status"] for hold in outcome.holds] == ["unknown"]
    assert [run["status"] for run in drill.hikeshi.runs()] == ["waiting"]
    assert "OUTCOME UNKNOWN" in outcome.told


async def test_a_host_that_is_offline_ends_as_unknown_and_not_as_isolated(drill: Drill, place: Place) -> None:
    """Falcon accepts the containment of an offline host and does it later: nobody is told that it is isolated."""
    place.estate.set_online(place.host(FILE_SERVER).id, False)

    outcome = await drill.run("isolate-host", HOST)

    step = outcome.steps["isolate"]
    assert (outcome.status, step["status"]) == ("waiting", "unknown")
    assert "isolating" in step["error"]["message"]
    assert len(place.changes()) == 1
    assert [hold["status"] for hold in outcome.holds] == ["unknown"]


async def test_a_change_that_waits_for_a_person_is_not_resumed_by_itself(drill: Drill, place: Place) -> None:
    """Going on with such a run sends nothing again."""
    silence = place.order_when(
        "edr.isolate_host", {**CONTAIN, "drop": "before"}, {"product": "crowdstrike", "drop": "before", "times": None}
    )
    outcome = await drill.run("isolate-host", HOST, watchers=[silence])
    place.control.delete("/_estate/faults")

    state = await drill.hikeshi.go_on(outcome.state.run)

    assert (outcome.status, state.status.value) == ("waiting", "waiting")
    assert len(place.changes()) == 1
    assert place.isolated() == []


async def test_an_edr_that_cannot_be_reached_is_not_an_absent_host(drill: Drill, place: Place) -> None:
    """A look-up that fails is tried again, then fails as unavailable; the host is never said not to exist."""
    place.order(product="crowdstrike", drop="before", times=None)

    outcome = await drill.run("isolate-host", HOST)

    step = outcome.steps["find"]
    assert (outcome.status, step["status"], step["attempts"]) == ("failed", "failed", 3)
    assert step["error"]["kind"] == "unavailable"
    assert outcome.steps["isolate"]["status"] == "blocked"
    assert place.changes() == []


# --- Entra: 429 with Retry-After


async def test_a_rate_limited_change_waits_as_long_as_the_directory_asks(drill: Drill, place: Place) -> None:
    """After 429 the account is disabled once, not before Retry-After is over."""
    place.order(**PATCH_USER, too_many_requests_s=17)

    outcome = await drill.run("restrict-user", {"user": USER})

    events = [event for event in outcome.events if event["path"] == "restrict.disable"]
    failed = next(event for event in events if event["kind"] == "ActionFailed")
    again = [event for event in events if event["kind"] == "ActionIntended"][1]
    assert outcome.status == "succeeded"
    assert failed["error"]["kind"] == "rate_limited"
    assert (again["at"] - failed["at"]).total_seconds() >= 17
    patches = [change for change in place.changes() if change["method"] == "PATCH"]
    assert [change["applied"] for change in patches] == [False, True]
    assert not place.user("kenji.sato").enabled


async def test_a_rate_limit_that_does_not_end_fails_that_measure_alone(drill: Drill, place: Place) -> None:
    """An account that cannot be disabled still loses its sessions, and the run says what is missing."""
    place.order(**PATCH_USER, too_many_requests_s=2, times=None)
    since = place.estate.now()

    outcome = await drill.run("restrict-user", {"user": USER})

    assert outcome.status == "failed"
    assert outcome.report["failures"] == ["restrict.disable"]
    assert outcome.steps["restrict.disable"]["error"]["kind"] == "rate_limited"
    assert place.user("kenji.sato").enabled
    assert place.user("kenji.sato").sessions_valid_from >= since


# --- A product whose credentials are refused


async def test_a_refused_credential_fails_before_any_change(drill: Drill, place: Place) -> None:
    """A client secret that Falcon does not accept ends the look-up, is not tried again, and says what to check."""
    place.order(product="crowdstrike", path="/oauth2/token", status=403, times=None, body=falcon_errors(403, "no"))

    outcome = await drill.run("isolate-host", HOST)

    step = outcome.steps["find"]
    assert (outcome.status, step["attempts"], step["error"]["kind"]) == ("failed", 1, "unauthorized")
    assert "client_secret" in step["error"]["message"]
    assert place.changes() == []


async def test_a_part_of_the_hashes_that_falcon_refuses_is_named(drill: Drill, place: Place) -> None:
    """Hashes that stand there already with another action are named with the reason; the others are blocked."""
    place.estate.add_ioc(
        Ioc(
            id="allowed-by-a-person", type="sha256", value=MALWARE_SHA256, action="allow",
            created_at=place.estate.now(), details={"applied_globally": True, "platforms": ["windows"]},
        )
    )  # fmt: skip
    other = "ab" * 32

    outcome = await drill.run("block-indicators", {"indicators": [MALWARE_SHA256, other]})

    step = outcome.steps["block.hashes[0][falcon]"]
    assert (outcome.status, step["status"]) == ("failed", "failed")
    assert MALWARE_SHA256 in step["error"]["message"]
    assert "allowed-by-a-person" in step["error"]["message"]
    assert place.prevented() == {other}
    assert {hold["label"]: hold["status"] for hold in outcome.holds} == {MALWARE_SHA256: "void", other: "active"}
