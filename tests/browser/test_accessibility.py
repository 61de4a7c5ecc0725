"""Every page as axe-core judges it, and as fingers and eyes need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chromium import PHONE, Visitor
from desk import Desk, Served, wait_until
from playwright.sync_api import expect

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

Visit = Callable[..., Visitor]
PLAYBOOKS = {
    "ask-somebody": """\
id: ask-somebody
name: Ask somebody
steps:
  - {id: note, ask: What did you see?, by: [role:soc_lead], within: 1h, form: {seen: {type: string}}}
"""
}
LOOKS = [("dark", None), ("light", None), ("dark", PHONE), ("light", PHONE)]


@pytest.fixture(scope="module")
def paths(desk: Desk, served: Served, request: pytest.FixtureRequest) -> list[str]:
    """Addresses of every page, with something on it."""
    names = [each.name for each in desk.simulation.estate.hosts.values()]
    one, other = sorted(name for name in names if names.count(name) == 1 and not name.startswith("dc-"))[:2]
    with desk.client(served, "responder") as mei, desk.client(served, "approver") as ken:
        mei.post("/playbooks/ask-somebody/run", json={"inputs": {}})
        inputs = {"hostname": one, "indicators": ["203.0.113.9"]}
        plan = mei.post("/playbooks/contain-host/plan", json={"inputs": inputs}).json()["run"]
        done = mei.post("/playbooks/contain-host/run", json={"inputs": inputs}).json()["run"]
        asked = wait_until(lambda: [each for each in ken.get("/waiting").json()["questions"] if each["run"] == done])[0]
        ken.post(f"/runs/{done}/approve", json={"path": asked["path"], "digest": asked["digest"]}).raise_for_status()
        wait_until(lambda: mei.get(f"/runs/{done}").json()["status"] == "succeeded")
        waits = mei.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": other}}).json()["run"]
        wait_until(lambda: [each for each in ken.get("/waiting").json()["questions"] if each["run"] == waits])
        ken.post("/stops", json={"stop": "connector:slack", "reason": "it repeats itself"})
    runs = [f"/plans/{plan}", f"/runs/{done}", f"/runs/{waits}"]
    pages = ["/", "/playbooks", "/playbooks/contain-host", "/runs", "/holds", "/stop", "/triggers", "/audit"]
    return [*pages, "/connectors", *runs]


def serious(page: Any) -> list[str]:
    """Return what axe-core finds that is serious or critical, with where."""
    found = axe.Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html'][:160]}" for each in grave for node in each["nodes"]]


@pytest.mark.parametrize(("scheme", "viewport"), LOOKS)
def test_no_page_has_a_serious_barrier(visit: Visit, paths: list[str], scheme: str, viewport: Any) -> None:
    """Contrast, names, roles, landmarks and order hold on every page, dark and light, wide and narrow."""
    options = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    ken = visit("approver", **options)

    found = {}
    for path in paths:
        ken.open(path)
        ken.page.wait_for_timeout(400)
        found[path] = serious(ken.page)

    assert {path: problems for path, problems in found.items() if problems} == {}


def test_a_dialog_has_no_serious_barrier(visit: Visit, paths: list[str]) -> None:
    """What asks once more can be read, reached and left by everybody."""
    mei = visit("responder")
    mei.open("/holds")
    mei.press("Release …")
    expect(mei.dialog).to_be_visible()

    assert serious(mei.page) == []
    mei.page.keyboard.press("Escape")
    expect(mei.dialog).to_have_count(0)
    expect(mei.page.get_by_role("button", name="Release …").first).to_be_focused()


def test_the_page_to_sign_in_at_has_no_serious_barrier(visit: Visit, served: Served) -> None:
    """Who can't come in can't help."""
    mei = visit("responder")
    page = mei.page.context.browser.new_page()  # type: ignore[union-attr]
    page.goto(f"{served.url}/login")

    assert serious(page) == []
    page.close()


def test_on_a_phone_nothing_is_too_small_or_too_wide(visit: Visit, paths: list[str]) -> None:
    """A thumb hits every button, and no page has to be pushed sideways."""
    ken = visit("approver", viewport=PHONE, is_mobile=True, has_touch=True)
    small: dict[str, list[str]] = {}
    wide = []

    for path in paths:
        ken.open(path)
        ken.page.wait_for_timeout(300)
        small[path] = ken.page.evaluate(
            """() => [...document.querySelectorAll(
                "button, summary, select, nav a, .as-button, input:not([type=checkbox])")]
            .filter((each) => each.offsetParent && (each.offsetHeight < 43.5 || each.offsetWidth < 43.5))
            .map((each) => each.outerHTML.slice(0, 120))"""
        )
        if ken.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)

    assert {path: each for path, each in small.items() if each} == {}
    assert wide == []


def test_a_page_has_one_heading_one_main_and_a_name(visit: Visit, paths: list[str]) -> None:
    """Whoever jumps by landmarks and headings finds each page built the same."""
    mei = visit("responder")

    for path in paths:
        mei.open(path)
        page = mei.page
        counts = [page.locator(each).count() for each in ("main", "body header", "h1", "nav.places")]
        assert counts == [1, 1, 1, 1], path
        assert page.title().endswith("Hikeshi 火消し")
        assert page.title() != "Hikeshi 火消し", path
