"""The command line on a project whose products are simulated: plans, runs, what goes wrong in them, and the record."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import CommandLine
from drill import Place, served

from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER

HOST = ("-i", f"hostname={FILE_SERVER}")
CONTAIN = {"product": "crowdstrike", "method": "POST", "path": "/devices/entities/devices-actions/v2"}


@pytest.fixture
def hikeshi(tmp_path: Path, place: Place) -> CommandLine:
    """A shell in a project that is bound to all four products."""
    command = CommandLine(tmp_path)
    command.configure(place.simulation.project_settings(place.url))
    return command


@pytest.fixture
def slow_place() -> Iterator[Place]:
    """A company whose EDR takes a minute to isolate a host."""
    with served(settle_s=60.0) as place:
        yield place


def wait_until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


# --- plans


def test_a_plan_for_programs_names_every_action_and_changes_nothing(hikeshi: CommandLine, place: Place) -> None:
    """`plan --json` gives the documented keys, the exact requests, and no change arrives anywhere."""
    ended = hikeshi("plan", "contain-host", *HOST, "-i", f"indicators={C2_ADDRESS},{C2_DOMAIN}", "--json")

    assert ended.code == 0
    plan = ended.document
    assert {"plan", "digest", "playbook", "actions"} <= plan.keys()
    for action in plan["actions"]:
        wanted = {"path", "action", "connector", "effect", "certainty", "target", "requests", "complete", "not_checked"}
        assert wanted <= action.keys()
    (isolate,) = [each for each in plan["actions"] if each["action"] == "edr.isolate_host"]
    assert (isolate["effect"], isolate["certainty"], isolate["complete"]) == ("change", "certain", True)
    assert isolate["target"]["label"] == FILE_SERVER
    assert isolate["requests"][0]["method"] == "POST"
    assert isolate["requests"][0]["body"] == {"ids": [place.host(FILE_SERVER).id]}
    assert place.changes() == []


def test_a_plan_for_people_shows_requests_conditions_and_what_was_not_checked(
    hikeshi: CommandLine, place: Place
) -> None:
    """Target, connector, certainty, request, and the doubts are all on the page; secrets are not."""
    ended = hikeshi("run", "contain-host", *HOST, "--dry-run")

    assert ended.code == 0
    assert "edr.isolate_host  on falcon  certain" in ended.out
    assert "maybe: if something failed" in ended.out
    assert f"POST {place.url}/crowdstrike/devices/entities/devices-actions/v2?action_name=contain" in ended.out
    assert "not checked  whether falcon accepts the change" in ended.out
    assert "Nothing was changed" in ended.out
    assert not any(secret in ended.out + ended.err for secret in hikeshi.environment.values())
    assert place.changes() == []


def test_a_large_batch_is_abbreviated_for_people_and_whole_for_programs(hikeshi: CommandLine, tmp_path: Path) -> None:
    """People see three and a count; --json has all."""
    (tmp_path / "iocs.txt").write_text("\n".join(f"198.51.100.{n}" for n in range(1, 201)) + "\n", encoding="utf-8")

    shown = hikeshi("plan", "block-indicators", "-i", "indicators=@iocs.txt")
    whole = hikeshi("plan", "block-indicators", "-i", "indicators=@iocs.txt", "--json")

    assert "198.51.100.1, 198.51.100.2, 198.51.100.3 and 197 more" in shown.out
    assert "198.51.100.77" not in "".join(line for line in shown.out.splitlines() if "target" in line)
    assert len(whole.document["actions"][0]["target"]) == 200


def test_a_plan_of_something_that_is_so_already_says_so(hikeshi: CommandLine, place: Place) -> None:
    """Nothing would be sent for a host that is isolated."""
    place.estate.contain(place.host(FILE_SERVER).id)
    time.sleep(0.1)

    ended = hikeshi("plan", "isolate-host", *HOST)

    assert ended.code == 0
    assert "It is so already: nothing would be sent." in ended.out


# --- runs


def test_a_run_for_programs_gives_every_step_and_only_json_on_stdout(hikeshi: CommandLine, place: Place) -> None:
    """`run --json` gives the documented keys; progress goes to the standard error."""
    ended = hikeshi("run", "isolate-host", *HOST, "--json")

    assert ended.code == 0
    report = ended.document
    assert {"run", "playbook", "mode", "status", "steps", "outputs"} <= report.keys()
    assert (report["playbook"], report["mode"], report["status"]) == ("isolate-host", "live", "succeeded")
    assert {"status", "attempts", "error"} <= report["steps"]["isolate"].keys()
    assert report["steps"]["isolate"]["status"] == "succeeded"
    assert report["outputs"]["isolation"]["state"] == "isolated"
    assert report["run"] in ended.err
    assert place.isolated() == [FILE_SERVER]


def test_a_run_for_people_says_what_happened(hikeshi: CommandLine) -> None:
    """The end names the changes with their targets, and where to read on; without a terminal there is no colour."""
    ended = hikeshi("run", "contain-host", *HOST, "-i", "user=kenji.sato")

    assert ended.code == 0
    assert "SUCCEEDED" in ended.out
    assert "Done: 3 changes, 2 messages" in ended.out
    assert re.search(rf"edr\.isolate_host +{FILE_SERVER}  on falcon", ended.out)
    assert "hikeshi log " in ended.out
    assert "\x1b" not in ended.out + ended.err


def test_running_again_says_that_it_was_so_already(hikeshi: CommandLine, place: Place) -> None:
    """A second run sends no change and does not claim one."""
    hikeshi("run", "isolate-host", *HOST)

    ended = hikeshi("run", "isolate-host", *HOST)

    assert ended.code == 0
    assert "It was so already, nothing was sent: 1" in ended.out
    assert "Done: 0 changes" in ended.out
    assert len(place.changes()) == 1


def test_a_failed_run_says_what_failed_and_what_did_not_happen(hikeshi: CommandLine, place: Place) -> None:
    """Exit code 1; the failure with the product's words, what it blocked, and what happened all the same."""
    place.order(product="entra", method="PATCH", status=403, times=None)

    ended = hikeshi("run", "contain-host", *HOST, "-i", "user=kenji.sato")

    assert ended.code == 1
    assert "FAILED" in ended.out
    assert "NOT done, it failed: 1" in ended.out
    assert "identity.disable_user" in ended.out.partition("NOT done")[2]
    assert "step contain.restrict.restrict.disable" in ended.out
    assert "Tell the people concerned" in ended.out.partition("for something that it needs failed")[2]
    assert place.isolated() == [FILE_SERVER]


