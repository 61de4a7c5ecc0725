"""What goes wrong, as a person and a program are told: one exit code, one code, one message, every problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.output import Output
from hikeshi.cli.text import Styled

__all__ = ["CommandError", "Failure", "describe", "report"]


class CommandError(Exception):
    """A command cannot be carried out as it was given. The person at the keyboard is to mend it.

    `refused`: nothing is wrong with it, and a rule says no.
    """

    def __init__(self, code: str, message: str, problems: list[str] | None = None, *, refused: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems or []
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` names the kind of failure and never changes; each problem has a `message`, and a place if there is one."""

    exit_code: ExitCode
    code: str
    message: str
    problems: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "problems": self.problems}}


def describe(exc: Exception) -> Failure:
    """Return what is said of an exception. One that nobody expected says its kind only: its text may hold anything."""
    wrong = ExitCode.WRONG_INPUT
    if isinstance(exc, CommandError):
        exit_code = ExitCode.REFUSED if exc.refused else wrong
        return Failure(exit_code, exc.code, exc.message, [{"message": text} for text in exc.problems])
    usage = _usage(exc)
    if usage is not None:
        return Failure(wrong, "usage", usage)
    for known in (_of_run, _of_project, _of_journal, _of_connector, _of_simulation):
        failure = known(exc)
        if failure is not None:
            return failure
    text = f"{type(exc).__name__}: an error that nobody expected; add --debug to see where it comes from"
    return Failure(ExitCode.FAILED, "internal", text)


def problem_of(problem: object) -> dict[str, Any]:
    """Return a problem of a playbook as plain data; `problem` is a Problem or a text."""
    position = getattr(problem, "position", None)
    if position is None:
        return {"message": str(problem)}
    return {
        "file": position.file,
        "line": position.line,
        "column": position.column,
        "code": getattr(problem, "code", None),
        "message": getattr(problem, "message", ""),
        "suggestion": getattr(problem, "suggestion", None),
    }


def _usage(exc: Exception) -> str | None:
    """Return the words of Typer's own errors. Its base class has another home in each version."""
    import typer

    base = typer.BadParameter.__mro__[2]
    if not isinstance(exc, base):
        return None
    context = getattr(exc, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context is not None else ""
    return f"{exc.format_message()}{hint}"  # type: ignore[attr-defined]  # the base class is only known at run time


def _of_project(exc: Exception) -> Failure | None:
    from hikeshi.app import PlaybookProblems
    from hikeshi.playbook.inputs import WrongInputs
    from hikeshi.playbook.library import NotLoadable, UnknownPlaybook
    from hikeshi.project import ProjectError

    wrong = ExitCode.WRONG_INPUT
    match exc:
        case PlaybookProblems():
            problems = [problem_of(each) for each in exc.problems]
            return Failure(wrong, "playbook", f"{exc.playbook!r} cannot be run; nothing was started", problems)
        case NotLoadable():
            return Failure(wrong, "playbook", "the playbook has problems", [problem_of(each) for each in exc.problems])
        case UnknownPlaybook():
            return Failure(wrong, "unknown_playbook", f"{exc}; 'hikeshi list' shows all")
        case WrongInputs():
            found = [{"message": text} for text in exc.problems]
            return Failure(wrong, "inputs", f"the inputs do not fit {exc.playbook!r}; nothing was started", found)
        case ProjectError():
            found = [{"message": text} for text in exc.problems]
            return Failure(wrong, "project", "the project cannot be used as it is", found)
    return None


def _of_run(exc: Exception) -> Failure | None:
    from hikeshi import app

    wrong, refused = ExitCode.WRONG_INPUT, ExitCode.REFUSED
    for kind, exit_code, code in (
        (app.UnknownRun, wrong, "unknown_run"),
        (app.NothingToRelease, wrong, "nothing_to_release"),
        (app.NothingToResolve, wrong, "nothing_to_resolve"),
        (app.NothingToRetry, wrong, "nothing_to_retry"),
        (app.RunIsDriven, wrong, "run_is_driven"),
        (app.KeyHeld, refused, "key_held"),
        (app.PlanRefused, refused, "plan_refused"),
        (app.MessageNotWanted, refused, "refused"),
        (app.MessageNotTaken, ExitCode.WAITING, "not_taken"),
    ):
        if isinstance(exc, kind):
            return Failure(exit_code, code, str(exc))
    return None


def _of_connector(exc: Exception) -> Failure | None:
    from hikeshi.connector.errors import ConnectorError
    from hikeshi.connector.registry import ConnectorNotUsable
    from hikeshi.secrets import SecretUnavailable

    match exc:
        case ConnectorError():
            return Failure(ExitCode.FAILED, exc.kind, str(exc))
        case ConnectorNotUsable():
            return Failure(ExitCode.WRONG_INPUT, "project", str(exc))
        case SecretUnavailable():
            return Failure(ExitCode.WRONG_INPUT, "secret", str(exc))
    return None


def _of_journal(exc: Exception) -> Failure | None:
    from hikeshi.core.codec import UnknownEvent
    from hikeshi.journal import JournalError
    from hikeshi.runtime.errors import RunHalted

    match exc:
        case JournalError():
            return Failure(ExitCode.JOURNAL, "journal", str(exc))
        case RunHalted():
            text = f"{exc}. What was stored stays; when the journal can be written again, 'hikeshi work' goes on"
            return Failure(ExitCode.JOURNAL, "run_halted", text)
        case UnknownEvent():
            return Failure(ExitCode.JOURNAL, "journal", str(exc))
    return None


def _of_simulation(exc: Exception) -> Failure | None:
    import sys

    if "hikeshi.testing.simulation" not in sys.modules:
        return None
    from hikeshi.testing.estate import EstateError
    from hikeshi.testing.simulation import SimulationError

    if isinstance(exc, EstateError | SimulationError):
        return Failure(ExitCode.WRONG_INPUT, "simulation", str(exc))
    return None


def report(failure: Failure, output: Output) -> None:
    """Say what went wrong: as the JSON document with --json, else on the standard error."""
    if output.as_json:
        output.document(failure.to_json())
        return
    first, *more = failure.message.splitlines() or [""]
    output.note(Styled("error: ", "red"), first)
    for text in more:
        output.note("  ", text)
    for problem in failure.problems:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}: " if "file" in problem else ""
        output.note("  ", Styled(place, "bold"), problem["message"])
