"""The timeline of a run: who did what, and when. Reading it is recorded, so it is read when somebody opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hikeshi.console.elements import Tag, moment, tag
from hikeshi.console.frame import Page
from hikeshi.console.words import has_words

if TYPE_CHECKING:
    from hikeshi.report import TimelineEntry

__all__ = ["History"]

_MOST = 500
_WEIGHTS = {"good": "good", "bad": "bad", "warning": "warn", "normal": "", "detail": "dim"}


class History:
    """The timeline of one run, below everything else."""

    def __init__(self, page: Page, run: str) -> None:
        self._page = page
        self._run = run
        self._is_read = False
        self._seen = 0
        say = page.say
        with tag("section", "", "card"), tag("details", "", "history") as box:
            tag("summary", say("history.title"))
            tag("p", say("history.recorded"), "dim")
            with tag("label", "", "tick"):
                details = tag("input", type="checkbox", name="details")
                tag("span", say("history.details"))
            self._list = tag("ol", "", "timeline brief")
        box.on("toggle", self._opened, js_handler="(e) => e.target.open && emit()")
        details.on(
            "change",
            js_handler="(e) => hk.brief(e.target)",
        )

    async def _opened(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        done, _ = await self._page.do(lambda who: self._page.visitor.service.records_read(who, "console", self._run))
        if not done:
            self._is_read = False
            return
        with self._list:
            self._page.live(self._draw)

    def _draw(self) -> None:
        from hikeshi.report import timeline

        app = self._page.visitor.app
        records = app.records(self._run, after=self._seen) if self._seen else app.records(self._run)
        with self._list:
            for entry in timeline(records):
                self._seen = entry.seq
                if entry.seq <= _MOST:
                    self._entry(entry)
                elif entry.seq == _MOST + 1:
                    tag("li", self._page.say("history.more", run=self._run), "warn")

    def _entry(self, entry: TimelineEntry) -> Tag:
        say: Any = self._page.say
        with tag("li", "", f"entry {entry.weight}") as line:
            moment(entry.at, "clock")
            with tag("div"):
                with tag("p", "", _WEIGHTS.get(entry.weight, "")):
                    if say.language != "en" and has_words(f"event.{entry.kind}"):
                        tag("strong", say(f"event.{entry.kind}") + " ")
                    tag("span", entry.text)
                if entry.path:
                    tag("p", entry.path, "code dim small")
        return line