def test_several_hosts_of_one_name_are_listed(hikeshi: CommandLine, place: Place) -> None:
    """An ambiguous name isolates nothing and shows the candidates."""
    ended = hikeshi("run", "isolate-host", "-i", "hostname=build-01")

    assert ended.code == 1
    assert ended.out.count("could be: ") == 2
    assert "Say which one" in ended.out
    assert place.changes() == []


def test_a_large_input_may_come_from_a_file_or_the_standard_input(hikeshi: CommandLine, place: Place) -> None:
    """Lists are read from either, defanged as people send them."""
    ended = hikeshi("run", "block-indicators", "-i", "indicators=-", stdin="203[.]0[.]113[.]66\n198.51.100.23\n")

    assert ended.code == 0
    assert place.tagged() == {"203.0.113.66", "198.51.100.23"}


def test_the_actor_is_the_user_of_the_operating_system(hikeshi: CommandLine) -> None:
    """Nobody can run as somebody else by an option, nor by a variable of the environment."""
    hikeshi("run", "isolate-host", *HOST, LOGNAME="ceo", USER="ceo", LNAME="ceo", USERNAME="ceo")

    (row,) = hikeshi("runs", "--json").document["runs"]

    assert row["actor"] == pwd.getpwuid(os.getuid()).pw_name
    assert hikeshi("run", "isolate-host", *HOST, "--actor", "ceo").code == 2


# --- an unknown outcome


def test_an_unknown_outcome_has_its_own_exit_code_and_is_resolved_by_a_person(
    tmp_path: Path, slow_place: Place
) -> None:
    """The answer is lost and the product stays silent: exit code 5, advice, and `resolve` goes on with the run."""
    hikeshi = CommandLine(tmp_path)
    hikeshi.configure(slow_place.simulation.project_settings(slow_place.url))
    slow_place.order(**CONTAIN, drop="after")
    process = hikeshi.start("run", "isolate-host", *HOST)
    wait_until(lambda: slow_place.changes())
    slow_place.order(product="crowdstrike", drop="before", times=None)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "AN OUTCOME IS UNKNOWN" in out
    assert "UNKNOWN, it was sent and may or may not have happened: 1" in out
    assert "'isolate' --happened" in out
    (row,) = hikeshi("runs", "--json").document["runs"]
    assert row["status"] == "waiting"

    nothing = hikeshi("work")
    assert nothing.code == 0
    assert "waits for somebody" in nothing.out
    unfit = hikeshi("resolve", row["run"], "find", "--happened", "--json")
    assert (unfit.code, unfit.document["error"]["code"]) == (2, "nothing_to_resolve")
    assert hikeshi("resolve", row["run"], "isolate").code == 2

    ended = hikeshi("resolve", row["run"], "isolate", "--did-not-happen")

    assert ended.code == 1
    assert hikeshi("runs", "--json").document["runs"][0]["status"] == "failed"
    assert len(slow_place.changes()) == 1


# --- a process that ends too early


def test_a_killed_run_is_gone_on_with_and_sends_nothing_twice(tmp_path: Path, slow_place: Place) -> None:
    """Killed while it waits for the product: `runs` says so, `work` reads back and finishes."""
    hikeshi = CommandLine(tmp_path)
    hikeshi.configure(slow_place.simulation.project_settings(slow_place.url))
    process = hikeshi.start("run", "isolate-host", *HOST)
    wait_until(lambda: slow_place.changes())
    process.kill()
    process.communicate()
    assert hikeshi("runs", "--json").document["runs"][0]["status"] == "interrupted"
    assert slow_place.control.post("/_estate/clock", json={"advance_s": 3600}).status_code == 200

    ended = hikeshi("work", "--json")

    assert ended.code == 0
    (report,) = ended.document["runs"]
    assert report["status"] == "succeeded"
    assert len(slow_place.changes()) == 1
    again = hikeshi("work")
    assert (again.code, again.out) == (0, "Nothing to do: no run was left behind.\n")


