"""Who decides, from where, and what a page does that was opened before things changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from chromium import Visitor
from desk import Desk, Served, wait_until
from playwright.sync_api import expect

Visit = Callable[..., Visitor]


@pytest.fixture
def waiting(desk: Desk, served: Served, host: Callable[[int], str]) -> Callable[[int], str]:
    """Start a run of Mei's that waits for an approval, by the number of its host; returns its ID."""

    def start(number: int) -> str:
        with desk.client(served, "responder") as mei:
            begun = mei.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": host(number)}}).json()
            wait_until(lambda: mei.get("/waiting").json()["questions"])
            run: str = begun["run"]
            wait_until(lambda: any(each["run"] == run for each in mei.get("/waiting").json()["questions"]))
            return run

    return start


def questions(desk: Desk, served: Served, run: str) -> list[dict[str, Any]]:
    with desk.client(served, "admin") as admin:
        return [each for each in admin.get("/waiting").json()["questions"] if each["run"] == run]


def in_a_thread(work: Callable[[], Any]) -> None:
    """Run something that has a loop of its own; the thread of a test with a browser has one."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.safety(28)
def test_whoever_asks_does_not_decide(visit: Visit, waiting: Callable[[int], str]) -> None:
    """Mei sees what her run waits for, and is offered no way to approve it."""
    run = waiting(0)
    mei = visit("responder")

    mei.open(f"/runs/{run}")

    expect(mei.page.locator(".targets")).to_be_visible()
    expect(mei.page.locator(".why-not")).to_have_text("You started this run, so somebody else decides.")
    assert mei.page.locator(".decide").count() == 0


@pytest.mark.safety(28)
def test_an_address_decides_nothing(visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]) -> None:
    """Whatever reads links in messages, with or without a session, approves nothing by it."""
    run = waiting(1)
    ken = visit("approver")
    cookie = {"cookie": "; ".join(f"{each['name']}={each['value']}" for each in ken.page.context.cookies())}
    before = questions(desk, served, run)

    for headers in (cookie, {}):
        with httpx.Client(base_url=served.url, headers=headers) as anybody:
            for path in (f"/runs/{run}", f"/runs/{run}?approve=1&pressed=approve#isolate"):
                assert anybody.get(path).status_code in (200, 303)
                assert anybody.head(path).status_code in (200, 303, 405)
                assert anybody.post(path, data={"pressed": "approve"}).status_code in (403, 405)
    ken.open(f"/runs/{run}?pressed=approve#isolate")
    ken.page.wait_for_timeout(1500)

    assert questions(desk, served, run) == before
    expect(ken.page.locator(".decide")).to_be_visible()


@pytest.mark.safety(28)
def test_a_link_from_another_site_shows_and_decides_nothing(
    visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]
) -> None:
    """A form on another site that sends itself gets nowhere."""
    run = waiting(2)
    ken = visit("approver")
    before = questions(desk, served, run)

    ken.page.goto(
        "data:text/html,<form method=post action='" + f"{served.url}/runs/{run}" + "'><button>x</button></form>"
    )
    ken.page.click("button")
    ken.page.wait_for_load_state()

    assert questions(desk, served, run) == before
    ken.trouble.clear()  # the refusal is an error of that page


def test_a_revoked_session_does_nothing_more(
    visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]
) -> None:
    """A page that was opened before shows nothing more, and its buttons are gone, within a second or two."""
    run = waiting(3)
    ken = visit("approver")
    ken.open(f"/runs/{run}")
    expect(ken.page.locator(".decide")).to_be_visible()
    before = questions(desk, served, run)

    with desk.client(served, "admin") as admin:
        token = next(each["token"] for each in admin.get("/tokens").json() if each["name"] == "approver")
        assert admin.post(f"/tokens/{token}/revoke").status_code == 200
    expect(ken.page.locator("main h1")).to_have_text("Your session is over")

    assert ken.page.locator(".decide").count() == 0
    assert questions(desk, served, run) == before
    in_a_thread(desk.make_tokens)


@pytest.mark.safety(28)
def test_a_click_that_comes_with_a_revoked_session_is_refused(
    visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]
) -> None:
    """What somebody presses in the moment before the page has noticed is refused by the server itself."""
    run = waiting(4)
    ken = visit("approver")
    ken.open(f"/runs/{run}")
    expect(ken.page.locator(".decide")).to_be_visible()
    before = questions(desk, served, run)

    with desk.client(served, "admin") as admin:
        token = next(each["token"] for each in admin.get("/tokens").json() if each["name"] == "approver")
        # Pressed at once, from a page that stands still: nothing is drawn between the answer and the click.
        ken.page.evaluate("() => { window.__press = document.querySelector('.decide button[value=approve]') }")
        assert admin.post(f"/tokens/{token}/revoke").status_code == 200
        ken.page.evaluate("() => window.__press.click()")
    ken.page.wait_for_timeout(1000)

    assert questions(desk, served, run) == before
    in_a_thread(desk.make_tokens)


def test_what_somebody_types_stays_while_other_things_change(
    visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]
) -> None:
    """A note that is half written is not lost because another question comes in."""
    run = waiting(5)
    ken = visit("approver")
    ken.open("/")
    note = ken.page.locator("article", has=ken.page.locator(f"a[href*='{run}']")).locator("input[name=note]")
    note.fill("half a sen")
    cards = ken.page.locator("article .decide").count()

    waiting(6)

    expect(ken.page.locator("article .decide")).to_have_count(cards + 1)
    expect(note).to_have_value("half a sen")


def test_two_clicks_vote_once(visit: Visit, desk: Desk, served: Served, waiting: Callable[[int], str]) -> None:
    """Somebody who is nervous presses twice, and nothing complains."""
    run = waiting(7)
    ken = visit("approver")
    ken.open(f"/runs/{run}")

    ken.page.locator(".decide button[value=reject]").dblclick()

    expect(ken.page.locator(".mark.large")).to_contain_text("Failed")
    assert ken.page.locator(".notice.bad").count() == 0


def test_the_kill_switch_is_seen_everywhere_and_takes_two_to_release(visit: Visit, desk: Desk, served: Served) -> None:
    """One person stops; every page says so at once; one person alone does not let changes start again."""
    mei, ken = visit("responder"), visit("approver")
    ken.open("/runs")
    mei.open("/stop")

    mei.page.locator("select[name=what]").select_option("connector:falcon")
    mei.page.locator("input[name=reason]").fill("the EDR misbehaves")
    mei.press("Stop")
    mei.agree("Stop")

    for who in (mei, ken):
        expect(who.page.locator(".stops")).to_contain_text("connector falcon")
    ken.shot("kill-switch-on-every-page")
    expect(mei.page.locator("article .why-not")).to_be_visible()
    ken.open("/stop")
    ken.press("Release …")
    ken.agree("Release …", "it behaves again")
    expect(ken.page.locator("article .why-not")).to_contain_text("You have said so already")
    expect(ken.page.locator(".stops")).to_be_visible()
    ken.shot("kill-switch-one-of-two")
    with desk.client(served, "admin") as admin:
        assert admin.post("/stops/connector:falcon/release", json={"reason": "second pair of eyes"}).status_code == 200
    expect(ken.page.locator(".stops")).to_have_count(0)
