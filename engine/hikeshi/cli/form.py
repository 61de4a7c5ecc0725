"""The answers to a form: given with -i, or asked for one after the other on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.cli.failure import CommandError
from hikeshi.cli.inputs import read_inputs
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled, harmless

if TYPE_CHECKING:
    from hikeshi.playbook.model import InputDeclaration

__all__ = ["answers_of"]

Form = Mapping[str, "InputDeclaration"]


def answers_of(session: Session, question: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    """Return the typed answers. Raises CommandError with everything that is wrong."""
    from hikeshi.playbook.inputs import WrongInputs, accept_fields, fields_from_text
    from hikeshi.playbook.model import AskStep

    step = session.app.fold(question["run"]).nodes[question["path"]].step
    assert isinstance(step, AskStep)
    texts = read_inputs(given, "nothing was sent")
    if not given and sys.stdin.isatty() and not session.output.as_json:
        texts = _ask(session, step.form)
    path = str(question["path"])
    try:
        accepted = accept_fields(path, step.form, fields_from_text(path, step.form, texts), "field")
    except WrongInputs as exc:
        raise CommandError(
            "inputs", f"this does not fit the form of {path!r}; nothing was sent", exc.problems
        ) from None
    _show(session, accepted)
    return accepted


def _ask(session: Session, form: Form) -> dict[str, str]:
    """Ask for each field, again until it fits. An empty line leaves out what may be left out."""
    from hikeshi.cli.decisions import input_line
    from hikeshi.playbook.inputs import WrongInputs, accept_fields, fields_from_text

    texts: dict[str, str] = {}
    for name, declared in form.items():
        while True:
            default = "" if declared.default is None else f" [{declared.default}]"
            try:
                line = input_line(harmless(f"  {name} ({declared.type}){default}: ", 200)).rstrip("\n")
            except EOFError:
                raise CommandError("inputs", "the form was not filled in; nothing was sent") from None
            given = {name: line} if line.strip() else {}
            try:
                accept_fields(name, {name: declared}, fields_from_text(name, {name: declared}, given))
            except WrongInputs as exc:
                session.output.note("    ", Styled(exc.problems[0], "red"))
                continue
            texts |= given
            break
    return texts


def _show(session: Session, answers: Mapping[str, Any]) -> None:
    for number, (name, value) in enumerate(answers.items()):
        title = "" if number else "answer"
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        session.output.line(Styled(f"  {title:12}", "dim"), Styled(name, "cyan"), f" = {shown}")
    session.output.line()
