"""Saying yes, no, or an answer to a run: what is shown, what is refused, and what becomes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_desk import Desk, make_desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A project without connectors, its commands, and the other people who work there."""
    return make_desk(tmp_path, capsys)


def test_an_approval_is_shown_whole_before_anything_is_sent(desk: Desk) -> None:
    """Question, who may, how many, until when here and from now; without a terminal nobody can be asked."""
    run = desk.begin("asks")

    ended = desk("approve", run)

    assert (ended.code, desk.ask(lambda app: len(app.questions(run)[0]["votes"]))) == (2, 0)
    assert "--yes says so beforehand" in ended.err
    assert "question    Go?" in ended.out
    assert "nothing that could be predicted" in ended.out
    assert "who         role:lead (2 have to approve)" in ended.out
    assert "so far      0 of 2" in ended.out
    assert re.search(r"until +\d\d:\d\d:\d\d \S+ \(in 14 min \d+ s\)", ended.out)


def test_one_of_two_votes_is_counted_and_the_second_lets_the_run_go_on(desk: Desk) -> None:
    """Exit code 4 while it waits for the other one; the document says who has approved."""
    run = desk.begin("asks")

    counted = desk("approve", run, "--yes")
    twice = desk("approve", run, "ok", "--yes", "--json")
    other = desk.say(run, "approve", "mkobayashi")
    late = desk("approve", run, "ok", "--yes", "--json")

    assert counted.code == 4
    assert "counted: 1 of 2 have approved ok" in counted.err
    assert (twice.code, twice.document["error"]["code"]) == (3, "refused")
    assert "has voted already" in twice.document["error"]["message"]
    assert other == "succeeded"
    assert (late.code, late.document["error"]["code"]) == (3, "not_open")
    assert "mkobayashi" in late.document["error"]["message"]


def test_the_document_of_a_decision_is_the_run_with_what_was_said(desk: Desk) -> None:
    """For programs: the report of the run, and `said`."""
    run = desk.begin("asks")
    desk.say(run, "approve", "mkobayashi")

    ended = desk("approve", run, "--yes", "--json")

    assert (ended.code, ended.document["status"]) == (0, "succeeded")
    said = ended.document["said"]
    assert (said["kind"], said["path"], said["quorum"], len(said["votes"])) == ("approve", "ok", 2, 2)


def test_a_rejection_is_carried_out_and_is_no_failure_of_the_command(desk: Desk) -> None:
    """One no is enough; the run has failed, and the command has done what it was asked."""
    run = desk.begin("asks")

    ended = desk("reject", run, "--yes", "--note", "not tonight", "--json")

    assert (ended.code, ended.document["status"]) == (0, "failed")
    assert "not tonight" in ended.document["steps"]["ok"]["error"]["message"]


def test_who_started_a_run_is_told_before_and_refused(desk: Desk) -> None:
    """The own run: said in what is shown, and again by the run."""
    run = desk("run", "asks", "--detach", "--json").document["run"]
    desk("work")

    ended = desk("approve", run, "--yes")

    assert ended.code == 3
    assert "started this run, so somebody else has to decide" in ended.out
    assert "who started a run can't decide about it" in ended.err


def test_who_is_not_asked_is_told_before_and_refused(desk: Desk) -> None:
    """Only ken may."""
    run = desk.begin("ken-decides", by="mkobayashi")

    ended = desk("approve", run, "--yes")

    assert ended.code == 3
    assert "not among those who are asked" in ended.out
    assert "not among those who are asked at 'ok': ken" in ended.err


def test_wrong_names_come_with_the_right_ones(desk: Desk) -> None:
    """A run, a step and a command that were not meant, each with what was."""
    run = desk.begin("asks")
    form = desk.begin("form")

    assert f"did you mean {run!r}?" in desk("approve", run[9:], "--yes").err
    step = desk("approve", run, "okk", "--yes")
    assert (step.code, "did you mean 'ok'? (open: ok)" in step.err) == (2, True)
    not_yet = desk("approve", run, "done", "--yes")
    assert (not_yet.code, "nothing is asked at 'done'" in not_yet.err) == (2, True)
    other = desk("approve", form, "check", "--yes")
    assert (other.code, f"hikeshi answer {form} check" in other.err) == (2, True)
    none = desk("approve", form, "--yes")
    assert (none.code, f"  hikeshi answer {form} check" in none.err) == (2, True)


def test_a_digest_that_is_not_what_is_asked_stops_it(desk: Desk) -> None:
    """For scripts that show one thing and must not approve another."""
    run = desk.begin("asks")
    digest = desk("waiting", "--json").document["questions"][0]["digest"]

    wrong = desk("approve", run, "--yes", "--digest", "0000", "--json")
    right = desk("approve", run, "--yes", "--digest", digest[:12], "--json")

    assert (wrong.code, wrong.document["error"]["code"]) == (2, "changed")
    assert (right.code, right.document["said"]["votes"] != []) == (4, True)


def test_answers_are_typed_by_the_form_and_all_problems_come_at_once(desk: Desk) -> None:
    """Wrong fields and wrong values send nothing; right ones end the step."""
    run = desk.begin("form")

    wrong = desk("answer", run, "-i", "quiet=perhaps", "-i", "nte=x", "--yes", "--json")
    missing = desk("answer", run, "--yes")
    right = desk("answer", run, "-i", "quiet=true", "--yes", "--json")

    assert (wrong.code, wrong.document["error"]["code"]) == (2, "inputs")
    assert len(wrong.document["error"]["problems"]) == 2
    assert (missing.code, "quiet: is required" in missing.err) == (2, True)
    assert "quiet  boolean; required: Nothing goes out any more" in missing.out
    assert (right.code, right.document["outputs"]) == (0, {"quiet": True})


def test_a_run_that_is_over_asks_nothing(desk: Desk) -> None:
    """Too late is a refusal, and says how the run ended."""
    run = desk.begin("asks")
    desk.say(run, "reject", "mkobayashi")

    for arguments in (("approve", run), ("reject", run), ("answer", run), ("cancel", run, "--reason", "x")):
        ended = desk(*arguments, "--json")
        assert (ended.code, ended.document["error"]["code"]) == (3, "run_is_over"), arguments
