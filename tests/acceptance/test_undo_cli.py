"""Taking back, from the command line: what is held, for how long, whether it is so, and letting it go."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from command_line import CommandLine
from drill import Place

from hikeshi.testing.manufacturer import FILE_SERVER, MALWARE_SHA256

ME = pwd.getpwuid(os.getuid()).pw_name
TWO = f"""id: two
name: Isolate a host and block a hash
inputs: {{hostname: {{type: host}}, hold: {{type: string, default: 2h}}}}
vars: {{hash: {{kind: sha256, value: {MALWARE_SHA256}}}}}
steps:
  - {{id: find, action: edr.get_host, with: {{name: "{{{{ inputs.hostname }}}}"}}}}
  - id: isolate
    action: edr.isolate_host
    with: {{host: "{{{{ steps.find }}}}", reason: beacon seen}}
    hold: "{{{{ inputs.hold }}}}"
  - id: block
    action: edr.block_hashes
    with: {{hashes: ["{{{{ vars.hash }}}}"], reason: malware}}
    hold: 3h
"""


@pytest.fixture
def hikeshi(tmp_path: Path, place: Place) -> CommandLine:
    command = CommandLine(tmp_path)
    command.configure(place.simulation.project_settings(place.url))
    command.add_playbook("two", TWO)
    return command


def contained(hikeshi: CommandLine, hold: str = "2h") -> str:
    """Run the playbook and return the run."""
    done = hikeshi("run", "two", "-i", f"hostname={FILE_SERVER}", "-i", f"hold={hold}", "--json")
    assert done.code == 0, done.out + done.err
    return str(done.document["run"])


def hold_of(hikeshi: CommandLine, action: str) -> str:
    found = hikeshi("holds", "--json").document["holds"]
    return str(next(each["hold"] for each in found if each["action"] == action))


@pytest.mark.safety(20)
def test_a_run_is_undone_after_showing_exactly_what_that_is(hikeshi: CommandLine, place: Place) -> None:
    """On a terminal somebody is asked; no leaves everything as it is, and yes undoes it."""
    run = contained(hikeshi)
    no = hikeshi.on_a_terminal("undo", run, typed=("Undo 2 changes? [y/N]", "n\n"))
    assert no.code == 4
    assert place.isolated() == [FILE_SERVER]
    shown = no.out.index("edr.unblock_hashes"), no.out.index("edr.release_host")
    assert shown == tuple(sorted(shown))  # the last change first
    assert "will be again   state=normal" in no.out

    yes = hikeshi.on_a_terminal("undo", run, typed=("Undo 2 changes? [y/N]", "y\n"))

    assert yes.code == 0
    assert (place.isolated(), place.prevented()) == ([], set())
    again = hikeshi("undo", run, "--yes")
    assert again.code == 0
    assert "undone already, nothing is left to do" in again.out


def test_without_a_terminal_it_has_to_be_said_beforehand(hikeshi: CommandLine, place: Place) -> None:
    """Nobody can be asked; the document of a done one says what was undone and what is left."""
    run = contained(hikeshi)
    refused = hikeshi("undo", run)
    assert (refused.code, place.isolated()) == (2, [FILE_SERVER])
    assert "--yes" in refused.err
    done = hikeshi("undo", run, "--yes", "--json", "--reason", "false alarm")
    document = done.document
    assert done.code == 0
    assert (document["undoes"], document["left"], document["status"]) == (run, [], "succeeded")
    assert [(each["path"], each["does"], each["inverse"]) for each in document["inverses"]] == [
        ("block[falcon]", "undo", "edr.unblock_hashes"),
        ("isolate", "undo", "edr.release_host"),
    ]
    assert f"started by {ME}: undo {run}: false alarm" in hikeshi("log", document["run"]).out


@pytest.mark.safety(21)
def test_what_somebody_else_changed_needs_a_person_to_say_so(hikeshi: CommandLine, place: Place) -> None:
    """Exit code 3, what is left is named, and with --override it goes."""
    run = contained(hikeshi)
    (block,) = place.estate.iocs.values()
    block.details.pop("expiration")
    block.expires_at = None

    some = hikeshi("undo", run, "--yes")
    assert some.code == 3
    assert "Still held: 1" in some.out
    assert (place.isolated(), place.prevented()) == ([], {MALWARE_SHA256})
    assert hikeshi("undo", run, "--yes").code == 3
    assert hikeshi("undo", run, "--step", "block[falcon]", "--override", "--yes").code == 0
    assert place.prevented() == set()


def test_single_holds_are_released_and_extended(hikeshi: CommandLine, place: Place) -> None:
    """By the ID that `holds` shows; what is wrong with a request is said before anything happens."""
    contained(hikeshi)
    isolated = hold_of(hikeshi, "edr.isolate_host")
    extended = hikeshi("extend", isolated, "--by", "2h", "--reason", "still looking")
    assert extended.code == 0
    assert f"on {FILE_SERVER} goes on until" in extended.out
    assert hikeshi("extend", isolated, "--until", "2020-01-01", "--reason", "r").code == 3
    for wrong in (["--by", "soon"], [], ["--by", "1h", "--until", "2030-01-01"], ["--until", "soon"], ["--by", "0s"]):
        assert hikeshi("extend", isolated, "--reason", "r", *wrong).code == 2
    assert hikeshi("extend", isolated, "--by", "1h", "--reason", " ").code == 2
    assert hikeshi("extend", "nothing", "--by", "1h", "--reason", "r").code == 2
    assert hikeshi("release", isolated, "nothing", "--yes").code == 2
    assert place.isolated() == [FILE_SERVER]

    assert hikeshi("release", isolated, "--yes").code == 0
    assert (place.isolated(), place.prevented()) == ([], {MALWARE_SHA256})
    assert hikeshi("extend", isolated, "--by", "1h", "--reason", "r").code == 3


def test_an_extension_that_the_product_does_not_know_of_is_a_warning(hikeshi: CommandLine) -> None:
    """Falcon lifts the block at the time that it was told."""
    contained(hikeshi)
    done = hikeshi("extend", hold_of(hikeshi, "edr.block_hashes"), "--by", "2h", "--reason", "r")
    assert done.code == 0
    assert "warning: falcon lifts it by itself at" in done.err
    assert "by falcon" in hikeshi("holds").out


def test_holds_are_verified_against_the_products(hikeshi: CommandLine, place: Place) -> None:
    """0 if all is as it was left, 8 after drift, 1 if something could not be read; nothing is changed by it."""
    contained(hikeshi)
    assert hikeshi("holds", "verify").code == 0
    place.forget_changes()
    place.host(FILE_SERVER).isolation = "normal"

    drift = hikeshi("holds", "verify", "--json")
    assert drift.code == 8
    assert [each["standing"] for each in drift.document["holds"]] == ["released", "held"]
    assert hikeshi("holds", "--json", "verify").document == drift.document
    assert hikeshi("holds", "verify", hold_of(hikeshi, "edr.block_hashes")).code == 0
    place.order(product="crowdstrike", path="/iocs/**", status=500)
    unread = hikeshi("holds", "verify", hold_of(hikeshi, "edr.block_hashes"))
    assert unread.code == 1
    assert "could not be read" in unread.out
    assert place.changes() == []


def test_holds_say_who_and_why_and_what_is_overdue_comes_first(hikeshi: CommandLine) -> None:
    """The block was made later and ends later; the isolation should be over."""
    run = contained(hikeshi, hold="1s")
    listed = hikeshi("holds", "--json").document["holds"]
    by_action = {each["action"]: each for each in listed}
    isolated = by_action["edr.isolate_host"]
    assert (isolated["actor"], isolated["playbook"], isolated["run"]) == (ME, "two", run)
    assert isolated["why"] == "beacon seen"
    for _ in range(20):
        listed = hikeshi("holds", "--json").document["holds"]
        if listed[0]["overdue"]:
            break
    assert [each["overdue"] for each in listed] == [True, False]
    shown = hikeshi("holds")
    assert "overdue" in shown.out.splitlines()[1]
    assert "'hikeshi work' releases them" in shown.err


@pytest.mark.safety(22)
def test_a_release_that_fails_alerts(hikeshi: CommandLine, place: Place) -> None:
    """In `work`, which tried; and in `holds`, for whoever looks later; in the logs as well."""
    contained(hikeshi, hold="1s")
    (host,) = place.estate.hosts_named(FILE_SERVER)
    host.isolation = "lift_containment_pending"
    for _ in range(20):
        if hikeshi("holds", "--json").document["holds"][0]["overdue"]:
            break
    worked = hikeshi("work", "--log-level", "warning")

    assert worked.code == 3
    assert f"ALERT: {FILE_SERVER} could not be released by run release-" in worked.err
    assert '"event": "hold_release_failed"' in worked.err
    looked = hikeshi("holds")
    assert "ALERT" in looked.err
    assert "overdue" in looked.out
