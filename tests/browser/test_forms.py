"""Forms made from declared inputs: what each type looks like, what is said of wrong values, and keys alone."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from chromium import Visitor
from desk import Desk, Served, wait_until
from playwright.sync_api import Page, expect

Visit = Callable[..., Visitor]
PLAYBOOKS = {
    "every-type": """\
id: every-type
name: One input of every kind
inputs:
  host: {type: hostname, description: A host's name}
  names: {type: list, items: string, default: [], description: Some names}
  count: {type: integer, minimum: 1, maximum: 5, default: 2}
  loud: {type: boolean, default: true}
  level: {type: string, enum: [low, high], default: low}
  code: {type: string, pattern: "[A-Z]{3}-[0-9]+", required: false}
steps:
  - {id: keep, set: {given: inputs.names}}
outputs:
  names: "{{ inputs.names }}"
  count: "{{ inputs.count }}"
  loud: "{{ inputs.loud }}"
  level: "{{ inputs.level }}"
""",
    "ask-somebody": """\
id: ask-somebody
name: Ask somebody
steps:
  - id: note
    ask: What did you see?
    by: [role:soc]
    within: 1h
    form:
      seen: {type: string, min_length: 3, description: In one line}
      bad: {type: boolean, default: false}
outputs: {seen: "{{ steps.note.seen }}", bad: "{{ steps.note.bad }}"}
""",
}


def error_at(page: Page, name: str) -> str:
    """Return what the field's own description says is wrong, as a screen reader finds it."""
    field = page.locator(f"form [name={name}]")
    expect(field).to_have_attribute("aria-invalid", "true")
    described = (field.get_attribute("aria-describedby") or "").split()
    return " ".join(page.locator(f"[id='{each}']").inner_text() for each in described)


def runs(desk: Desk, served: Served) -> int:
    with desk.client(served, "responder") as client:
        return len(client.get("/runs", params={"playbook": "every-type", "limit": 500}).json()["items"])


def outputs(desk: Desk, served: Served, visitor: Visitor) -> dict[str, object]:
    visitor.page.wait_for_url("**/runs/*")
    run = visitor.page.url.rpartition("/")[2]
    with desk.client(served, "responder") as client:
        found: dict[str, object] = wait_until(lambda: client.get(f"/runs/{run}").json()["outputs"])
        return found


def test_wrong_input_is_said_at_its_field_and_starts_nothing(visit: Visit, desk: Desk, served: Served) -> None:
    """Each problem stands where it is mended, the first has the focus, and what was right stays."""
    mei = visit("responder")
    before = runs(desk, served)
    mei.open("/playbooks/every-type")
    page = mei.page

    page.locator("[name=host]").fill("not a host!")
    page.locator("[name=count]").fill("9")
    page.locator("[name=code]").fill("xyz")
    page.locator("[name=names]").fill("keep\nthese")
    mei.press("Plan (changes nothing)")

    assert "not a host name" in error_at(page, "host")
    assert "5" in error_at(page, "count")
    assert "[A-Z]{3}" in error_at(page, "code")
    expect(page.locator("[name=host]")).to_be_focused()
    expect(page.locator("[name=names]")).to_have_value("keep\nthese")
    mei.shot("wrong-input-at-its-field", full=True)
    assert runs(desk, served) == before
    page.locator("[name=host]").fill("fs-01")
    page.locator("[name=count]").fill("3")
    page.locator("[name=code]").fill("ABC-1")
    mei.press("Plan (changes nothing)")
    page.wait_for_url("**/plans/*")


def test_without_a_plan_running_takes_a_second_yes(visit: Visit, desk: Desk, served: Served) -> None:
    """Somebody in a hurry is told that nobody has seen what this will do, and has to say so."""
    mei = visit("responder")
    mei.open("/playbooks/every-type")
    mei.page.locator("[name=host]").fill("fs-02")
    mei.page.locator("[name=names]").fill("a, b\nc")
    mei.page.locator("[name=loud]").uncheck()
    mei.page.locator("[name=level]").select_option("high")
    mei.press("Run …")

    expect(mei.dialog).to_contain_text("Nobody has planned this with these inputs")
    mei.agree("Run it")
    expect(mei.dialog).to_be_visible()  # the tick is missing
    mei.shot("not-planned")
    mei.dialog.locator("input[name=sure]").check()
    mei.agree("Run it")

    assert outputs(desk, served, mei) == {"names": ["a, b", "c"], "count": 2, "loud": False, "level": "high"}


def test_after_a_plan_of_the_same_inputs_running_is_one_yes(visit: Visit) -> None:
    """Whoever has seen the plan is shown it again, and not warned; other inputs are another thing."""
    mei = visit("responder")
    mei.open("/playbooks/every-type")
    mei.page.locator("[name=host]").fill("fs-03")
    mei.press("Plan (changes nothing)")
    mei.page.wait_for_url("**/plans/*")
    expect(mei.page.locator(".headline")).to_be_visible()
    mei.page.get_by_role("link", name="Change the inputs").click()
    mei.page.wait_for_url("**/playbooks/every-type?again=*")
    expect(mei.page.locator("[name=host]")).to_have_value("fs-03")

    mei.press("Run …")
    expect(mei.dialog).to_contain_text("Planned")
    assert mei.dialog.locator("input[name=sure]").count() == 0
    mei.page.keyboard.press("Escape")
    expect(mei.dialog).to_have_count(0)
    mei.page.locator("[name=host]").fill("fs-04")
    mei.press("Run …")

    expect(mei.dialog.locator("input[name=sure]")).to_be_visible()


def test_a_double_click_begins_one_run(visit: Visit, desk: Desk, served: Served) -> None:
    """Impatience is no second run."""
    mei = visit("responder")
    before = runs(desk, served)
    mei.open("/playbooks/every-type")
    mei.page.locator("[name=host]").fill("fs-05")

    mei.page.get_by_role("button", name="Plan (changes nothing)").dblclick()

    mei.page.wait_for_url("**/plans/*")
    expect(mei.page.locator(".headline")).to_be_visible()
    assert runs(desk, served) == before + 1


def test_what_is_filled_in_stays_while_the_page_changes(visit: Visit, desk: Desk, served: Served) -> None:
    """A page that draws something anew sets no field back to what it began with."""
    mei = visit("responder")
    mei.open("/playbooks/every-type")
    count = mei.page.locator("[name=count]")
    count.fill("4")
    mei.page.locator("[name=loud]").uncheck()
    mei.page.locator("[name=level]").select_option("high")

    with desk.client(served, "admin") as admin:
        admin.post("/stops", json={"stop": "playbook:nothing", "reason": "a change of the page"})
        expect(mei.page.locator(".stops")).to_be_visible()

        expect(count).to_have_value("4")
        expect(mei.page.locator("[name=loud]")).not_to_be_checked()
        expect(mei.page.locator("[name=level]")).to_have_value("high")
        with desk.client(served, "approver") as ken:
            for each in (admin, ken):
                each.post("/stops/playbook:nothing/release", json={"reason": "over"})


def test_a_form_is_filled_in_where_it_is_asked(visit: Visit, desk: Desk, served: Served) -> None:
    """Who is asked answers on the first page; what does not fit is said at the field."""
    with desk.client(served, "responder") as client:
        run = client.post("/playbooks/ask-somebody/run", json={"inputs": {}}).json()["run"]
        mei = visit("responder")
        mei.open("/")
        card = mei.page.locator("article", has_text="What did you see?")
        card.locator("[name=seen]").fill("x")
        card.get_by_role("button", name="Send the answers").click()
        assert "3" in error_at(mei.page, "seen")
        card.locator("[name=seen]").fill("somebody in the server room")
        card.locator("[name=bad]").check()
        mei.shot("a-form-to-fill-in")
        card.get_by_role("button", name="Send the answers").click()

        expect(card).to_have_count(0)
        found = wait_until(lambda: client.get(f"/runs/{run}").json()["outputs"])
        assert found == {"seen": "somebody in the server room", "bad": True}


def test_keys_alone_lead_from_the_first_page_to_a_run(visit: Visit, desk: Desk, served: Served) -> None:
    """Nobody needs a mouse: skip link, navigation, form, dialog; the focus is seen and never lost."""
    mei = visit("responder")
    mei.open("/")
    page, keys = mei.page, mei.page.keyboard

    keys.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    keys.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    go_to(page, "nav.places a[href='/playbooks']", back=True)
    keys.press("Enter")
    page.wait_for_url("**/playbooks")
    expect(page.locator("main h1")).to_be_visible()
    go_to(page, "a[href='/playbooks/every-type']")
    keys.press("Enter")
    page.wait_for_url("**/playbooks/every-type")
    expect(page.locator("main h1")).to_be_visible()
    go_to(page, "[name=host]")
    keys.type("fs-06")
    keys.press("Tab")
    keys.type("one")
    go_to(page, "[name=loud]")
    keys.press("Space")
    go_to(page, "button[value=run]")
    mei.shot("focus-is-seen")
    keys.press("Enter")
    expect(mei.dialog).to_be_visible()
    go_to(page, "dialog input[name=sure]")
    keys.press("Space")
    go_to(page, "dialog button[value=yes]")
    keys.press("Enter")

    assert outputs(desk, served, mei) == {"names": ["one"], "count": 2, "loud": False, "level": "low"}


def go_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Press Tab until something has the focus, and see that each stop on the way shows it."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate("(found) => document.activeElement.matches(found)", selector):
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert float(width.removesuffix("px")) >= 2
            return
    raise AssertionError(f"no key leads to {selector}")


def test_what_a_form_is_sent_is_read_anew_by_the_server(visit: Visit, desk: Desk, served: Served) -> None:
    """A page that somebody has changed in their browser can't send what the playbook does not take."""
    mei = visit("responder")
    mei.open("/playbooks/every-type")
    mei.page.locator("[name=host]").fill("fs-07")
    mei.page.evaluate("document.querySelector('[name=level]').innerHTML = '<option value=evil selected>evil</option>'")

    mei.press("Plan (changes nothing)")

    assert "low" in error_at(mei.page, "level")
    assert httpx.get(f"{served.url}/health").status_code == 200
