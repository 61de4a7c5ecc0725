"""A real Chromium for the tests, and people who look at the console with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

__all__ = ["DESKTOP", "PHONE", "Visitor", "missing", "running_browser"]

DESKTOP: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PACKAGES = ("chromium", "fonts-noto-cjk")
_SHOTS = Path(__file__).parents[2] / ".ci" / "artefacts" / "screenshots"


@cache
def missing() -> str:
    """Return why there is no browser, or nothing. On a machine of ours it is installed."""
    if _path() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", *_PACKAGES]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", *command], capture_output=True, timeout=600, check=False, env=environment)
    return "" if _path() else f"no Chromium: apt-get install {' '.join(_PACKAGES)}"


def _path() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a browser for the time of the block."""
    with sync_playwright() as playwright:
        # Its sandbox does not start as root; what it opens here is ours alone.
        browser = playwright.chromium.launch(executable_path=_path(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """One person's browser. `trouble` collects what its console calls an error, and requests that go elsewhere."""

    page: Page
    url: str
    trouble: list[str] = field(default_factory=list)

    @classmethod
    def come_in(cls, browser: Browser, url: str, token: str, **options: Any) -> Visitor:
        """Open a browser of one's own, and sign in."""
        settings = {"viewport": DESKTOP, "color_scheme": "dark", "locale": "en-GB", "timezone_id": "Asia/Tokyo"}
        context = browser.new_context(**{**settings, **options})
        visitor = cls(context.new_page(), url)
        visitor._watch()
        visitor.page.goto(f"{url}/login")
        visitor.page.fill("#token", token)
        visitor.page.click("button[type=submit]")
        expect(visitor.page.locator("main h1")).to_be_visible()
        return visitor

    def _watch(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.trouble.append(f"script: {error}"))
        self.page.on(
            "console", lambda said: self.trouble.append(f"console: {said.text}") if said.type == "error" else None
        )
        self.page.on(
            "request", lambda sent: None if self._is_here(sent.url) else self.trouble.append(f"elsewhere: {sent.url}")
        )

    def _is_here(self, url: str) -> bool:
        return url.startswith((self.url, self.url.replace("http", "ws", 1), "data:", "blob:"))

    def open(self, path: str, status: int = 200) -> None:
        """Open a page, and wait until it is drawn and speaks with the server."""
        answer = self.page.goto(f"{self.url}{path}")
        assert answer is not None
        assert answer.status == status, answer.text()[:300]
        expect(self.page.locator("main h1")).to_be_visible()
        self.page.wait_for_function("window.did_handshake === true")

    def press(self, name: str, within: str = "main") -> None:
        """Press a button by its name."""
        self.page.locator(within).get_by_role("button", name=name, exact=True).first.click()

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.locator("dialog[open]")

    def agree(self, name: str, reason: str | None = None) -> None:
        """Say yes in the open dialog."""
        expect(self.dialog).to_be_visible()
        if reason is not None:
            self.dialog.locator("textarea[name=reason]").fill(reason)
        self.dialog.get_by_role("button", name=name, exact=True).click()

    def shot(self, name: str, *, full: bool = False) -> None:
        """Keep a picture of what is on the screen."""
        folder = Path(os.environ.get("HIKESHI_SCREENSHOTS") or _SHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(300)
        self.page.screenshot(path=folder / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png", full_page=full)

    def leave(self) -> None:
        """Close the browser. Fails if anything went wrong in it."""
        self.page.context.close()
        assert self.trouble == []
