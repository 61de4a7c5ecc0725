"""The console beside the API: neither gets into the other's way, and looking at pages leaves nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from chromium import Visitor
from desk import Desk, Served
from playwright.sync_api import expect

Visit = Callable[..., Visitor]
PATHS = ("/", "/playbooks", "/playbooks/contain-host", "/runs", "/holds", "/stop", "/triggers", "/audit", "/connectors")


@pytest.fixture
def session(desk: Desk, served: Served) -> Iterator[httpx.Client]:
    """A browser's cookie without a browser."""
    with httpx.Client(base_url=served.url) as client:
        client.post("/login", data={"token": desk.tokens["responder"]})
        yield client


def test_the_api_answers_as_if_there_were_no_pages(desk: Desk, served: Served) -> None:
    """What there is not, and a method that does not fit, are said in the API's form."""
    with desk.client(served, "responder") as api:
        missing, wrong = api.get("/nothing-here"), api.delete("/runs")
        described = api.get("/openapi.json").json()

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "wrong_method")
    assert [
        path for path in described["paths"] if not path.startswith(("/api/", "/health", "/ready", "/metrics"))
    ] == []


@pytest.mark.parametrize(
    "path", [*PATHS, "/runs/x", "/docs", "/openapi.json", "/_nicegui/x", "/_nicegui_ws/socket.io/"]
)
def test_nobody_sees_a_page_without_a_session(served: Served, path: str) -> None:
    """Everybody else is sent to the door, with the way back."""
    answer = httpx.get(f"{served.url}{path}")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")


def test_nobody_opens_the_socket_without_a_session(served: Served) -> None:
    """The pages' socket is behind the same door, by either of its ways."""
    query = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"

    assert httpx.get(served.url + query).status_code == 303
    assert httpx.post(served.url + query, content="40").status_code == 403


def test_pages_may_talk_to_this_server_alone(session: httpx.Client) -> None:
    """The browser is told so, and no page names another place."""
    answer = session.get("/playbooks/contain-host")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    for word in ("https://", "http://cdn", "//unpkg", "//cdn"):
        assert word not in answer.text.replace("https://github.com", "")


def test_files_are_kept_by_browsers_and_change_their_name(session: httpx.Client) -> None:
    """A night's hundredth page loads nothing anew, and a new version is seen at once."""
    page = session.get("/").text
    address = next(part for part in page.split('"') if part.startswith("/static/console.css?"))

    answer = session.get(address)

    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(address.partition("?")[2]) == 16


def test_opening_pages_records_and_stores_nothing(visit: Visit, desk: Desk, served: Served) -> None:
    """Looking is no act: the journal stays as it is, and no file of a visitor's own appears."""
    mei = visit("responder")
    with desk.client(served, "admin") as admin:
        before = admin.get("/audit").json()["records"]

        for path in PATHS:
            mei.open(path)
        mei.page.wait_for_timeout(1200)

        assert admin.get("/audit").json()["records"] == before
    assert not (Path.cwd() / ".nicegui").exists()
    assert not list(desk.folder.rglob(".nicegui"))
    assert [each["name"] for each in mei.page.context.cookies()] == ["hikeshi_session"]


def test_the_language_is_chosen_once(visit: Visit) -> None:
    """The switch holds for every page, and for what assistive technology reads it as."""
    mei = visit("responder")
    assert mei.page.locator("html").get_attribute("lang") == "en-US"

    mei.page.get_by_role("button", name="日本語").click()
    expect(mei.page.locator("main h1")).to_have_text("対応待ち")
    mei.open("/holds")

    expect(mei.page.locator("main h1")).to_have_text("封じ込め台帳")
    assert mei.page.locator("html").get_attribute("lang") == "ja"


def test_times_are_the_readers_own(visit: Visit, desk: Desk, served: Served) -> None:
    """A time is shown in the zone of who reads it, and says the exact moment."""
    with desk.client(served, "responder") as api:
        api.post("/playbooks/isolate-host/plan", json={"inputs": {"hostname": "nowhere"}})
        started = api.get("/runs").json()["items"][0]["started_at"]
    tokyo, lisbon = visit("responder", timezone_id="Asia/Tokyo"), visit("responder", timezone_id="Europe/Lisbon")

    shown = []
    for who in (tokyo, lisbon):
        who.open("/runs")
        shown.append(who.page.locator("tbody hk-time time").first)

    assert shown[0].inner_text() != shown[1].inner_text()
    assert shown[0].get_attribute("datetime") == shown[1].get_attribute("datetime")
    assert (shown[0].get_attribute("datetime") or "")[:19] == started[:19]


def test_a_lost_connection_is_said_at_once(visit: Visit, desk: Desk) -> None:
    """Who looks at an old picture is told that it is one."""
    with desk.served("--no-triggers") as other:
        mei = visit("responder")
        lost = Visitor.come_in(mei.page.context.browser, other.url, desk.tokens["responder"])  # type: ignore[arg-type]
        lost.open("/runs")
        other.stop(signal.SIGKILL)

        expect(lost.page.locator("#popup")).to_be_visible(timeout=10_000)
        expect(lost.page.locator("#popup")).to_have_attribute("role", "alert")
        lost.shot("connection-lost")
        lost.page.context.close()
