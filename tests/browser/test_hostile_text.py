"""Text from outside in a real browser: names, notes and errors are read, and nothing of them is ever run or drawn."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from chromium import Visitor
from desk import Desk, Served, wait_until
from playwright.sync_api import expect

Visit = Callable[..., Visitor]
SCRIPT = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
BREAK = '"]; click n1 "javascript:window.hit=1"'
TEMPLATE = "{{ 7 * 7 }} ${7 * 7} `window.hit = 1` :onclick=window.hit=1"
TURNED = "\u202ecod.exe"


def quoted(text: str) -> str:
    return json.dumps(text)  # JSON strings are YAML


PLAYBOOKS = {
    "hostile": f"""\
id: hostile
name: {quoted(SCRIPT)}
description: {quoted(BREAK + SCRIPT)}
inputs:
  what: {{type: string, default: {quoted(SCRIPT)}, description: {quoted(SCRIPT)}}}
steps:
  - {{id: one, name: {quoted(BREAK)}, set: {{x: "'1'"}}}}
  - {{id: two, name: {quoted(SCRIPT)}, set: {{y: "'1'"}}}}
  - {{id: three, name: {quoted("%%{init: {'securityLevel':'loose'}}%% " + TURNED)}, set: {{z: "'1'"}}}}
  - id: sure
    approve: "{{{{ inputs.what }}}}"
    by: [role:soc_lead]
    within: 1h
  - {{id: end, stop: {{status: failed, message: {quoted(SCRIPT + BREAK)}}}}}
outputs: {{given: "{{{{ inputs.what }}}}"}}
"""
}


@pytest.fixture(scope="module")
def run(desk: Desk, served: Served) -> str:
    """A run whose every text is hostile, and that waits."""
    with desk.client(served, "responder") as mei:
        begun = mei.post("/playbooks/hostile/run", json={"inputs": {"what": SCRIPT + TEMPLATE + TURNED}}).json()
        wait_until(lambda: mei.get("/waiting").json()["questions"])
        found: str = begun["run"]
        return found


def is_untouched(visitor: Visitor) -> None:
    assert visitor.page.evaluate("window.hit") is None
    assert visitor.page.locator("main script, main img, main a[href^='javascript']").count() == 0


@pytest.mark.parametrize(
    "path", ["/playbooks/hostile", "/playbooks?search=<script>window.hit=1</script>", "/playbooks"]
)
def test_a_playbook_is_read_and_nothing_of_it_is_run(visit: Visit, path: str) -> None:
    """Its names stand there as they are written."""
    mei = visit("responder")

    mei.open(path)
    mei.page.wait_for_timeout(800)

    is_untouched(mei)
    if path == "/playbooks/hostile":
        expect(mei.page.locator("h1")).to_have_text(SCRIPT)
        expect(mei.page.locator(".drawing svg")).to_contain_text("click n1")
        mei.shot("hostile-playbook", full=True)


def test_a_question_shows_what_it_asks_as_text(visit: Visit, run: str) -> None:
    """Nobody who decides is shown anything but the text, and signs that turn it around are written out."""
    ken = visit("approver")
    ken.open("/")
    expect(ken.page.locator("article h3")).to_contain_text(SCRIPT)
    expect(ken.page.locator("article h3")).to_contain_text("${7 * 7} `window.hit = 1`")
    expect(ken.page.locator("article h3")).to_contain_text("\\u202ecod.exe")
    is_untouched(ken)

    ken.open(f"/runs/{run}")
    expect(ken.page.locator(".drawing svg")).to_contain_text("click n1")
    ken.page.locator(".decide input[name=note]").fill(SCRIPT)
    ken.press("Approve")
    expect(ken.page.locator(".mark.large")).to_contain_text("Failed")
    ken.page.locator("details.history summary").click()
    expect(ken.page.locator(".timeline")).to_contain_text(SCRIPT)
    ken.shot("hostile-run", full=True)

    is_untouched(ken)


@pytest.mark.parametrize("path", ["/runs/<script>window.hit=1<%2Fscript>", "/nowhere/<img src=x onerror=window.hit=1>"])
def test_an_address_is_shown_as_text(visit: Visit, path: str) -> None:
    """A link that somebody sends can't bring a script along."""
    mei = visit("responder")

    mei.open(path, 404)

    is_untouched(mei)
    mei.trouble.clear()  # a page that there is not is an error to a browser
