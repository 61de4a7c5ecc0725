"""What does not go as planned: outcomes that nobody knows, taking back, what triggers offer, what is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from chromium import Visitor
from desk import Desk, Served, desk_in, wait_until
from playwright.sync_api import expect

from hikeshi.testing.faults import parse_fault

Visit = Callable[..., Visitor]
CONTAIN = {"product": "crowdstrike", "method": "POST", "path": "/devices/entities/devices-actions/v2"}
KEY = "a-key-of-this-test"
TRIGGERED = """\
id: isolate-on-alert
name: Isolate on an alert
inputs: {hostname: {type: hostname}}
triggers:
  - id: alert
    webhook: edr
    inputs: {hostname: "{{ event.host }}"}
    mode: plan
    by: [role:soc_lead]
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: an alert}, hold: 2h}
"""
HOOKS = {
    "edr": {
        "verify": "hmac",
        "secret": "${env:EDR_WEBHOOK}",
        "header": "X-Signature",
        "prefix": "sha256=",
        "id_path": "id",
    }
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A project with a trigger, in which nobody has to approve."""
    with desk_in(tmp_path_factory.mktemp("otherwise"), webhooks=HOOKS) as desk:
        desk.add_playbook("isolate-on-alert", TRIGGERED)
        yield desk


@pytest.fixture(scope="module")
def served(desk: Desk) -> Iterator[Served]:
    """The project, served with its triggers."""
    with desk.served(EDR_WEBHOOK=KEY) as served:
        yield served


def send(served: Served, id: str, host: str) -> None:
    body = json.dumps({"id": id, "host": host}).encode()
    signature = "sha256=" + hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Signature": signature, "Content-Type": "application/json"}
    assert httpx.post(f"{served.url}/hooks/edr", content=body, headers=headers).status_code == 202


def status(desk: Desk, served: Served, run: str) -> str:
    with desk.client(served, "responder") as client:
        return str(client.get(f"/runs/{run}").json()["status"])


def test_an_unknown_outcome_is_shown_at_once_and_resolved_by_a_person(
    visit: Visit, desk: Desk, served: Served, host: Callable[[int], str]
) -> None:
    """What may or may not have happened is neither called done nor failed, until somebody has looked."""
    faults, before = desk.simulation.faults, len(desk.simulation.changes)
    faults.add(parse_fault({**CONTAIN, "drop": "after"}))
    try:
        with desk.client(served, "responder") as mei:
            run = mei.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": host(0)}}).json()["run"]
            wait_until(lambda: len(desk.simulation.changes) > before)
            faults.add(parse_fault({"product": "crowdstrike", "drop": "before", "times": None}))
            wait_until(lambda: mei.get(f"/runs/{run}").json()["unknown"], within_s=60)
    finally:
        faults.clear()
    page = visit("responder")
    page.open("/")
    card = page.page.locator("article", has_text="Outcome unknown")
    expect(card).to_contain_text(host(0))
    page.shot("outcome-unknown")

    card.get_by_role("link", name="See the run").click()
    page.page.wait_for_url("**/runs/*")
    expect(page.page.locator(".mark", has_text="Outcome unknown").first).to_be_visible()
    page.page.locator("article").get_by_role("button", name="It happened").click()
    expect(page.dialog).to_contain_text(host(0))
    page.agree("It happened")

    expect(page.page.locator(".mark.large")).to_contain_text("Succeeded")


def test_an_undo_shows_what_it_will_do_and_does_it(
    visit: Visit, desk: Desk, served: Served, host: Callable[[int], str]
) -> None:
    """Nobody takes anything back without having seen how it is now and how it will be."""
    with desk.client(served, "responder") as client:
        run = client.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": host(1)}}).json()["run"]
    wait_until(lambda: status(desk, served, run) == "succeeded")
    mei = visit("responder")
    mei.open(f"/runs/{run}")

    mei.press("Undo …")
    expect(mei.dialog).to_contain_text(f"{host(1)} (falcon)")
    expect(mei.dialog).to_contain_text("edr.release_host is sent")
    mei.agree("Undo")
    expect(mei.dialog).to_be_visible()  # a reason is asked for
    mei.shot("undo-asks-for-a-reason")
    mei.agree("Undo", "it was the wrong one")

    mei.page.wait_for_url("**/runs/undo-*")
    expect(mei.page.locator(".mark.large")).to_contain_text("Succeeded")
    mei.open(f"/runs/{run}")
    mei.press("Undo …")
    expect(mei.dialog.locator("h2")).to_have_text("There is nothing to undo")


