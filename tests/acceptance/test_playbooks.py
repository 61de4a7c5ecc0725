"""The five playbooks that ship: what they do to an estate, and that a dry run of them does nothing at all."""

from __future__ import annotations

from typing import Any

import pytest
from drill import Drill, Place

from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256, SECOND_C2_ADDRESS

URL = "https://cdn.fleetmate-update.example/payload"
DEFANGED_URL, DEFANGED_DOMAIN = "hxxps://cdn[.]fleetmate-update[.]example/payload", C2_DOMAIN.replace(".", "[.]")
INDICATORS = [C2_ADDRESS, DEFANGED_URL, DEFANGED_DOMAIN, MALWARE_SHA256]
ADMIN = "adm-kobayashi@minato.example"
SHIPPED = ["block-indicators", "contain-host", "isolate-host", "notify-stakeholders", "restrict-user"]
SEVERITIES = ["low", "medium", "high", "critical"]

WHOLE = {"hostname": FILE_SERVER, "indicators": INDICATORS, "user": ADMIN, "severity": "critical"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "isolate": ("isolate-host", {"hostname": FILE_SERVER}),
    "isolate, by address": ("isolate-host", {"hostname": "10.10.0.24"}),
    "restrict, a person without privileges": ("restrict-user", {"user": "kenji.sato@minato.example"}),
    "restrict, an administrator": ("restrict-user", {"user": ADMIN}),
    "restrict, somebody who is disabled already": ("restrict-user", {"user": "emi.mori@minato.example"}),
    "block, everything": ("block-indicators", {"indicators": INDICATORS}),
    "block, addresses only": ("block-indicators", {"indicators": [C2_ADDRESS, SECOND_C2_ADDRESS]}),
    "block, sites only": ("block-indicators", {"indicators": [C2_DOMAIN, URL]}),
    "block, hashes only": ("block-indicators", {"indicators": [MALWARE_SHA256, "d41d8cd98f00b204e9800998ecf8427e"]}),
    **{
        f"notify, {severity}": ("notify-stakeholders", {"severity": severity, "title": "A drill", "details": "Stay"})
        for severity in SEVERITIES
    },
    "contain, everything": ("contain-host", WHOLE),
    "contain, without a user": ("contain-host", {**WHOLE, "user": None}),
    "contain, without indicators": ("contain-host", {**WHOLE, "indicators": []}),
    "contain, the host only": ("contain-host", {"hostname": FILE_SERVER, "severity": "low"}),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    found: tuple[str, dict[str, Any]] = request.param
    return found


def test_the_library_has_the_five_playbooks(drill: Drill) -> None:
    """A project without playbooks of its own has those that ship."""
    assert drill.hikeshi.library.ids() == SHIPPED


async def test_a_dry_run_changes_nothing(drill: Drill, place: Place, case: tuple[str, dict[str, Any]]) -> None:
    """No branch of any playbook sends a change in a dry run (rule 3)."""
    playbook, inputs = case
    before = place.estate.snapshot()

    outcome = await drill.plan(playbook, inputs)

    assert outcome.status == "succeeded"
    assert outcome.report["problems"] == []
    assert place.changes() == []
    assert place.estate.snapshot() == before
    assert outcome.holds == []


async def test_a_live_run_succeeds(drill: Drill, place: Place, case: tuple[str, dict[str, Any]]) -> None:
    """Every branch of every playbook ends well, every request is accepted, and the journal is intact."""
    playbook, inputs = case

    outcome = await drill.run(playbook, inputs)

    assert (outcome.status, outcome.report["failures"], outcome.report["error"]) == ("succeeded", [], None)
    assert [change for change in place.changes() if not change["applied"]] == []
    assert {hold["status"] for hold in outcome.holds} <= {"active", "done"}
    assert drill.hikeshi.verify().problems == ()


async def test_isolate_host_isolates_that_host_alone(drill: Drill, place: Place) -> None:
    """The host is contained and no other is."""
    outcome = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert place.isolated() == [FILE_SERVER]
    assert place.host(FILE_SERVER).isolation == "contained"
    assert outcome.report["outputs"]["host"]["id"] == place.host(FILE_SERVER).id
    assert outcome.report["outputs"]["isolation"]["state"] == "isolated"
    assert [hold["label"] for hold in outcome.holds] == [FILE_SERVER]


async def test_block_indicators_blocks_each_kind_where_it_belongs(drill: Drill, place: Place) -> None:
    """Addresses are tagged, domains and URLs are in the running configuration, hashes are prevented."""
    outcome = await drill.run("block-indicators", {"indicators": INDICATORS})

    assert place.tagged() == {C2_ADDRESS}
    assert {entry.rstrip("/") for entry in place.listed()} == {C2_DOMAIN, URL.removeprefix("https://")}
    assert place.prevented() == {MALWARE_SHA256}
    assert outcome.report["outputs"] == {"addresses": 1, "sites": 2, "hashes": 1}


async def test_blocks_end_when_their_time_is_over(drill: Drill, place: Place) -> None:
    """The products lift addresses and hashes by themselves after the duration that was asked for."""
    await drill.run("block-indicators", {"indicators": [C2_ADDRESS, MALWARE_SHA256], "duration": "2h"})
    place.estate.advance(2 * 3600 - 60)
    before = (place.tagged(), place.prevented())
    place.estate.advance(120)

    assert before == ({C2_ADDRESS}, {MALWARE_SHA256})
    assert (place.tagged(), place.prevented()) == (set(), set())


async def test_an_address_that_nobody_can_block_stops_the_run_before_anything_is_sent(
    drill: Drill, place: Place
) -> None:
    """A mail address among the indicators is refused by name, and none of the others is sent either."""
    outcome = await drill.run("block-indicators", {"indicators": [*INDICATORS, "eve@evil.example"]})

    assert outcome.status == "failed"
    assert "eve@evil.example" in outcome.report["error"]["message"]
    assert place.changes() == []


async def test_restrict_user_disables_ends_sessions_and_takes_privileges(drill: Drill, place: Place) -> None:
    """The account loses sign-in, sessions and privileged groups, and keeps its ordinary groups."""
    user = place.user("adm-kobayashi")
    since = place.estate.now()

    outcome = await drill.run("restrict-user", {"user": ADMIN})

    groups = place.estate.groups_of(user.id)
    assert not user.enabled
    assert user.sessions_valid_from >= since
    assert [group.name for group in groups if group.privileged] == []
    assert "All Employees" in [group.name for group in groups]
    assert sorted(outcome.report["outputs"]["removed_from"]) == [
        "Backup Operators", "Domain Admins", "Global Administrators",
    ]  # fmt: skip
    assert [each.sam for each in place.estate.users.values() if not each.enabled and each.sam.startswith("adm")] == [
        "adm-kobayashi"
    ]


async def test_an_account_that_is_disabled_already_is_not_held(drill: Drill, place: Place) -> None:
    """What was so before is neither sent nor held, so an undo will not enable the account."""
    outcome = await drill.run("restrict-user", {"user": "emi.mori@minato.example"})

    assert outcome.steps["restrict.disable"]["already"]
    assert [change for change in place.changes("entra") if change["method"] == "PATCH"] == []
    assert [hold["action"] for hold in outcome.holds] == ["identity.revoke_sessions"]


@pytest.mark.parametrize(
    ("severity", "channels"),
    [
        ("low", ["incidents"]),
        ("medium", ["incidents"]),
        ("high", ["incidents", "soc-on-call"]),
        ("critical", ["incidents", "management", "soc-on-call"]),
    ],
)
async def test_notify_stakeholders_tells_whom_the_severity_concerns(
    drill: Drill, place: Place, severity: str, channels: list[str]
) -> None:
    """The team always hears of it, the person on call from high on, management of what is critical."""
    await drill.run("notify-stakeholders", {"severity": severity, "title": "A drill", "details": "Stay calm."})

    assert sorted(channel for channel, _ in place.said()) == channels
    assert all(f"[{severity.upper()}] A drill" in text for _, text in place.said())
    assert ("incidents", f"[{severity.upper()}] A drill\nStay calm.") in place.said()


async def test_contain_host_does_all_of_it_and_says_so(drill: Drill, place: Place) -> None:
    """One run isolates, blocks, restricts and tells; the ledger has every change, with its inverse."""
    outcome = await drill.run("contain-host", WHOLE)

    assert place.isolated() == [FILE_SERVER]
    assert (place.tagged(), place.prevented()) == ({C2_ADDRESS}, {MALWARE_SHA256})
    assert len(place.listed()) == 2
    assert not place.user("adm-kobayashi").enabled
    assert [text for _, text in place.said() if FILE_SERVER not in text] == []
    assert [action for action, status in ((h["action"], h["status"]) for h in outcome.holds) if status == "done"] == [
        "identity.revoke_sessions"
    ]
    assert {hold["undo"] for hold in outcome.holds if hold["status"] == "active"}.isdisjoint({"null", ""})
    assert len(outcome.holds) == 1 + 4 + 1 + 1 + 3


async def test_contain_host_a_second_time_finds_it_done(drill: Drill, place: Place) -> None:
    """Running it again sends no change but what has no state: the end of sessions, and messages."""
    inputs = {**WHOLE, "severity": "low"}
    await drill.run("contain-host", inputs)
    place.forget_changes()
    place.estate.advance(60)  # the directory tells the end of sessions to the second

    outcome = await drill.run("contain-host", inputs)

    assert outcome.status == "succeeded"
    assert [change["url"].rpartition("/")[2] for change in place.changes()] == [
        "revokeSignInSessions", "chat.postMessage",
    ]  # fmt: skip
