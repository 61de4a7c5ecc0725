"""What a person says to a run that asks: yes, no, or the answers to a form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["answer", "approve", "reject"]

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi waiting' names it.")]
Step = Annotated[
    str | None, typer.Argument(metavar="[STEP]", help="What is asked there; may be left out if it is the only one.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure. Needed without a terminal.")]
Digest = Annotated[
    str | None,
    typer.Option("--digest", metavar="TEXT", help="Only if this is still what is asked: see 'waiting --json'."),
]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, for the record.")]
Answers = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--input",
        metavar="FIELD=VALUE",
        help="A field of the form; FIELD=@FILE reads a file, FIELD=- the standard input. Repeatable.",
    ),
]

_VERBS = {"approve": "Approve", "reject": "Reject", "answer": "Send this answer"}


def approve(
    session: Session, run: RunId, step: Step = None, note: Note = None, yes: Yes = False, digest: Digest = None
) -> int:
    """Approve what a run asks for. Shows exactly what that is first."""
    question = _asked(session, run, step, "approval", digest)
    return _say(session, "approve", question, {"note": note}, yes=yes)


def reject(
    session: Session, run: RunId, step: Step = None, note: Note = None, yes: Yes = False, digest: Digest = None
) -> int:
    """Say no to what a run asks for. One rejection rejects."""
    question = _asked(session, run, step, "approval", digest)
    return _say(session, "reject", question, {"note": note}, yes=yes)


def answer(
    session: Session, run: RunId, step: Step = None, inputs: Answers = None, yes: Yes = False, digest: Digest = None
) -> int:
    """Fill in the form of a step that asks people."""
    from hikeshi.cli.form import answers_of

    question = _asked(session, run, step, "form", digest)
    given = answers_of(session, question, inputs or [])
    return _say(session, "answer", question, {"answers": given}, yes=yes)


def _asked(session: Session, run: str, step: str | None, kind: str, digest: str | None) -> Mapping[str, Any]:
    """Return the question that is meant, and show it. Raises CommandError, UnknownRun."""
    from hikeshi.cli.open_questions import the_question
    from hikeshi.cli.question_view import question_lines

    question = the_question(session, run, step, kind)
    if digest is not None and not question["digest"].startswith(digest.lower()):
        shown = question["digest"][:16]
        raise CommandError(
            "changed", f"what is asked at {question['path']!r} is not {digest[:16]!r} but {shown!r}; look at it again"
        )
    output, app = session.output, session.app
    what = "an approval" if kind == "approval" else "an answer"
    output.line(f"Run {run} asks for {what} at ", Styled(question["path"], "bold"))
    output.line()
    output.lines(list(question_lines(question, app.clock.now())))
    output.line(Styled("  you         ", "dim"), *_you(session, question))
    output.line()
    return question


def _you(session: Session, question: Mapping[str, Any]) -> list[str | Styled]:
    """Say who is about to speak, and whether the run will listen. The run itself decides that."""
    app, actor = session.app, session.actor
    if not app.may_decide(actor, question["by"]):
        return [actor, Styled(": not among those who are asked; this will be refused", "red")]
    if question["kind"] == "approval" and app.same_person(question["actor"], actor):
        return [actor, Styled(": started this run, so somebody else has to decide; this will be refused", "red")]
    if any(app.same_person(voter, actor) for voter in question["votes"]):
        return [actor, Styled(": approved already; this will be refused", "red")]
    return [actor]


def _say(session: Session, kind: str, question: Mapping[str, Any], data: Mapping[str, Any], *, yes: bool) -> int:
    """Send what a person decided, and show what becomes of the run."""
    if not yes and not _is_sure(session, kind):
        session.output.note("Nothing was sent; the question is still open.")
        return ExitCode.WAITING
    from hikeshi.cli.going import CALM_S, go
    from hikeshi.cli.run_view import conclude

    app, run, path = session.app, question["run"], question["path"]
    app.park_after_s = CALM_S
    told = _Told(session, kind, path)
    message = {"path": path, "digest": question["digest"], **data}

    async def start(watchers: Any) -> RunState:
        state = await app.tell(run, kind, message, actor=session.actor, watchers=[told.watch, *watchers])
        told.say(state)
        return state

    ending = session.wait_for(go(session, start, run=run, until="calm"))
    code = conclude(session.output, ending, {"said": told.to_json(ending.state)})
    # Whoever said no wanted the run not to go on.
    return ExitCode.SUCCEEDED if kind == "reject" and code is not ExitCode.UNKNOWN else code


def _is_sure(session: Session, kind: str) -> bool:
    if session.output.as_json or not sys.stdin.isatty():
        raise CommandError("usage", f"nobody can be asked here whether to {kind}; --yes says so beforehand")
    session.output.flush()
    try:
        given = input_line(f"{_VERBS[kind]}? [y/N] ")
    except EOFError:
        return False
    return given.strip().lower() in ("y", "yes")


def input_line(prompt: str) -> str:
    """Return a line that somebody types. Raises EOFError."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise EOFError
    return line


class _Told:
    """Says once that the run has taken what was said, as soon as it has."""

    def __init__(self, session: Session, kind: str, path: str) -> None:
        self._session, self._kind, self._path = session, kind, path
        self._said = False

    def to_json(self, state: RunState) -> dict[str, Any]:
        """Return what was said and what it came to: `{kind, path, votes, quorum}`."""
        question = state.nodes[self._path].question
        votes = [] if question is None else list(question.votes)
        quorum = 1 if question is None else question.quorum
        return {"kind": self._kind, "path": self._path, "votes": votes, "quorum": quorum}

    def watch(self, event: Any, state: RunState) -> None:
        """Take notice of an event of the run."""
        if type(event).__name__ in ("VoteCast", "FormAnswered") and event.path == self._path:
            self.say(state)

    def say(self, state: RunState) -> None:
        """Say what became of it: counted, or decided."""
        if self._said:
            return
        self._said = True
        question = state.nodes[self._path].question
        if self._kind == "approve" and question is not None and len(question.votes) < question.quorum:
            text = f"counted: {len(question.votes)} of {question.quorum} have approved {self._path}"
            self._session.output.note(Styled(text, "yellow"))
            return
        words = {"approve": "approved", "reject": "rejected", "answer": "answered"}
        self._session.output.note(Styled(f"{words[self._kind]}: {self._path} of run {state.run}", "green"))
