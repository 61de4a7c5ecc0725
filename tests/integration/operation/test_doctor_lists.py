"""What the check-up says of lists that firewalls fetch."""

from __future__ import annotations

import asyncio
import json
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


def test_an_empty_list_is_no_matter(project: Hikeshi) -> None:
    """Nothing is missing where nothing is blocked."""
    assert findings(project) == []
