"""The log of a run: JSON lines, each of which says of which run and step it is."""

from __future__ import annotations

import json
from pathlib import Path

from operated import make_project


def test_every_line_about_a_run_names_it_and_its_step(tmp_path: Path) -> None:
    """Lines about the run itself have the empty path."""
    project = make_project(tmp_path / "project")
    ended = project("run", "note", "--log-level", "debug", "--json")
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    about = [line for line in lines if "run" in line or line["logger"].startswith("hikeshi.run")]

    assert {line["run"] for line in about} == {ended.document["run"]}
    places = [(line["kind"], line["path"]) for line in about]
    assert places[0] == ("RunStarted", "")
    assert ("ValuesSet", "one") in places
