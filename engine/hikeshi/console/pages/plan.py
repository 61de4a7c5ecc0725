"""A dry run: what would be done, exactly, and the two ways to do it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, button, fact, link, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.offers import offer_buttons
from hikeshi.console.plan_targets import labels_of, targets_in_short
from hikeshi.console.question import asked
from hikeshi.console.run_names import name_of

__all__ = ["plan_page"]

Action = Mapping[str, Any]

_MOST = 200
_LONGEST = 20_000


async def plan_page(page: Page, run: str) -> None:
    """Build the page. Raises UnknownRun, PlanRefused for a run that is no dry run."""
    from hikeshi.app.errors import PlanRefused

    following = page.visitor.service.following(page.visitor.who(), run)
    if following.state.mode != "plan":
        raise PlanRefused([page.say("plan.is_none", run=run)])
    _Plan(page, run, following)


class _Plan:
    """The page of one plan."""

    def __init__(self, page: Page, run: str, following: Any) -> None:
        self._page = page
        self._say = page.say
        self._run = run
        self._following = following
        self._drawn: object = None
        self._once = uuid.uuid4().hex
        page.title(self._say("plan.title", playbook=name_of(following.state)), about=self._say("plan.about"))
        self._head = tag("div", "", "tags", role="status")
        self._place = tag("div", "", "cards")
        page.live(self._draw)

    def _draw(self) -> None:
        for _ in self._following.news():
            pass
        state = self._following.state
        depends = (state.finished, state.saved, state.taken, len(state.nodes) if state.finished is None else 0)
        if depends == self._drawn:
            return
        self._drawn = depends
        self._head.clear()
        self._place.clear()
        with self._head:
            status = state.status.value
            mark(self._say, "planned" if status == "succeeded" else str(status))
            tag("span", self._page.visitor.name_of(state.actor), "dim")
            tag("span", state.run, "code dim")
        with self._place:
            if state.finished is None:
                tag("p", self._say("plan.under_way", steps=len(state.nodes)), "empty")
            else:
                self._draw_report()

    def _draw_report(self) -> None:
        from hikeshi.report import plan_report

        say, state = self._say, self._following.state
        report = plan_report(state, self._page.visitor.app.journal.read(self._run))
        actions = report["actions"]
        is_good = report["status"] == "succeeded" and not report["problems"]
        with tag("section", "", "card headline " + ("" if is_good else "bad-edge")):
            tag("h2", summary(self._page, report) if is_good else say("plan.would_fail"))
            tag("p", say("plan.nothing_changed"), "dim")
            self._problems(report)
            self._buttons(report, is_good=is_good)
        for number, action in enumerate(actions[:_MOST], 1):
            with tag("article", "", "card action"):
                _action(self._page, number, action)
        if len(actions) > _MOST:
            tag("p", say("plan.more", count=len(actions) - _MOST), "warn")
        _pauses(self._page, report)

    def _problems(self, report: Mapping[str, Any]) -> None:
        if report["error"] is not None:
            tag("p", report["error"]["message"], "warn")
        for each in report["problems"]:
            with tag("p", "", "warn"):
                tag("span", each["path"], "code")
                tag("span", f" {each['error']['message']}")
            for candidate in (each["error"]["candidates"] or ())[:20]:
                tag("p", self._say("plan.could_be", what=_text(candidate)), "dim")

    # --- doing it ---------------------------------------------------------------------------------------------

    def _buttons(self, report: Mapping[str, Any], *, is_good: bool) -> None:
        say, state, visitor = self._say, self._following.state, self._page.visitor
        if state.taken is not None:
            with tag("p"):
                tag("span", say("plan.taken"))
                link(state.taken, f"/runs/{state.taken}")
        with tag("div", "", "buttons"):
            link(say("plan.again"), f"/playbooks/{state.program.main}?again={self._run}", "as-button")
            if visitor.may(Permission.RUN) and is_good:
                button(say("plan.run"), lambda: self._ask_run(report))
                if state.saved is None:
                    button(say("plan.apply"), lambda: self._ask_apply(report), "danger")
        if state.saved is not None and state.taken is None and not offer_buttons(self._page, self._run):
            tag("p", say("plan.saved"), "dim")

    async def _ask_apply(self, report: Mapping[str, Any]) -> None:
        async def apply(_: Fields) -> None:
            service = self._page.visitor.service
            done, document = await self._page.do(lambda who: service.save_plan(who, self._run))
            if not done or document is None:
                return
            self._page.tell(self._say("plan.comparing"))
            done, state = await self._page.do(lambda who: service.apply(who, document))
            if done and state is not None:
                self._page.go(f"/runs/{state.run}")

        with asking(self._page, self._say("plan.apply_title"), self._say("plan.apply"), apply, danger=True):
            tag("p", self._say("plan.apply_then"))
            targets_in_short(self._page, report)

    async def _ask_run(self, report: Mapping[str, Any]) -> None:
        async def run(_: Fields) -> None:
            state = self._following.state
            inputs = self._page.visitor.app.load(state.root.inputs)
            service, once = self._page.visitor.service, f"console\0{self._once}"
            done, begun = await self._page.do(
                lambda who: service.start(who, state.program.main, inputs, live=True, once=once)
            )
            if done and begun is not None:
                self._page.go(f"/runs/{begun.run}")

        with asking(self._page, self._say("plan.run_title"), self._say("plan.run"), run, danger=True):
            tag("p", self._say("plan.run_then"))
            targets_in_short(self._page, report)


def summary(page: Page, report: Mapping[str, Any]) -> str:
    """Return in a few words what a plan would do."""
    actions = report["actions"]
    counts = {
        "changes": sum(_is(each, "change", "certain") for each in actions),
        "messages": sum(_is(each, "notify", "certain") for each in actions),
        "maybe": sum(each["certainty"] == "maybe" for each in actions),
        "already": sum(bool(each["already"]) for each in actions),
    }
    words = [page.say("plan.summary", **counts)]
    words += [page.say(f"plan.{key}", count=counts[key]) for key in ("maybe", "already") if counts[key]]
    return " · ".join(words)


def _is(action: Action, effect: str, certainty: str) -> bool:
    return action["effect"] == effect and action["certainty"] == certainty and not action["already"]


def _action(page: Page, number: int, action: Action) -> None:
    say = page.say
    with tag("div", "", "card-head"):
        with tag("h3", "", "one"):
            tag("span", f"{number}.", "dim")
            tag("span", action["action"], "code")
            for each in labels_of(action)[:3] or [_channel(action)]:
                tag("span", each, "target")
            if len(labels_of(action)) > 3:
                tag("span", say("common.more", count=len(labels_of(action)) - 3), "dim")
        sure = action["certainty"] == "certain"
        with tag("span", "", f"mark {'good' if sure else 'warn'}"):
            tag("span", "✓" if sure else "?", aria_hidden="true")
            tag("span", say(f"plan.{action['certainty']}_one"))
    with tag("dl", "", "facts"):
        fact(say("column.connector"), action["connector"] or say("plan.not_known"))
        fact(say("plan.effect"), say(f"effect.{action['effect']}"))
        fact(say("column.step"), action["path"], "code")
        if action["condition"] is not None:
            fact(say("plan.condition"), action["condition"], "code")
        if action["approvals"]:
            fact(say("plan.approval"), ", ".join(action["approvals"]), "code")
        for each in action["consents"]:
            fact(say("plan.consent"), say("plan.asks", who=_who(page, each["by"]), quorum=each["quorum"]))
        if action["hold_s"] is not None:
            fact(say("plan.hold"), _hold(page, action["hold_s"]))
    if action["already"]:
        tag("p", say("plan.already_one"), "good-text")
    if not action["complete"]:
        tag("p", say("plan.not_complete"), "warn")
    for each in action["not_checked"]:
        tag("p", say("plan.not_checked", what=each), "dim small")
    _exactly(page, action)


def _channel(action: Action) -> str:
    """Return where a message goes, from what would be sent."""
    bodies = (each["body"] for each in action["requests"] if isinstance(each["body"], dict))
    return next((str(body["channel"]) for body in bodies if "channel" in body), "")


def _exactly(page: Page, action: Action) -> None:
    """Show every target and every request, when somebody opens it."""
    labels = labels_of(action)
    if len(labels) > 3:
        with tag("details"):
            tag("summary", page.say("plan.targets", count=len(labels)))
            with tag("ul", "", "plain columns-of-names"):
                for each in labels[:2000]:
                    tag("li", each)
    if action["requests"] and not action["already"]:
        _requests(page, action["requests"])


def _hold(page: Page, hold_s: Any) -> str:
    from hikeshi.playbook.durations import format_duration

    if isinstance(hold_s, int | float):
        return page.say("plan.hold_for", time=format_duration(hold_s))
    return page.say("plan.hold_unknown")


def _requests(page: Page, requests: Any) -> None:
    with tag("details"):
        tag("summary", page.say("plan.requests", count=len(requests)))
        for each in requests[:20]:
            with tag("pre", "", "", tabindex="0"):
                tag("code", f"{each['method']} {each['url']}\n{_body(each['body'])}".rstrip())
            if each["volatile"]:
                tag("p", page.say("plan.volatile", names=", ".join(each["volatile"])), "dim")
        if len(requests) > 20:
            tag("p", page.say("common.more", count=len(requests) - 20))


def _body(body: Any) -> str:
    if body is None:
        return ""
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _who(page: Page, by: Sequence[str]) -> str:
    return ", ".join(asked(page, entry) for entry in by)


def _pauses(page: Page, report: Mapping[str, Any]) -> None:
    """Show what it would ask and wait for."""
    say = page.say
    rows: list[tuple[str, str, str]] = []
    for each in report["approvals"]:
        asks = say("plan.asks", who=_who(page, each["by"]), quorum=each["quorum"])
        rows.append((say("question.approval"), _text(each["question"]), asks))
    rows += [(say("question.form"), _text(each["question"]), _who(page, each["by"])) for each in report["forms"]]
    rows += [(say("plan.wait"), each["until"], each["path"]) for each in report["waits"]]
    rows += [(say("plan.releases"), _text(each["targets"]), each["path"]) for each in report["releases"]]
    if not rows:
        return
    with tag("section", "", "card"):
        tag("h2", say("plan.pauses"))
        with tag("ul", "", "plain"):
            for kind, what, more in rows:
                with tag("li"):
                    tag("strong", kind)
                    tag("span", f" {what} ")
                    tag("span", more, "dim")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)[:500]
