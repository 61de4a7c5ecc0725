"""What a plan shows is what is sent afterwards, request by request (rules 1, 3 and 9)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from drill import Drill, Outcome, Place

from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256

pytestmark = pytest.mark.safety(1, 3, 9)

INDICATORS = [
    C2_ADDRESS, "2001:db8::66", "198.51.100.0/24", C2_DOMAIN, "https://cdn.fleetmate-update.example/a?b=c&d='e'",
    MALWARE_SHA256, "d41d8cd98f00b204e9800998ecf8427e",
]  # fmt: skip
ADMIN = "adm-kobayashi@minato.example"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "isolate-host": ("isolate-host", {"hostname": FILE_SERVER, "reason": 'C2 & "exfiltration" <now>'}),
    "block-indicators": ("block-indicators", {"indicators": INDICATORS, "reason": "日本語 & <xml>", "duration": "45m"}),
    "restrict-user": ("restrict-user", {"user": ADMIN}),
    "notify-stakeholders": (
        "notify-stakeholders",
        {"severity": "critical", "title": "<!channel> & 日本語", "details": 'two\nlines, "quoted"'},
    ),
    "contain-host": (
        "contain-host",
        {"hostname": FILE_SERVER, "indicators": INDICATORS, "user": ADMIN, "severity": "critical"},
    ),
    "contain-host, the host only": ("contain-host", {"hostname": FILE_SERVER, "severity": "low"}),
}

Requests = Counter[str]


def without(volatile: Iterable[str], value: Any) -> Any:
    """Return plain data without the fields of these names, at any depth."""
    if isinstance(value, dict):
        return {key: without(volatile, item) for key, item in value.items() if key not in volatile}
    if isinstance(value, list):
        return [without(volatile, item) for item in value]
    return value


def as_key(request: dict[str, Any], volatile: Iterable[str]) -> str:
    parts = [request["method"], request["url"], without(volatile, request["body"])]
    return json.dumps(parts, sort_keys=True)


def shown(plan: Outcome) -> tuple[Requests, set[str]]:
    """Return the requests of a plan that are certain, and which fields are volatile."""
    requests = [r for action in plan.actions.values() if action["certainty"] == "certain" for r in action["requests"]]
    volatile = {name for request in requests for name in request["volatile"]}
    return Counter(as_key(request, volatile) for request in requests), volatile


@pytest.mark.parametrize(("playbook", "inputs"), CASES.values(), ids=CASES.keys())
async def test_a_preview_equals_what_is_sent(drill: Drill, place: Place, playbook: str, inputs: dict[str, Any]) -> None:
    """The plan's requests are, as a multiset, the changes that arrive in the live run that follows."""
    plan = await drill.plan(playbook, inputs)
    previewed, volatile = shown(plan)

    outcome = await drill.run(playbook, inputs)

    assert outcome.status == "succeeded"
    assert volatile <= {"expiration"}
    assert previewed == Counter(as_key(change, volatile) for change in place.changes())
    assert previewed.total() > 0


@pytest.mark.parametrize(("playbook", "inputs"), CASES.values(), ids=CASES.keys())
async def test_a_preview_that_is_certain_is_complete(drill: Drill, playbook: str, inputs: dict[str, Any]) -> None:
    """No action that certainly happens keeps a request for later, and each says what was not checked."""
    plan = await drill.plan(playbook, inputs)

    certain = [action for action in plan.actions.values() if action["certainty"] == "certain"]
    assert [action["path"] for action in certain if not action["complete"]] == []
    assert [action["path"] for action in certain if not action["not_checked"]] == []


async def test_a_plan_names_the_target_of_every_change(drill: Drill, place: Place) -> None:
    """Each change says what it is aimed at, by the product's own identifier."""
    plan = await drill.plan(*CASES["contain-host"])

    targets = {
        target["identity"]
        for action in plan.actions.values()
        if action["effect"] == "change"
        for target in (action["target"] if isinstance(action["target"], list) else [action["target"]])
    }
    admin = f"entra:user:{place.user('adm-kobayashi').id}"
    assert f"falcon:host:{place.host(FILE_SERVER).id}" in targets
    assert {f"ipv4:{C2_ADDRESS}", f"domain:{C2_DOMAIN}", f"sha256:{MALWARE_SHA256}", admin} <= targets
    assert len([target for target in targets if target.startswith(f"{admin}/entra:group:")]) == 3


async def test_what_only_a_failure_sets_off_is_marked_as_maybe(drill: Drill, place: Place) -> None:
    """The messages of `on_failure` are in the plan, as what may happen, and say when."""
    plan = await drill.plan(*CASES["contain-host"])

    maybe = {path: action for path, action in plan.actions.items() if action["certainty"] == "maybe"}
    assert maybe.keys() == {"on_failure.warn.tell.team[slack]", "on_failure.warn.tell.on_call[slack]"}
    assert {action["condition"] for action in maybe.values()} == {"if something failed"}


async def test_a_plan_says_what_is_so_already(drill: Drill, place: Place) -> None:
    """What is contained already needs no request, and the plan says so instead of showing one."""
    await drill.run("isolate-host", {"hostname": FILE_SERVER})

    plan = await drill.plan("isolate-host", {"hostname": FILE_SERVER})

    assert plan.actions["isolate"]["already"]
    assert plan.actions["isolate"]["requests"] == []


async def test_equal_plans_have_equal_digests(drill: Drill, place: Place) -> None:
    """Two plans that would do the same have one digest; another target gives another one."""
    first = await drill.plan(*CASES["isolate-host"])
    again = await drill.plan(*CASES["isolate-host"])
    other = await drill.plan("isolate-host", {"hostname": "fs-tyo-02"})

    assert first.report["digest"] == again.report["digest"] != other.report["digest"]


async def test_equal_plans_have_equal_digests_though_times_differ(drill: Drill, place: Place) -> None:
    """A volatile field, such as the moment a block ends, does not make another plan of it."""
    inputs = {"indicators": [MALWARE_SHA256]}
    first = await drill.plan("block-indicators", inputs)
    await asyncio.sleep(1.1)  # such moments are told to the second
    again = await drill.plan("block-indicators", inputs)

    assert first.report["digest"] == again.report["digest"]
