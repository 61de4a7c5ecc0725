"""Saved plans, guardrails and the kill switch on the command line, each command a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine
from drill import Place

from hikeshi.testing.manufacturer import FILE_SERVER

HOST = ("-i", f"hostname={FILE_SERVER}")


@pytest.fixture
def hikeshi(tmp_path: Path, place: Place) -> CommandLine:
    """A shell in a project that is bound to all four products."""
    command = CommandLine(tmp_path)
    command.configure(place.simulation.project_settings(place.url))
    return command


def test_a_plan_is_saved_shown_applied_and_refused_the_second_time(
    hikeshi: CommandLine, place: Place, tmp_path: Path
) -> None:
    """Each says what comes next; the refusal is one line and has the exit code of refusals."""
    saved = hikeshi("plan", "isolate-host", *HOST, "-o", "plan.json")
    assert (saved.code, place.changes()) == (0, [])
    assert "hikeshi apply plan.json" in saved.out

    shown = hikeshi("show", "plan.json")
    assert (shown.code, "good until" in shown.out) == (0, True)
    document = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert hikeshi("show", "plan.json", "--json").document == document

    applied = hikeshi("apply", "plan.json", "--json")
    assert (applied.code, applied.document["status"], place.isolated()) == (0, "succeeded", [FILE_SERVER])

    again = hikeshi("apply", "plan.json")
    assert again.code == 3
    assert again.err.strip() == (
        f"error: the plan was applied already, as run {applied.document['run']}; a plan is applied once"
    )


def test_a_plan_says_how_it_differs_from_an_older_one(hikeshi: CommandLine, place: Place) -> None:
    """Nothing if it does not, and what has changed otherwise."""
    hikeshi("plan", "isolate-host", *HOST, "-o", "old.json")
    same = hikeshi("plan", "isolate-host", *HOST, "--against", "old.json", "--json")
    assert same.document["differences"] == []

    place.host(FILE_SERVER).isolation = "contained"

    other = hikeshi("plan", "isolate-host", *HOST, "--against", "old.json", "--json")
    assert "already" in {each["what"] for each in other.document["differences"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("apply", "nothing.json"), "No such file"),
        (("apply", "hikeshi.yaml"), "not JSON"),
        (("apply", "empty.json"), "not a plan"),
        (("show", "empty.json"), "not a plan"),
        (("plan", "isolate-host", *HOST, "-o", "no/such/folder.json"), "could not be written"),
        (("plan", "isolate-host", *HOST, "-o", "p.json", "--good-for", "9d"), "a week at most"),
        (("plan", "isolate-host", *HOST, "-o", "p.json", "--good-for", "soon"), "--good-for"),
        (("plan", "isolate-host", *HOST, "--against", "nothing.json"), "No such file"),
        (("stop", "nonsense"), "write everything, connector:NAME"),
        (("release-stop",), "is not engaged"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    hikeshi: CommandLine, tmp_path: Path, place: Place, arguments: tuple[str, ...], says: str
) -> None:
    """With the exit code of wrong input, and nothing was changed."""
    (tmp_path / "empty.json").write_text("{}", encoding="utf-8")

    ended = hikeshi(*arguments)

    assert ended.code == 2
    assert says in ended.err
    assert place.changes() == []


@pytest.mark.safety(12)
def test_the_kill_switch_holds_in_every_process_until_it_is_released(hikeshi: CommandLine, place: Place) -> None:
    """One person engages it here, and one releases it."""
    assert hikeshi("stop", "--reason", "wrong playbook", "--json").document["engaged"][0]["stop"] == "everything"

    refused = hikeshi("run", "isolate-host", *HOST)

    assert (refused.code, place.isolated()) == (3, [])
    assert "the kill switch 'everything' is engaged" in refused.out
    assert "wrong playbook" in hikeshi("stops").out
    assert hikeshi("release-stop", "--json").document == {"stop": "everything", "released": True, "engaged": None}
    assert "No kill switch is engaged." in hikeshi("stops").out
    assert hikeshi("run", "isolate-host", *HOST).code == 0


@pytest.mark.safety(10)
def test_what_is_protected_is_said_before_and_while_it_is_refused(hikeshi: CommandLine, place: Place) -> None:
    """The rule, where it is written, and who may lift it."""
    rule = '{"hosts": ["fs-*"], "why": "file servers", "lift": "role:admin"}'
    settings = place.simulation.project_settings(place.url)
    hikeshi.configure(settings, f'guardrails: {{"protected": [{rule}]}}\n')

    asked = hikeshi("guardrails", "check", FILE_SERVER, "--action", "edr.isolate_host")
    refused = hikeshi("run", "isolate-host", *HOST)

    for ended in (asked, refused):
        assert ended.code == 3
        assert "file servers" in ended.out
        assert "hikeshi.yaml:" in ended.out
        assert "role:admin may lift it" in ended.out
    assert place.isolated() == []
