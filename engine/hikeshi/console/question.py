"""What people are asked, shown with all they need to decide: the exact targets, who asks, until when, who said what.

What is sent back carries the digest of what was shown here, so nobody allows what they have not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.access.roles import Permission
from hikeshi.console.elements import Fields, button, counting, fact, link, moment, submit, table, tag
from hikeshi.console.fields import InputFields
from hikeshi.console.frame import Page
from hikeshi.documents.waiting import is_for

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["asked", "depends_on", "may_answer", "show_question", "show_stuck"]

Question = Mapping[str, Any]


def depends_on(page: Page, question: Question) -> object:
    """Return what a question's card depends on."""
    who = page.visitor.who()
    return (question["digest"], tuple(question["votes"]), question["due_at"], tuple(question["by"]), who.permissions)


def may_answer(page: Page, question: Question) -> bool:
    """Say whether a question waits for whoever looks."""
    who = page.visitor.who()
    permission = Permission.DECIDE if question["kind"] == "approval" else Permission.RUN
    return who.may(permission) and is_for(page.visitor.app, who.actor, question)


def show_question(page: Page, question: Question, *, with_run: bool) -> None:
    """Draw a question, with what answers it if whoever looks may."""
    say, name_of = page.say, page.visitor.name_of
    with tag("div", "", "card-head"):
        tag("p", say(f"question.{question['kind']}"), "kicker")
        with tag("p", "", "deadline"):
            tag("span", say("question.left"))
            counting(question["due_at"], say("question.over"))
    tag("h3", question["question"], "", id=None if with_run else question["path"], tabindex="-1")
    with tag("dl", "", "facts"):
        fact(say("question.asked_by"), name_of(question["actor"]))
        with fact(say("run.playbook")):
            if with_run:
                link(question["playbook"], f"/runs/{question['run']}#{question['path']}")
            else:
                tag("span", question["playbook"])
        fact(say("question.by"), ", ".join(asked(page, each) for each in question["by"]))
        if question["kind"] == "approval":
            votes = question["votes"]
            voted = f" ({', '.join(map(name_of, votes))})" if votes else ""
            fact(say("question.quorum"), say("question.so_far", given=len(votes), needed=question["quorum"]) + voted)
        with fact(say("question.since")):
            moment(question["asked_at"])
    if question["kind"] == "approval":
        _targets(page, question)
        _decide(page, question)
    else:
        _form(page, question)


def asked(page: Page, entry: str) -> str:
    """Return whom an entry of `by` means, for people."""
    return (
        page.say("question.role", role=entry.removeprefix("role:"))
        if entry.startswith("role:")
        else (page.visitor.name_of(entry))
    )


def _targets(page: Page, question: Question) -> None:
    say, shows = page.say, question["shows"]
    tag("h4", say("question.targets", count=len(shows)))
    if not shows:
        tag("p", say("question.nothing_predicted"), "warn")
    else:
        columns = [say(f"column.{key}") for key in ("target", "action", "connector", "identity")]
        with table(say("question.targets", count=len(shows)), columns, "targets"):
            for each in shows:
                _target(page, each)
    for text in question["not_known"]:
        tag("p", say("question.not_known", what=text), "warn")
    if question["not_known"]:
        tag("p", say("question.asked_again"), "dim")


def _target(page: Page, shown: Mapping[str, Any]) -> None:
    say = page.say
    with tag("tr"):
        label = str(shown["label"])
        tag("th", say("question.already", label=label) if shown.get("already") else label, "strong", scope="row")
        tag("td", shown["action"], "code", data_label=say("column.action"))
        tag("td", shown["connector"], "", data_label=say("column.connector"))
        tag("td", str(shown["target"]), "code dim", data_label=say("column.identity"))


def _decide(page: Page, question: Question) -> None:
    say = page.say
    why_not = _why_not(page, question)
    if why_not:
        tag("p", why_not, "why-not")
        return
    with tag("form", "", "decide") as form:
        with tag("label", "", "field"):
            tag("span", say("question.note"))
            tag("input", type="text", name="note", maxlength="500", autocomplete="off")
        with tag("div", "", "buttons"):
            tag("button", say("question.reject"), "", type="submit", name="pressed", value="reject")
            tag("button", say("question.approve"), "primary", type="submit", name="pressed", value="approve")

    async def decide(fields: Fields) -> None:
        kind = fields.get("pressed")
        if kind not in ("approve", "reject"):
            return
        data = {"path": question["path"], "digest": question["digest"], "note": fields.get("note", "").strip() or None}
        done, _ = await page.do(lambda who: page.visitor.service.tell(who, question["run"], kind, data))
        if done:
            page.tell(say(f"question.done.{kind}"))

    submit(form, decide)


