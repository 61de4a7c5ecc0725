"""One night in two browsers: Mei contains a host, Ken approves it, both see it, and Mei takes it back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from chromium import PHONE, Visitor
from desk import Desk, wait_until
from playwright.sync_api import expect

Visit = Callable[..., Visitor]
LOOKS = [("en-GB", "dark"), ("ja-JP", "light")]


def isolated(desk: Desk) -> list[str]:
    desk.simulation.estate.settle()
    return sorted(host.name for host in desk.simulation.estate.hosts.values() if host.isolation != "normal")


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
def test_a_host_is_found_planned_run_approved_held_and_released(
    visit: Visit, desk: Desk, host: Callable[[int], str], locale: str, scheme: str
) -> None:
    """Nothing is changed before Ken has seen the exact target and agreed, and everything is undone at the end."""
    ja = locale.startswith("ja")
    name = host(4 if ja else 3)
    number, steps = count(1), f"{'ja' if ja else 'en'}-{scheme}"
    mei = visit("responder", locale=locale, color_scheme=scheme)
    ken = visit("approver", locale=locale, color_scheme=scheme, viewport=PHONE, has_touch=True, is_mobile=True)

    def shot(who: Visitor, what: str, *, full: bool = False) -> None:
        who.shot(f"{steps}-{next(number):02}-{what}", full=full)

    # Mei finds the playbook and plans it.
    shot(mei, "mei-nothing-waits")
    mei.open("/playbooks")
    mei.page.locator("input[name=search]").fill("contain-host")
    mei.page.locator("input[name=search]").press("Enter")
    mei.page.wait_for_url("**/playbooks?search=*")
    shot(mei, "mei-finds")
    mei.page.locator("main a", has_text="Contain a compromised host").click()
    mei.page.get_by_label("hostname").fill(name)
    mei.page.get_by_label("indicators").fill("203.0.113.9\nbad.example")
    mei.page.get_by_label("reason").fill("A remote tool that nobody installed")
    expect(mei.page.locator(".drawing svg")).to_be_visible()
    shot(mei, "mei-fills-in", full=True)
    mei.press("計画する(変更なし)" if ja else "Plan (changes nothing)")
    mei.page.wait_for_url("**/plans/*")
    expect(mei.page.locator("main")).to_contain_text("edr.isolate_host")
    expect(mei.page.locator("main")).to_contain_text(name)
    mei.page.locator("article summary").first.click()
    expect(mei.page.locator("article pre").first).to_contain_text("/devices/entities/devices-actions/v2")
    expect(mei.page.locator("main")).to_contain_text("ガードレールによる承認" if ja else "A guardrail asks")
    shot(mei, "mei-sees-the-plan", full=True)
    assert isolated(desk) == []

    # She runs it, and it waits for somebody else.
    mei.press("実行" if ja else "Run")
    expect(mei.dialog).to_contain_text(name)
    shot(mei, "mei-is-asked-once-more")
    mei.agree("実行" if ja else "Run")
    mei.page.wait_for_url("**/runs/*")
    expect(mei.page.locator(".why-not")).to_be_visible()
    expect(mei.page.get_by_role("button", name="承認" if ja else "Approve", exact=True)).to_have_count(0)
    shot(mei, "mei-waits", full=True)
    assert isolated(desk) == []

    # Ken sees it without loading anything anew, opens it and approves exactly this target.
    expect(ken.page.locator("article")).to_contain_text(name)
    expect(ken.page.locator("article .targets")).to_contain_text("edr.isolate_host")
    shot(ken, "ken-sees-it-waiting")
    ken.page.locator("article a").first.click()
    ken.page.wait_for_url("**/runs/*")
    expect(ken.page.locator(".targets tbody th")).to_have_text(name)
    ken.page.locator(".decide input[name=note]").fill("Seen in the EDR too")
    shot(ken, "ken-decides")
    ken.press("承認" if ja else "Approve")

    # Both see it to the end.
    for who in (mei, ken):
        expect(who.page.locator(".mark.large")).to_contain_text("成功" if ja else "Succeeded")
        expect(who.page.locator(".headline")).to_contain_text(name)
    assert isolated(desk) == [name]
    shot(mei, "mei-sees-the-end", full=True)
    shot(ken, "ken-sees-the-end")
    mei.page.locator("details.history summary").click()
    expect(mei.page.locator(".timeline")).to_contain_text("Seen in the EDR too")
    shot(mei, "mei-reads-the-timeline", full=True)

    # It stands in the ledger, and Mei releases it.
    ken.open("/holds")
    shot(ken, "ken-sees-the-ledger")
    mei.open("/holds")
    card = mei.page.locator("article", has_text=name)
    expect(card).to_contain_text("Mei Kobayashi")
    shot(mei, "mei-sees-the-ledger")
    card.get_by_role("button", name="解除 …" if ja else "Release …").click()
    expect(mei.dialog).to_contain_text("edr.release_host")
    shot(mei, "mei-sees-what-releasing-does")
    mei.agree("解除する" if ja else "Release", "Examined and clean")
    mei.page.wait_for_url("**/runs/*")
    expect(mei.page.locator(".mark.large")).to_contain_text("成功" if ja else "Succeeded")
    shot(mei, "mei-has-released")
    wait_until(lambda: isolated(desk) == [])
    expect(ken.page.locator("article", has_text=name)).to_have_count(0)
    shot(ken, "ken-sees-it-gone")
