"""What is said of an exception, and what never is."""

from hikeshi.app import (
    KeyHeld,
    MessageNotTaken,
    MessageNotWanted,
    NothingToRetry,
    PlaybookProblems,
    UnknownRun,
)
from hikeshi.cli.failure import CommandError, describe, exit_code_of
from hikeshi.connector.errors import Forbidden
from hikeshi.journal import JournalError
from hikeshi.playbook.inputs import WrongInputs
from hikeshi.playbook.model import Position
from hikeshi.playbook.problem import Problem
from hikeshi.project import ProjectError
from hikeshi.runtime.errors import RunHalted


def test_each_kind_of_error_has_its_exit_code_and_code() -> None:
    """Scripts tell them apart by both."""
    expected = [
        (CommandError("usage", "so not"), 2, "usage"),
        (PlaybookProblems("x", ["no connector"]), 2, "playbook"),
        (WrongInputs("x", ["a: is required"]), 2, "inputs"),
        (ProjectError(["hikeshi.yaml:1:1: wrong"]), 2, "project"),
        (CommandError("not_open", "decided", refused=True), 3, "not_open"),
        (UnknownRun("there is no run 'x'"), 2, "unknown_run"),
        (NothingToRetry("nothing failed"), 2, "nothing_to_retry"),
        (KeyHeld("another run has the key"), 3, "key_held"),
        (MessageNotWanted("who started a run can't decide about it"), 3, "refused"),
        (MessageNotTaken("nobody has taken it"), 4, "not_taken"),
        (JournalError("What", "where", "what next"), 6, "journal"),
        (RunHalted("run x stops here"), 6, "run_halted"),
        (Forbidden("falcon: no"), 1, "forbidden"),
        (ValueError("anything"), 1, "internal"),
    ]
    for exc, exit_code, code in expected:
        failure = describe(exc)
        assert (exit_code_of(exc, failure), failure.code) == (exit_code, code), exc


def test_an_unexpected_error_says_its_kind_only() -> None:
    """Its text may hold anything, a secret too."""
    assert "hunter-two" not in describe(ValueError("hunter-two")).message


def test_problems_of_playbooks_keep_their_place() -> None:
    """For editors and for --json."""
    problem = Problem("unknown-action", "there is no action 'x'", Position("a.yaml", 3, 7), "edr.y")

    assert describe(PlaybookProblems("a", [problem])).to_json()["error"]["problems"] == [
        {
            "file": "a.yaml",
            "line": 3,
            "column": 7,
            "code": "unknown-action",
            "message": "there is no action 'x'",
            "suggestion": "edr.y",
        }
    ]
