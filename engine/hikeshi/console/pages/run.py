"""One run, live: how it stands, what it waits for, what it has done, and everything that somebody may say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hikeshi.console.chart import run_chart
from hikeshi.console.drawing import Drawing, drawing
from hikeshi.console.elements import link, moment, tag
from hikeshi.console.frame import Page
from hikeshi.console.history import History
from hikeshi.console.marks import mark
from hikeshi.console.question import depends_on, show_question, show_stuck
from hikeshi.console.run_acts import buttons_of
from hikeshi.console.run_names import link_playbook, name_of
from hikeshi.console.run_result import show_result
from hikeshi.console.run_steps import Steps
from hikeshi.console.shelf import Shelf
from hikeshi.documents.waiting import stuck_document

if TYPE_CHECKING:
    from hikeshi.app.following import Following

__all__ = ["run_page"]


async def run_page(page: Page, run: str) -> None:
    """Build the page. Raises UnknownRun."""
    following = page.visitor.service.following(page.visitor.who(), run)
    _Run(page, run, following)


class _Run:
    """The page of one run."""

    def __init__(self, page: Page, run: str, following: Following) -> None:
        self._page = page
        self._say = page.say
        self._run = run
        self._following = following
        self._seen: object = None
        self._chart = ""
        self._drawing: Drawing | None = None
        state = following.state
        page.title(self._say("run.title", playbook=name_of(state)))
        self._head = tag("div", "", "tags run-head")
        self._status = tag("div", "", "", role="status")
        self._buttons = Shelf(tag("div", "", "buttons acts"), "div", "buttons")
        self._result = Shelf(tag("div"), "section", "card headline")
        self._waits = Shelf(tag("div", "", "cards"))
        with tag("section", "", "card") as section, tag("details", "", "", open=True):
            heading = tag("summary", self._say("run.picture"))
            section.put(aria_labelledby=f"c{heading.id}")
            self._picture = tag("div")
        with tag("section", "", "card") as section:
            section.put(aria_labelledby=f"c{tag('h2', self._say('run.steps')).id}")
            self._steps = Steps(page)
        History(page, run)
        page.live(self._draw)

    def _draw(self) -> None:
        for _ in self._following.news():
            pass
        from hikeshi.report import waits_of

        state, page = self._following.state, self._page
        self._draw_head()
        self._buttons.put([("acts", self._acts_depend_on(), lambda: buttons_of(page, state))])
        over = state.finished is not None
        self._result.put([("end", state.seq, lambda: show_result(page, state))] if over or state.unknown else [])
        self._draw_waits()
        waiting = frozenset(wait.path for wait in waits_of(state) if wait.kind in ("approval", "form"))
        self._steps.draw(state, waiting)
        self._draw_chart(run_chart(state, waiting))

    def _acts_depend_on(self) -> object:
        state = self._following.state
        return (state.finished, state.paused, bool(state.unknown), self._page.visitor.who().permissions)

    def _draw_head(self) -> None:
        state, say, page = self._following.state, self._say, self._page
        driver = self._following.driver()
        status = (
            "interrupted"
            if driver == "gone"
            else "paused"
            if state.paused and not state.finished
            else state.status.value
        )
        depends = (status, state.joined, state.now if state.finished else None)
        if depends == self._seen:
            return
        self._seen = depends
        self._head.clear()
        self._status.clear()
        with self._status:
            mark(say, str(status)).classes("large")
        with self._head:
            link_playbook(page.visitor.app, state.program.main)
            tag("span", say("run.by", who=page.visitor.name_of(state.actor)))
            moment(state.started_at, "long")
            tag("span", state.run, "code dim")
            _elsewhere(say, state)

    def _draw_waits(self) -> None:
        page, run = self._page, self._run
        app = page.visitor.app
        cards: list[Any] = []
        for each in app.questions(run):
            draw = _drawn(show_question, page, each)
            cards.append((("question", each["path"]), depends_on(page, each), draw))
        for row in app.stuck():
            if row["run"] == run:
                stuck = stuck_document(app, row)
                cards.append((("stuck", row["path"]), stuck["what"], _drawn(show_stuck, page, stuck)))
        self._waits.put(cards)

    def _draw_chart(self, text: str | None) -> None:
        if text == self._chart:
            return
        if text is None:
            if self._drawing is None and self._chart == "":
                with self._picture:
                    tag("p", self._say("run.too_large"), "dim")
            self._chart = ""
        elif self._drawing is None:
            with self._picture:
                self._drawing = drawing(text, self._say("run.picture_of", playbook=name_of(self._following.state)))
            self._chart = text
        else:
            self._drawing.set_content(text)
            self._chart = text


def _drawn(draw: Any, page: Page, what: Any) -> Any:
    return lambda: draw(page, what, with_run=False)


def _elsewhere(say: Any, state: Any) -> None:
    """Link the runs that this one has to do with."""
    for key, run in (("retry_of", state.retry_of), ("joined", state.joined)):
        if run is not None:
            with tag("span"):
                tag("span", say(f"run.{key}"))
                link(run, f"/runs/{run}", "code")
    if state.applies is not None:
        with tag("span"):
            tag("span", say("run.applies"))
            link(state.applies, f"/plans/{state.applies}", "code")
