"""One playbook: what it does, its diagram, and the form that plans or runs it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.drawing import drawing
from hikeshi.console.elements import Fields, fact, link, moment, submit, tag
from hikeshi.console.fields import InputFields
from hikeshi.console.frame import Page
from hikeshi.console.pages.plan import summary
from hikeshi.documents.playbooks import playbook_document

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.playbook.model import Playbook

__all__ = ["planned_before", "playbook_page"]

_MOST_STEPS = 200
_LOOK_BACK = 30  # so many runs of the playbook are searched for a plan of the same inputs


async def playbook_page(page: Page, playbook: str) -> None:
    """Build the page. Raises UnknownPlaybook, NotLoadable."""
    from hikeshi.playbook.graph import mermaid

    app, say = page.visitor.app, page.say
    found = app.library.load(playbook)
    page.title(found.name, about=found.description)
    document = playbook_document(app, found)
    _facts(page, document)
    with tag("div", "", "columns"):
        with tag("section", "", "card run-form") as form:
            heading = tag("h2", say("playbook.start"))
            form.put(aria_labelledby=f"c{heading.id}")
            _Form(page, found)
        with tag("section", "", "card"):
            tag("h2", say("playbook.steps", count=len(document["steps"])))
            with tag("ol", "", "steps"):
                for step in document["steps"][:_MOST_STEPS]:
                    with tag("li"):
                        tag("strong", step["name"])
                        tag("span", f" {step['does']}", "code dim")
            tag("h2", say("playbook.actions"))
            with tag("ul", "", "plain"):
                for each in document["actions"]:
                    tag("li", each, "code")
    with tag("section", "", "card"):
        tag("h2", say("playbook.diagram"))
        drawing(mermaid(found), say("playbook.diagram_of", name=found.name))


def _facts(page: Page, document: Mapping[str, Any]) -> None:
    say = page.say
    with tag("p", "", "tags"):
        tag("span", document["id"], "code")
        if document["phase"]:
            tag("span", say(f"phase.{document['phase']}"), "tag")
        if document["severity"]:
            tag("span", say(f"severity.{document['severity']}"), f"tag severity-{document['severity']}")
        for each in document["attack"]:
            tag("span", each, "tag code")
        link(say("playbook.its_runs"), f"/runs?playbook={document['id']}")


class _Form:
    """The form, and what its two buttons do."""

    def __init__(self, page: Page, playbook: Playbook) -> None:
        self._page = page
        self._say = page.say
        self._playbook = playbook
        self._opening = uuid.uuid4().hex
        with tag("form", "", "inputs", novalidate=True) as form:
            self._fields = InputFields(page, playbook.inputs, self._given())
            if not playbook.inputs:
                tag("p", self._say("playbook.no_inputs"), "dim")
            with tag("div", "", "buttons"):
                if page.visitor.may(Permission.RUN):
                    tag("button", self._say("playbook.run"), "danger", type="submit", name="pressed", value="run")
                if page.visitor.may(Permission.PLAN):
                    tag("button", self._say("playbook.plan"), "primary", type="submit", name="pressed", value="plan")
                else:
                    tag("p", self._say("playbook.no_role"), "why-not")
        submit(form, self._sent)

    def _given(self) -> Mapping[str, Any] | None:
        """Return the inputs of the run that is to be done once more, if one is named."""
        again = self._page.visitor.query.get("again")
        if again is None:
            return None
        app = self._page.visitor.app
        app.check_run(again)
        state = app.fold(again)
        is_same = state.root is not None and state.program.main == self._playbook.id
        return app.load(state.root.inputs) if is_same and state.root is not None else None

    async def _sent(self, given: Fields) -> None:
        from hikeshi.playbook.inputs import WrongInputs, accept_inputs, inputs_from_text

        texts = self._fields.texts(given)
        try:
            accepted = accept_inputs(self._playbook, inputs_from_text(self._playbook, texts))
        except WrongInputs as exc:
            self._fields.show(exc.problems)
            return
        self._fields.forget()
        if given.get("pressed") == "run":
            self._ask(accepted)
        else:
            await self._begin(accepted, live=False)

    def _ask(self, accepted: Mapping[str, Any]) -> None:
        """Ask once more, and more plainly if nobody has seen a plan of this."""
        say, page = self._say, self._page

        async def run(_: Fields) -> None:
            await self._begin(accepted, live=True)

        from hikeshi.report import plan_report

        planned = planned_before(page, self._playbook.id, accepted)
        with asking(
            page, say("playbook.run_title", name=self._playbook.name), say("playbook.run_now"), run, danger=True
        ) as ask:
            show_inputs(accepted)
            if planned is None:
                tag("p", say("playbook.not_planned"), "warn", role="alert")
                ask.sure(say("playbook.sure"))
                return
            with tag("p"):
                tag("span", say("playbook.was_planned"))
                moment(planned.now)
                tag("span", summary(page, plan_report(planned)))
                link(say("playbook.see_plan"), f"/plans/{planned.run}")

    async def _begin(self, accepted: Mapping[str, Any], *, live: bool) -> None:
        # However often the button is pressed, one run of these inputs begins from this opening of the page.
        once = json.dumps(["console", self._opening, live, accepted], sort_keys=True, default=str)
        done, state = await self._page.do(
            lambda who: self._page.visitor.service.start(who, self._playbook.id, accepted, live=live, once=once)
        )
        if done and state is not None:
            self._page.go(f"/runs/{state.run}" if live else f"/plans/{state.run}")


def show_inputs(accepted: Mapping[str, Any]) -> None:
    """Show the inputs of a run, as they were understood."""
    with tag("dl", "", "facts"):
        for name, value in accepted.items():
            if value is not None:
                fact(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:500])


def planned_before(page: Page, playbook: str, accepted: Mapping[str, Any]) -> RunState | None:
    """Return the newest good plan of these inputs that whoever looks has made, or None."""
    app, who = page.visitor.app, page.visitor.who()
    for row in app.runs(_LOOK_BACK, playbook=playbook):
        if row["mode"] == "plan" and row["status"] == "succeeded" and row["actor"] == who.actor:
            state = app.fold(row["run"])
            if state.root is not None and app.load(state.root.inputs) == accepted:
                return state
    return None
