"""Runs that wait for people, in processes of their own: one runs, another decides, a third looks on."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import Begun, CommandLine
from drill import Place

from hikeshi.app import Hikeshi
from hikeshi.testing.manufacturer import FILE_SERVER

ME = pwd.getpwuid(os.getuid()).pw_name
PEOPLE = f"""
people:
  me: {{login: {ME!r}, roles: [lead]}}
  mei: {{login: mkobayashi, roles: [lead]}}
"""
GATED = """id: gated
name: Isolate a host once a lead agrees
inputs: {hostname: {type: host}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: ok, approve: "Isolate {{ steps.find.name }}?", by: [role:lead], within: 15m}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: 8h}
"""
THEN_WAITS = """id: then-waits
name: Isolate a host and wait
inputs: {hostname: {type: host}, hold: {type: string, default: 8h}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: "{{ inputs.hold }}"}
  - {id: nap, wait: 20m}
"""
HOST = ("-i", f"hostname={FILE_SERVER}")


@pytest.fixture
def hikeshi(tmp_path: Path, place: Place) -> CommandLine:
    """A shell in a project with two leads, one of whom is the tester."""
    command = CommandLine(tmp_path)
    command.configure(place.simulation.project_settings(place.url), PEOPLE)
    command.add_playbook("gated", GATED)
    command.add_playbook("then-waits", THEN_WAITS)
    return command


def say(hikeshi: CommandLine, run: str, kind: str, by: str, **data: Any) -> None:
    """Let another person have a say to a run, from a process in which it is not driven."""

    async def told() -> None:
        app = Hikeshi.open(hikeshi.folder)
        try:
            (question,) = app.questions(run)
            message = {"path": question["path"], "digest": question["digest"], **data}
            await app.journal.post(run, kind, message, sender=by, at=app.clock.now())
        finally:
            await app.aclose()

    asyncio.run(told())


def begin_as(hikeshi: CommandLine, playbook: str, by: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let another person begin a run, and leave it alone where it waits."""
    for name, value in hikeshi.environment.items():
        monkeypatch.setenv(name, value)

    async def begun() -> str:
        app = Hikeshi.open(hikeshi.folder)
        app.park_after_s = 5.0
        try:
            state = await app.start_run(playbook, {"hostname": FILE_SERVER}, actor=by, mode="live", detach=True)
            await app.go_on(state.run)
            return state.run
        finally:
            await app.aclose()

    return asyncio.run(begun())


def run_of(begun: Begun) -> str:
    """Return the run that a command has announced."""
    found = re.search(r"run (\S+) of \S+ started", begun.until(" started"))
    assert found is not None
    return found[1]


def test_one_runs_another_approves_and_a_third_looks_on(hikeshi: CommandLine, place: Place) -> None:
    """The starter's process waits, says for what and what to type, and goes on; whoever watches sees all of it."""
    runner = hikeshi.begin("run", "gated", *HOST)
    run = run_of(runner)
    waits = runner.until(f"hikeshi approve {run} ok")
    watcher = hikeshi.begin("watch", run)
    watcher.until("waits for an approval at ok")
    assert place.changes() == []

    say(hikeshi, run, "approve", "mkobayashi", note="do it")
    ran, watched = runner.ended(), watcher.ended()

    assert re.search(r"waits for an approval at ok until \S+ \S+ \(in 14 min \d+ s\): Isolate fs-tyo-01\?", waits)
    assert (ran.code, watched.code) == (0, 0)
    assert "SUCCEEDED" in ran.out
    assert "Held now: 1; the first ends at" in ran.out
    assert "ok  mkobayashi approves: do it" in watched.out
    assert f"about to send edr.isolate_host for {FILE_SERVER} to falcon" in watched.out
    assert "SUCCEEDED" in watched.out
    assert place.isolated() == [FILE_SERVER]


