"""What goes wrong, as a person and a program are told: one exit code, one code, one message, every problem."""

from __future__ import annotations

from hikeshi.app.failure import Failure, failure_of
from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.output import Output
from hikeshi.cli.text import Styled

__all__ = ["CommandError", "describe", "exit_code_of", "report"]

_EXIT_CODES = {
    "refused": ExitCode.REFUSED,
    "key_held": ExitCode.REFUSED,
    "plan_refused": ExitCode.REFUSED,
    "not_taken": ExitCode.WAITING,
    "journal": ExitCode.JOURNAL,
    "run_halted": ExitCode.JOURNAL,
}
"""How a command ends by the code of its failure; with any other it was given wrongly."""


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


def describe(exc: Exception) -> Failure:
    """Return what is said of an exception. One that nobody expected says its kind only: its text may hold anything."""
    if isinstance(exc, CommandError):
        return Failure(exc.code, exc.message, [{"message": text} for text in exc.problems])
    usage = _usage(exc)
    if usage is not None:
        return Failure("usage", usage)
    failure = failure_of(exc) or _of_simulation(exc)
    text = f"{type(exc).__name__}: an error that nobody expected; add --debug to see where it comes from"
    return failure or Failure("internal", text)


def exit_code_of(exc: Exception, failure: Failure) -> ExitCode:
    """Return how the program ends after an exception."""
    from hikeshi.connector.errors import ConnectorError

    if isinstance(exc, CommandError):
        return ExitCode.REFUSED if exc.refused else ExitCode.WRONG_INPUT
    if failure.code == "internal" or isinstance(exc, ConnectorError):
        return ExitCode.FAILED
    return _EXIT_CODES.get(failure.code, ExitCode.WRONG_INPUT)


def _usage(exc: Exception) -> str | None:
    """Return the words of Typer's own errors. Its base class has another home in each version."""
    import typer

    base = typer.BadParameter.__mro__[2]
    if not isinstance(exc, base):
        return None
    context = getattr(exc, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context is not None else ""
    return f"{exc.format_message()}{hint}"  # type: ignore[attr-defined]  # the base class is only known at run time


def _of_simulation(exc: Exception) -> Failure | None:
    import sys

    if "hikeshi.testing.simulation" not in sys.modules:
        return None
    from hikeshi.testing.estate import EstateError
    from hikeshi.testing.simulation import SimulationError

    if isinstance(exc, EstateError | SimulationError):
        return Failure("simulation", str(exc))
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
