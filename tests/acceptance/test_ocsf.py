"""OCSF export, from the command line: what was contained on the simulated company and what was taken back."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from drill import Place
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256

ME = pwd.getpwuid(os.getuid()).pw_name
WHOLE = (
    *("-i", f"hostname={FILE_SERVER}"),
    *("-i", f"indicators={C2_ADDRESS},{C2_DOMAIN},{MALWARE_SHA256}"),
    *("-i", "user=adm-kobayashi@minato.example"),
    *("-i", "reason=ransom note"),
)
PUBLISHED = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))


@pytest.fixture
def hikeshi(tmp_path: Path, place: Place) -> CommandLine:
    command = CommandLine(tmp_path)
    command.configure(place.simulation.project_settings(place.url))
    return command


def exported(hikeshi: CommandLine, name: str, *which: str) -> list[dict[str, Any]]:
    """Export into a new file, and return the events in it."""
    done = hikeshi("audit", "ocsf", *which, "-o", name, "--json")
    assert done.code == 0, done.err
    events = [json.loads(line) for line in (hikeshi.folder / name).read_text("ascii").splitlines()]
    assert done.document == {"file": name, "run": which[0] if which != ("--all",) else None, "events": len(events)}
    return events


def wrong(event: dict[str, Any]) -> list[str]:
    """Return what the published schema says against an event."""
    name = PUBLISHED.lookup_class_name_from_uid(class_uid=event["class_uid"])
    schema = PUBLISHED.get_class_schema(class_name=name, profiles=event["metadata"]["profiles"])
    return [error.message for error in Draft202012Validator(schema).iter_errors(event)]


def classes(events: list[dict[str, Any]]) -> Counter[tuple[int, str]]:
    return Counter((event["class_uid"], event["activity_name"]) for event in events)


@pytest.mark.safety(25)
def test_a_containment_and_its_undo_are_exported(hikeshi: CommandLine) -> None:
    """One event for each hold that is listed and one for each that is released, all of them as published."""
    run = str(hikeshi("run", "contain-host", *WHOLE, "--json").document["run"])
    held = {each["hold"] for each in hikeshi("holds", "--json").document["holds"]}
    undo = str(hikeshi("undo", run, "--yes", "--json", "--reason", "false alarm").document["run"])

    contained, released = exported(hikeshi, "run.jsonl", run), exported(hikeshi, "undo.jsonl", undo)

    assert len(held) > 4
    assert [wrong(event) for event in contained + released] == [[]] * (len(contained) + len(released))
    remediated = {key: count for key, count in classes(contained).items() if key[0] // 1000 == 7}
    assert remediated == {(7002, "Isolate"): 1, (7004, "Isolate"): 3}  # a hash; a host, an address and a domain
    restored = {key: count for key, count in classes(released).items() if key[0] // 1000 == 7}
    assert restored == {(7002, "Restore"): 1, (7004, "Restore"): 3}
    assert classes(contained)[3001, "Disable"] == classes(released)[3001, "Enable"] == 1
    assert classes(contained)[3006, "Remove User"] == classes(released)[3006, "Add User"] > 0
    assert {event["status"] for event in contained + released} == {"Success"}
    assert {event["actor"]["user"]["name"] for event in contained + released} == {ME}
    assert {event["unmapped"]["hold"] for event in released} == held
    assert {event["unmapped"].get("hold") for event in contained} >= held
    assert {event["unmapped"]["reason"] for event in released} == {f"undo {run}: false alarm"}
    (isolated,) = [event for event in contained if "device" in event]
    assert (isolated["device"]["name"], isolated["unmapped"]["product"]) == (FILE_SERVER, "crowdstrike")
    assert isolated["remediation"]["desc"] == "ransom note"


@pytest.mark.safety(25)
def test_two_exports_agree_and_all_is_every_run(hikeshi: CommandLine) -> None:
    """Byte for byte, for its owner alone; a dry run adds nothing, and that somebody exported is recorded."""
    hikeshi("plan", "isolate-host", "-i", f"hostname={FILE_SERVER}")
    assert exported(hikeshi, "nothing.jsonl", "--all") == []
    run = str(hikeshi("run", "isolate-host", "-i", f"hostname={FILE_SERVER}", "--json").document["run"])
    hikeshi("undo", run, "--yes")

    first, again = exported(hikeshi, "first.jsonl", "--all"), exported(hikeshi, "again.jsonl", "--all")

    assert first == again
    assert [event["activity_name"] for event in first] == ["Isolate", "Restore"]
    assert (hikeshi.folder / "first.jsonl").read_bytes() == (hikeshi.folder / "again.jsonl").read_bytes()
    assert stat.S_IMODE((hikeshi.folder / "first.jsonl").stat().st_mode) == 0o600
    assert hikeshi("audit", "verify").code == 0
    hikeshi("audit", "export", "audit", "-o", "audit.pack")
    assert (hikeshi.folder / "audit.pack").read_bytes().count(b'"how":"ocsf"') == 3


def test_what_is_refused_leaves_no_file(hikeshi: CommandLine) -> None:
    """Neither a run nor --all, both, no such run, nothing yet, a folder that is not there; a file is never replaced."""
    assert hikeshi("audit", "ocsf", "--all", "-o", "f").code == 2  # nothing ran
    run = str(hikeshi("run", "isolate-host", "-i", f"hostname={FILE_SERVER}", "--json").document["run"])
    for wrongly in (["-o", "f"], [run, "--all", "-o", "f"], ["nothing", "-o", "f"], [run, "-o", "no/f"], [run]):
        ended = hikeshi("audit", "ocsf", *wrongly)
        assert (ended.code, ended.err != "") == (2, True)
    assert not (hikeshi.folder / "f").exists()
    (hikeshi.folder / "there").write_text("mine")
    refused = hikeshi("audit", "ocsf", run, "-o", "there")
    assert (refused.code, (hikeshi.folder / "there").read_text()) == (2, "mine")
    assert "there exists" in refused.err
    assert [each.name for each in hikeshi.folder.iterdir() if each.name.startswith(".there")] == []
