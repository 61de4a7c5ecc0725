"""What goes wrong, in the words that every face uses: a code that never changes, a message, and every problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Failure", "failure_of", "problem_of"]


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` names the kind of failure and never changes; each problem has a `message`, and a place if there is one."""

    code: str
    message: str
    problems: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "problems": self.problems}}


def failure_of(exc: Exception) -> Failure | None:
    """Return what is said of an exception that the application raises, or None if nobody expected it."""
    for known in (_of_run, _of_undo, _of_project, _of_journal, _of_connector):
        failure = known(exc)
        if failure is not None:
            return failure
    return None


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


def _of_project(exc: Exception) -> Failure | None:
    from hikeshi.app.errors import PlaybookProblems
    from hikeshi.playbook.inputs import WrongInputs
    from hikeshi.playbook.library import NotLoadable, UnknownPlaybook
    from hikeshi.project import ProjectError

    match exc:
        case PlaybookProblems():
            problems = [problem_of(each) for each in exc.problems]
            return Failure("playbook", f"{exc.playbook!r} cannot be run; nothing was started", problems)
        case NotLoadable():
            return Failure("playbook", "the playbook has problems", [problem_of(each) for each in exc.problems])
        case UnknownPlaybook():
            return Failure("unknown_playbook", f"{exc}; 'hikeshi list' shows all")
        case WrongInputs():
            found = [{"message": text} for text in exc.problems]
            return Failure("inputs", f"the inputs do not fit {exc.playbook!r}; nothing was started", found)
        case ProjectError():
            found = [{"message": text} for text in exc.problems]
            return Failure("project", "the project cannot be used as it is", found)
    return None


def _of_run(exc: Exception) -> Failure | None:
    from hikeshi.app import errors

    for kind, code in (
        (errors.UnknownRun, "unknown_run"),
        (errors.NothingToRelease, "nothing_to_release"),
        (errors.NothingToResolve, "nothing_to_resolve"),
        (errors.NothingToRetry, "nothing_to_retry"),
        (errors.RunIsDriven, "run_is_driven"),
        (errors.KeyHeld, "key_held"),
        (errors.PlanRefused, "plan_refused"),
        (errors.MessageNotWanted, "refused"),
        (errors.MessageNotTaken, "not_taken"),
    ):
        if isinstance(exc, kind):
            return Failure(code, str(exc))
    return None


def _of_undo(exc: Exception) -> Failure | None:
    from hikeshi.app.undo_plan import HoldRefused, UnknownHold

    match exc:
        case UnknownHold():
            return Failure("unknown_hold", str(exc))
        case HoldRefused():
            return Failure("refused", str(exc))
    return None


def _of_connector(exc: Exception) -> Failure | None:
    from hikeshi.connector.errors import ConnectorError
    from hikeshi.connector.registry import ConnectorNotUsable
    from hikeshi.secrets import SecretUnavailable

    match exc:
        case ConnectorError():
            return Failure(exc.kind, str(exc))
        case ConnectorNotUsable():
            return Failure("project", str(exc))
        case SecretUnavailable():
            return Failure("secret", str(exc))
    return None


def _of_journal(exc: Exception) -> Failure | None:
    from hikeshi.core.codec import UnknownEvent
    from hikeshi.journal import JournalError
    from hikeshi.runtime.errors import RunHalted

    match exc:
        case JournalError():
            return Failure("journal", str(exc))
        case RunHalted():
            text = f"{exc}. What was stored stays; when the journal can be written again, 'hikeshi work' goes on"
            return Failure("run_halted", text)
        case UnknownEvent():
            return Failure("journal", str(exc))
    return None