def test_a_plan_is_applied_exactly_once(visit: Visit, desk: Desk, served: Served, host: Callable[[int], str]) -> None:
    """What is applied is what was seen; afterwards there is nothing to press, and a stale one is refused in words."""
    with desk.client(served, "responder") as client:
        inputs = {"inputs": {"hostname": host(2)}}
        plan, stale = (client.post("/playbooks/isolate-host/plan", json=inputs).json()["run"] for _ in range(2))
        wait_until(lambda: status(desk, served, stale) == "succeeded")
    mei = visit("responder")
    mei.open(f"/plans/{plan}")
    mei.press("Apply exactly this")
    expect(mei.dialog).to_contain_text(host(2))
    mei.agree("Apply exactly this")
    mei.page.wait_for_url("**/runs/*")
    expect(mei.page.locator(".mark.large")).to_contain_text("Succeeded")
    mei.open(f"/plans/{plan}")
    expect(mei.page.locator(".headline")).to_contain_text("It was applied as the run")
    assert mei.page.get_by_role("button", name="Apply exactly this").count() == 0

    mei.open(f"/plans/{stale}")
    mei.press("Apply exactly this")
    mei.agree("Apply exactly this")

    mei.page.wait_for_selector(".notice.bad")
    print("WHY", mei.page.locator(".notice.bad").inner_text())
    expect(mei.page.locator(".notice.bad h2")).to_have_text("The plan is not applied")
    expect(mei.page.locator(".notice.bad .why")).to_contain_text("something else now")
    mei.shot("a-stale-plan-is-refused")


def test_a_hold_is_extended_and_read_back(visit: Visit, desk: Desk, served: Served, host: Callable[[int], str]) -> None:
    """Who needs more time says so, with a reason; what the product says of it is one button away."""
    send(served, "hold-1", host(3))
    ken, mei = visit("approver"), visit("responder")
    ken.page.locator("article", has_text="isolate-on-alert").get_by_role("button", name="Apply it").click(
        timeout=20_000
    )
    expect(ken.dialog).to_contain_text(host(3))
    ken.agree("Apply it")
    ken.page.wait_for_url("**/runs/*")
    expect(ken.page.locator(".mark.large")).to_contain_text("Succeeded")
    mei.open("/holds")
    card = mei.page.locator("article", has_text=host(3))
    expect(card.locator("hk-left")).to_contain_text("1:59:")

    card.get_by_role("button", name="Extend").click()
    mei.dialog.locator("input[name=hours]").fill("5")
    mei.agree("Extend", "forensics takes longer")
    expect(card.locator("hk-left")).to_contain_text("6:59:")
    card.get_by_role("button", name="Read back").click()

    expect(card.locator(".reading")).to_contain_text("As we left it")
    mei.shot("a-hold-read-back")


def test_an_offered_plan_is_declined_by_whom_it_is_offered_to(
    visit: Visit, desk: Desk, served: Served, host: Callable[[int], str]
) -> None:
    """Mei sees what the trigger offers and can't decide it; Ken lets it be, and it is gone for both."""
    mei, ken = visit("responder"), visit("approver")
    send(served, "offer-1", host(4))
    for who in (mei, ken):
        expect(who.page.locator("article", has_text="isolate-on-alert")).to_be_visible(timeout=20_000)
    card = ken.page.locator("article", has_text="isolate-on-alert")
    assert mei.page.get_by_role("button", name="Apply it").count() == 0
    card.get_by_role("link", name="See the plan").click()
    ken.page.wait_for_url("**/plans/*")
    expect(ken.page.locator("main")).to_contain_text(host(4))
    expect(ken.page.get_by_role("button", name="Apply it")).to_be_visible()
    ken.open("/triggers")
    expect(ken.page.locator("table").first).to_contain_text("isolate-on-alert")
    ken.shot("triggers")

    ken.press("Decline")
    ken.agree("Decline", "a false alarm")

    for who in (mei, ken):
        expect(who.page.locator("article", has_text="isolate-on-alert")).to_have_count(0)


def test_what_may_not_be_is_said_with_what_to_do(visit: Visit, served: Served) -> None:
    """Somebody who may only look is offered nothing that would be refused, and addresses that are wrong say so."""
    viewer = visit("viewer")
    for path in ("/playbooks/isolate-host", "/stop", "/audit", "/holds"):
        viewer.open(path)
        names = ("Plan (changes nothing)", "Run …", "Stop", "Verify", "Release …")
        assert [each for each in names if viewer.page.get_by_role("button", name=each, exact=True).count()] == [], path
    for path in ("/runs/no-such", "/playbooks/no-such", "/plans/no-such", "/no/such/page"):
        viewer.open(path, 404)
        assert str(served.url) not in viewer.page.locator("main").inner_text()
        expect(viewer.page.get_by_role("link", name="To what is waiting")).to_be_visible()
    viewer.shot("no-such-page")
    viewer.trouble.clear()  # to a browser, a page that there is not is an error
