"""What the check-up says of lists that firewalls fetch."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from hikeshi.app import Hikeshi
from hikeshi.app.doctor import check_project
from hikeshi.app.finding import Finding
from hikeshi.project import load_config


@pytest.fixture
def project(tmp_path: Path) -> Hikeshi:
    """A project that publishes lists, with one address on them."""
    settings = {"product": "edl", "folder": str(tmp_path / "lists"), "polled_within_s": None, "pollers": ["127.0.0.1"]}
    (tmp_path / "hikeshi.yaml").write_text(json.dumps({"connectors": {"lists": settings}}))  # JSON is YAML
    return Hikeshi(load_config(tmp_path))


def findings(app: Hikeshi) -> list[Finding]:
    found = [each for each in check_project(app) if each.check == "lists"]
    asyncio.run(app.aclose())
    return found


def test_a_list_that_nobody_fetches_is_told(project: Hikeshi) -> None:
    """What stands on it blocks nothing."""
    store = project.instances.get("lists").store  # type: ignore[attr-defined]
    store.add({"ipv4": ["203.0.113.9"]}, "r", 3600)
    (found,) = [each for each in findings(project) if "ipv4" in each.what]

    assert found.status == "warning"
    assert "1 entries and was never fetched: they block nothing" in found.what


@pytest.mark.parametrize(
    ("listed", "fetched", "taken_off", "warned"),
    [(-2000, -1900, -1800, True), (-2000, -1700, -1800, False), (-2000, -100, -50, False)],
    ids=["not since", "since", "it may come yet"],
)
def test_a_list_whose_emptying_nobody_fetched_is_told(
    project: Hikeshi, listed: int, fetched: int, taken_off: int, warned: bool
) -> None:
    """The firewall that had it has stopped polling, and blocks what was on it for ever."""
    lists = project.instances.get("lists").published_lists()
    store = project.instances.get("lists").store  # type: ignore[attr-defined]
    now, address = time.time(), {"ipv4": ["203.0.113.9"]}

    def fetch() -> None:
        assert lists is not None
        text = lists.read("ipv4")
        assert text is not None
        lists.polled(text, "127.0.0.1")

    steps = {listed: lambda: store.add(address, "r", None), taken_off: lambda: store.remove(address), fetched: fetch}
    for at_s in sorted(steps):
        store.clock = lambda at_s=at_s: now + at_s
        steps[at_s]()
    found = findings(project)

    assert [each.status for each in found] == ["warning"] * warned
    assert all("may still block what was on it" in each.what and "not for 3" in each.what for each in found)


def test_an_empty_list_is_no_matter(project: Hikeshi) -> None:
    """Nothing is missing where nothing is blocked."""
    assert findings(project) == []