def _why_not(page: Page, question: Question) -> str:
    """Return why whoever looks can't decide, or nothing."""
    app, who, say = page.visitor.app, page.visitor.who(), page.say
    if any(app.same_person(voter, who.actor) for voter in question["votes"]):
        return say("question.you_voted")
    if app.same_person(question["actor"], who.actor):
        return say("question.your_own")
    if not who.may(Permission.DECIDE):
        return say("question.no_role")
    return "" if app.may_decide(who.actor, question["by"]) else say("question.not_asked")


def _form(page: Page, question: Question) -> None:
    say = page.say
    if not may_answer(page, question):
        tag("p", say("question.not_asked"), "why-not")
        return
    from hikeshi.playbook.inputs import WrongInputs, accept_fields, fields_from_text

    declared = _declared(page.visitor.app, question)
    with tag("form", "", "inputs", novalidate=True) as form:
        fields = InputFields(page, declared, None)
        with tag("div", "", "buttons"):
            tag("button", say("question.answer"), "primary", type="submit")

    async def answer(given: Fields) -> None:
        path = question["path"]
        try:
            answers = accept_fields(path, declared, fields_from_text(path, declared, fields.texts(given)), "field")
        except WrongInputs as exc:
            fields.show(exc.problems)
            return
        fields.forget()
        data = {"path": path, "digest": question["digest"], "answers": answers}
        done, _ = await page.do(lambda who: page.visitor.service.tell(who, question["run"], "answer", data))
        if done:
            page.tell(say("question.answered"))

    submit(form, answer)


def _declared(app: Hikeshi, question: Question) -> Mapping[str, Any]:
    from hikeshi.playbook.model import AskStep

    step = app.fold(question["run"]).nodes[question["path"]].step
    assert isinstance(step, AskStep)
    return step.form


def show_stuck(page: Page, stuck: Mapping[str, Any], *, with_run: bool) -> None:
    """Draw a change of unknown outcome, or a paused run, with what lets it go on."""
    say, run, path = page.say, stuck["run"], stuck["path"]
    may = page.visitor.may(Permission.RUN)
    tag("p", say(f"stuck.{stuck['kind']}"), "kicker bad-text" if stuck["kind"] == "resolve" else "kicker")
    heading = stuck["what"] if stuck["kind"] == "resolve" else stuck["playbook"]
    tag("h3", heading or stuck["playbook"], "", id=None if with_run or not path else path, tabindex="-1")
    if stuck["kind"] == "resolve":
        with tag("dl", "", "facts"):
            fact(say("column.action"), str(stuck["action"] or ""), "code")
            with fact(say("column.target"), "", "strong"):
                for each in stuck["targets"]:
                    tag("div", f"{each['label']} ({each['connector']})")
        tag("p", say("stuck.find_out"), "to-do")
    with tag("div", "", "buttons"):
        if with_run:
            link(say("stuck.see_run"), f"/runs/{run}" + (f"#{path}" if path else ""), "as-button")
        if not may:
            return
        if stuck["kind"] == "resume":

            async def resume() -> None:
                await page.do(lambda who: page.visitor.service.tell(who, run, "resume", {}))

            button(say("run.resume"), resume, "primary")
            return
        button(say("stuck.did_not"), lambda: _resolve(page, stuck, happened=False))
        button(say("stuck.happened"), lambda: _resolve(page, stuck, happened=True))


async def _resolve(page: Page, stuck: Mapping[str, Any], *, happened: bool) -> None:
    from hikeshi.console.dialogs import asking

    say = page.say
    which = "happened" if happened else "did_not"

    async def do(_: Fields) -> None:
        done, _state = await page.do(
            lambda who: page.visitor.service.resolve(who, stuck["run"], stuck["path"], happened=happened)
        )
        if done:
            page.tell(say("stuck.resolved"))

    with asking(page, say(f"stuck.{which}_title"), say(f"stuck.{which}"), do):
        tag("p", ", ".join(f"{each['label']} ({each['connector']})" for each in stuck["targets"]), "strong")
        tag("p", say(f"stuck.{which}_then"))