def test_an_approval_is_decided_on_a_terminal_and_shows_what_it_allows(
    hikeshi: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No leaves the question open; yes lets the run go on, and this command with it."""
    run = begin_as(hikeshi, "gated", "mkobayashi", monkeypatch)

    no = hikeshi.on_a_terminal("approve", run, typed=("[y/N]", "n\r"), NO_COLOR="1")
    assert no.code == 4
    assert f"edr.isolate_host  {FILE_SERVER}  on falcon  {place_id(place)}" in no.out
    assert "Nothing was sent" in no.out
    assert place.changes() == []
    yes = hikeshi.on_a_terminal("approve", run, typed=("[y/N]", "y\r"), NO_COLOR="1")

    assert yes.code == 0
    assert f"approved: ok of run {run}" in yes.out
    assert place.isolated() == [FILE_SERVER]


def place_id(place: Place) -> str:
    return f"falcon:host:{place.host(FILE_SERVER).id}"


def test_ctrl_c_while_a_run_waits_leaves_it_to_work(hikeshi: CommandLine, place: Place) -> None:
    """It says what the run waits for; after the answer, `work` goes on with it."""
    runner = hikeshi.begin("run", "gated", *HOST)
    run = run_of(runner)
    runner.until(f"hikeshi approve {run} ok")
    runner.interrupt()
    stopped = runner.ended()

    assert stopped.code == 130
    assert "'hikeshi work' goes on with it" in stopped.err
    assert stopped.err.count(f"hikeshi approve {run} ok") == 2
    say(hikeshi, run, "approve", "mkobayashi")
    worked = hikeshi("work", "--json")

    (report,) = worked.document["runs"]
    assert (worked.code, report["run"], report["status"]) == (0, run, "succeeded")
    assert place.isolated() == [FILE_SERVER]


def test_a_cancelled_run_says_what_stays_contained(hikeshi: CommandLine, place: Place) -> None:
    """The process that waits ends with it; what is held stays held, with its end, and is listed."""
    runner = hikeshi.begin("run", "then-waits", *HOST)
    run = run_of(runner)
    runner.until("waits for the time of nap")

    ended = hikeshi("cancel", run, "--reason", "false alarm")
    ran = runner.ended()

    assert ended.code == 0
    assert "What was contained stays so: 1" in ended.out
    assert re.search(rf"edr.isolate_host  {FILE_SERVER}  on falcon  until .*\(in 7 h 59 min\)", ended.out)
    assert (ran.code, f"cancelled by {ME}: false alarm" in ran.out) == (1, True)
    (hold,) = hikeshi("holds", "--json").document["holds"]
    assert (hold["label"], hold["status"], hold["run"]) == (FILE_SERVER, "active", run)
    assert FILE_SERVER in hikeshi("holds").out
    again = hikeshi("cancel", run, "--reason", "x", "--json")
    assert (again.code, again.document["error"]["code"]) == (3, "run_is_over")


def test_a_worker_that_stays_goes_on_with_what_is_begun_and_ends_in_good_order(
    hikeshi: CommandLine, place: Place
) -> None:
    """A detached run is taken up at once, said in a line when it waits, and SIGTERM is no failure."""
    worker = hikeshi.begin("work", "--stay")
    worker.until("Working.")

    begun = hikeshi("run", "then-waits", *HOST, "-i", "hold=2s", "--detach", "--json")
    run = begun.document["run"]
    worker.until(f"run {run} of then-waits: 1 change")
    worker.until("SUCCEEDED")  # the hold was over, and was released
    worker.interrupt(signal.SIGTERM)
    ended = worker.ended()

    assert begun.code == 0
    assert ended.code == 0
    assert "Stopped." in ended.err
    assert re.search(r"run release-\S+ of release-expired: 1 change", ended.out)
    assert place.isolated() == []
    assert hikeshi("holds").out == "Nothing is held now.\n"
    (row,) = [row for row in hikeshi("runs", "--json").document["runs"] if row["run"] == run]
    assert row["status"] == "waiting"


def test_who_approves_without_the_secrets_leaves_the_run_to_those_who_have_them(
    hikeshi: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lead's shell has no credentials of the products; the worker's has, and no step fails for that."""
    run = begin_as(hikeshi, "gated", "mkobayashi", monkeypatch)
    worker = hikeshi.begin("work", "--stay", "--json")
    worker.until("Working.")
    for name in hikeshi.environment:
        monkeypatch.delenv(name, raising=False)
    lead = CommandLine(hikeshi.folder)

    ended = lead("approve", run, "--yes", "--json")
    worker.until('"succeeded"')
    worker.interrupt(signal.SIGTERM)

    assert (ended.code, ended.document["status"]) == (0, "succeeded")
    assert [json.loads(line)["run"] for line in worker.ended().out.splitlines()][-1] == run
    assert place.isolated() == [FILE_SERVER]


def test_a_reader_that_has_seen_enough_leaves_no_traceback(hikeshi: CommandLine) -> None:
    """`hikeshi waiting | head -0`."""
    hikeshi("run", "gated", *HOST, "--detach")
    hikeshi("work")
    begun = hikeshi.start("waiting")
    assert begun.stdout is not None
    assert begun.stderr is not None
    begun.stdout.close()
    err = begun.stderr.read()
    begun.stderr.close()

    assert begun.wait(30) == 1
    assert "Traceback" not in err
