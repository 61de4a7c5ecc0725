"""Steering runs that wait, and the lists that say what waits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_desk import Desk, make_desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A project without connectors, its commands, and the other people who work there."""
    return make_desk(tmp_path, capsys)


def test_a_cancelled_run_ends_with_its_reason_and_the_command_has_done_its_work(desk: Desk) -> None:
    """Exit code 0: it was to end. What tidies up at the end still ran."""
    run = desk.begin("naps")

    ended = desk("cancel", run, "--reason", "false alarm")

    assert ended.code == 0
    assert "CANCELLED" in ended.out
    assert "false alarm" in ended.out
    assert desk("runs", "--json").document["runs"][0]["status"] == "cancelled"
    assert desk.ask(lambda app: app.fold(run).nodes["finally.tidy"].status.value) == "succeeded"


def test_a_reason_is_needed(desk: Desk) -> None:
    """People read it later."""
    run = desk.begin("naps")

    assert desk("cancel", run).code == 2
    assert desk("cancel", run, "--reason", " ").code == 2
    assert desk("runs", "--json").document["runs"][0]["status"] == "waiting"


def test_a_paused_run_waits_for_somebody_who_resumes_it(desk: Desk) -> None:
    """It is listed with the command to type; pausing it twice, and resuming what is not paused, is refused."""
    run = desk.begin("asks")
    assert desk("resume", run).code == 3

    paused = desk("pause", run)

    assert (paused.code, "PAUSED" in paused.out) == (0, True)
    assert desk("pause", run).code == 3
    (stuck,) = desk("waiting", "--json").document["stuck"]
    assert (stuck["kind"], stuck["command"]) == ("resume", f"hikeshi resume {run}")
    assert f"hikeshi resume {run}" in desk("waiting").out
    assert "resume" in desk("runs").out


def test_only_what_failed_is_done_again_and_the_new_run_is_named_at_once(desk: Desk) -> None:
    """A new run; one that is not over, or has succeeded, has nothing to retry."""
    run = desk.begin("ken-decides", by="mkobayashi")
    assert (desk("retry", run, "--json").document["error"]["code"]) == "nothing_to_retry"
    desk.add_playbook('id: fails\nsteps:\n  - {id: end, stop: {status: failed, message: "no"}}\n')
    failed = desk("run", "fails", "--json").document["run"]

    again = desk("retry", failed, "--json")

    assert again.document["run"] != failed
    assert f"run {again.document['run']} of fails started, once more for what failed in {failed}" in again.err
    assert (again.code, again.document["status"]) == (1, "failed")
    unknown = desk("retry", failed, "ed", "--json")
    assert (unknown.code, unknown.document["error"]["code"]) == (2, "nothing_to_retry")


def test_what_waits_for_people_is_listed_with_the_command_and_for_me_alone(desk: Desk) -> None:
    """--mine leaves out what others have to decide, the own runs, and what one has voted on."""
    for_me, for_ken = desk.begin("asks"), desk.begin("ken-decides", by="mkobayashi")
    own = desk("run", "asks", "--detach", "--json").document["run"]
    desk("work")

    every = {each["run"]: each["command"] for each in desk("waiting", "--json").document["questions"]}
    mine = [each["run"] for each in desk("waiting", "--mine", "--json").document["questions"]]

    assert every == {run: f"hikeshi approve {run} ok" for run in (for_me, for_ken, own)}
    assert mine == [for_me]
    assert f"hikeshi approve {for_me} ok" in desk("waiting").out
    desk("approve", for_me, "--yes")
    assert desk("waiting", "--mine").out == "Nothing waits for you.\n"


def test_a_detached_run_is_gone_on_with_by_work_which_says_what_is_due_next(desk: Desk) -> None:
    """The command that began it ends with 0 and says how to follow it and go on."""
    begun = desk("run", "naps", "--detach")
    (row,) = desk("runs", "--json").document["runs"]
    run = row["run"]

    worked = desk("work")
    again = desk("work", "--json").document

    assert begun.code == 0
    assert f"hikeshi watch {run}" in begun.out
    assert "hikeshi work" in begun.out
    assert worked.code == 4
    assert re.search(rf"WAITS after \S+ s  run {run} of naps", worked.out)
    assert "waits for the time of nap until" in worked.out
    assert "The next is due at" in worked.out
    assert (again["runs"], again["next_at"] is not None) == ([], True)
    assert desk("run", "naps", "--detach", "--dry-run").code == 2


def test_a_signal_is_seen_by_the_run_that_waits_for_it(desk: Desk) -> None:
    """Its data comes from -i or --data; runs that nobody drives are named."""
    run = desk.begin("listens")

    passed = desk("signal", "edr.alert", "-i", "host=pc1", "--json")
    desk("work")
    told = desk("signal", "edr.alert", "--data", '{"host": "pc7"}', "--json")
    desk("work")

    assert (passed.code, passed.document["due"]) == (0, [run])
    assert told.document["data"] == {"host": "pc7"}
    assert desk.ask(lambda app: app.fold(run).outputs) == {"host": "pc7"}


def test_wrong_data_of_a_signal_records_nothing(desk: Desk) -> None:
    """What is no JSON map, both ways at once, and no name."""
    wrong = (
        ("edr.alert", "--data", "[1]"),
        ("edr.alert", "--data", "{"),
        ("edr.alert", "--data", '{"x": NaN}'),
        ("edr.alert", "--data", "{}", "-i", "a=b"),
        ("edr.alert", "-i", "a"),
        (" ",),
    )
    for arguments in wrong:
        ended = desk("signal", *arguments)
        assert (ended.code, "nothing was recorded" in ended.err) == (2, True), arguments


def test_a_finished_run_can_be_watched(desk: Desk) -> None:
    """It shows how it ended, at once, with the exit code of the run."""
    desk.add_playbook("id: short\nsteps:\n  - {id: x, set: {y: '1'}}\n")
    run = desk("run", "short", "--json").document["run"]

    ended = desk("watch", run)

    assert (ended.code, "SUCCEEDED" in ended.out) == (0, True)
    assert desk("watch", run, "--json").document["status"] == "succeeded"
    unknown = desk("watch", "x", "--json")
    assert (unknown.code, unknown.document["error"]["code"]) == (2, "unknown_run")


def test_a_run_with_the_key_of_another_one_is_refused_or_joins_it(desk: Desk) -> None:
    """`reject` is exit code 3; `join` stays with the run that is under way and says so."""
    key = 'concurrency: {key: "one", on_conflict: %s}\nsteps:\n  - {id: nap, wait: 20m}\n'
    desk.add_playbook("id: rejects\n" + key % "reject")
    desk.add_playbook("id: joins\n" + key % "join")
    desk.begin("rejects")
    first = desk.begin("joins")

    refused = desk("run", "rejects", "--json")
    joined = desk("run", "joins", "--detach", "--json")

    assert (refused.code, refused.document["error"]["code"]) == (3, "key_held")
    assert joined.document["run"] == first
    assert f"joined: run {first} of joins" in joined.err


def test_nothing_waits_and_nothing_is_held_where_nothing_ran(desk: Desk) -> None:
    """Looking makes no journal."""
    assert desk("waiting").out == "Nothing waits for anybody.\n"
    assert desk("holds").out == "Nothing is held now.\n"
    assert desk("work").out == "Nothing to do: no run was left behind.\n"
    assert desk("approve", "x", "--json").document["error"]["code"] == "unknown_run"
    assert not (desk.folder / ".hikeshi").exists()