def test_ctrl_c_says_that_the_run_is_stored(tmp_path: Path, slow_place: Place) -> None:
    """Exit code 130, and the words say which command goes on."""
    hikeshi = CommandLine(tmp_path)
    hikeshi.configure(slow_place.simulation.project_settings(slow_place.url))
    process = hikeshi.start("run", "isolate-host", *HOST)
    wait_until(lambda: slow_place.changes())
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "'hikeshi work' goes on with it" in err
    assert "Traceback" not in err
    assert hikeshi("runs", "--json").document["runs"][0]["status"] == "interrupted"


# --- the record


def test_the_log_and_the_list_of_runs_tell_what_happened(hikeshi: CommandLine) -> None:
    """Both read well, and both have a document."""
    assert hikeshi("runs").out == "There are no runs here yet.\n"
    assert not (hikeshi.folder / ".hikeshi").exists()
    run = hikeshi("run", "isolate-host", *HOST, "--json").document["run"]

    assert re.search(rf"{run}  isolate-host  live +succeeded", hikeshi("runs").out)
    shown = hikeshi("log", run)
    assert f"about to send edr.isolate_host for {FILE_SERVER} to falcon" in shown.out
    events = hikeshi("log", run, "--json").document["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"seq", "at", "path", "kind", "text"} <= events[0].keys()
    unknown = hikeshi("log", "20250101-000000-aaaaaa", "--json")
    assert (unknown.code, unknown.document["error"]["code"]) == (2, "unknown_run")


def test_an_intact_journal_is_said_to_be_unanchored(hikeshi: CommandLine) -> None:
    """0 with a warning; 7 where anchors are demanded."""
    hikeshi("run", "isolate-host", *HOST)

    ended = hikeshi("audit", "verify", "--json")
    strict = hikeshi("audit", "verify", "--strict")

    assert ended.code == 0
    assert (ended.document["status"], ended.document["first_bad"]) == ("ok_unanchored_tail", None)
    assert ended.document["records"] > 5
    assert strict.code == 7
    assert "not anchored" in strict.out
    assert "cut off" in strict.out


def test_a_changed_record_is_named(hikeshi: CommandLine) -> None:
    """6, and the first bad record by its run and number."""
    run = hikeshi("run", "isolate-host", *HOST, "--json").document["run"]
    with contextlib.closing(sqlite3.connect(hikeshi.folder / ".hikeshi" / "journal.db")) as connection, connection:
        connection.execute("DROP TRIGGER records_are_not_updated")
        connection.execute(
            "UPDATE records SET encoded = CAST(replace(CAST(encoded AS TEXT), 'edr', 'abc') AS BLOB) WHERE seq = 2"
        )

    ended = hikeshi("audit", "verify", "--json")

    assert (ended.code, ended.document["status"]) == (6, "broken")
    assert (ended.document["first_bad"]["run"], ended.document["first_bad"]["seq"]) == (run, 2)
    assert "BROKEN" in hikeshi("audit", "verify").out


def test_a_journal_that_is_none_stops_every_run(hikeshi: CommandLine, place: Place) -> None:
    """6 for all that needs it, and nothing is sent."""
    (hikeshi.folder / ".hikeshi").mkdir()
    (hikeshi.folder / ".hikeshi" / "journal.db").write_bytes(b"this is not a journal, and never was" * 200)

    for arguments in (("run", "isolate-host", *HOST), ("runs",), ("log", "x"), ("audit", "verify"), ("work",)):
        ended = hikeshi(*arguments, "--json")
        assert (ended.code, ended.document["error"]["code"]) == (6, "journal"), arguments
    assert place.changes() == []


def test_without_any_run_there_is_no_journal_to_verify(hikeshi: CommandLine) -> None:
    """Nothing is not intact."""
    assert hikeshi("audit", "verify").code == 6


# --- on a terminal


def test_a_terminal_gets_colour_and_a_live_tree(hikeshi: CommandLine, place: Place) -> None:
    """While the run waits its tree is redrawn; the end stays on the screen."""
    place.order(product="crowdstrike", method="GET", delay_s=1.0)

    ended = hikeshi.on_a_terminal("run", "isolate-host", *HOST)

    assert ended.code == 0
    assert "\x1b[?25l" in ended.out  # the cursor is hidden while something is redrawn
    assert "Ctrl-C stops here" in ended.out
    assert "\x1b[32mSUCCEEDED" in ended.out


def test_no_color_is_honoured_on_a_terminal(hikeshi: CommandLine) -> None:
    """https://no-color.org"""
    ended = hikeshi.on_a_terminal("run", "isolate-host", *HOST, NO_COLOR="1")

    assert ended.code == 0
    assert not re.search(r"\x1b\[[0-9;]*m", ended.out)
    assert "SUCCEEDED" in ended.out
