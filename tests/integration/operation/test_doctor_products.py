"""`hikeshi doctor --products`: each product is asked one read, and none of them before that is wished."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "service"))

from desk import Desk, desk_in

from hikeshi.cli.application import run_command_line
from hikeshi.testing.faults import Fault


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A project with simulated products."""
    with desk_in(tmp_path_factory.mktemp("looked-at")) as desk:
        yield desk


def look(desk: Desk, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code, and what was found of products and connectors."""
    code = run_command_line(["doctor", "--json", *options, "--project", str(desk.folder)])
    found = json.loads(capsys.readouterr().out)["findings"]
    return code, [each for each in found if each["check"] in ("products", "connectors")]


def test_nothing_is_sent_unless_that_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and secrets are looked at on this machine."""
    before = dict(desk.simulation.log.counts)

    code, found = look(desk, capsys)

    assert (code, {each["status"] for each in found}) == (0, {"ok"})
    assert len(found) == 4
    assert dict(desk.simulation.log.counts) == before


def test_each_product_is_asked_one_read(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """It answers, or has no read that takes nothing, which is said; nothing is changed."""
    desk.simulation.log.clear()

    code, found = look(desk, capsys, "--products")

    products = {each["where"]: each["what"] for each in found if each["check"] == "products"}
    assert code == 0
    assert sorted(products) == ["crowdstrike", "entra", "panos", "slack"]
    assert "answers edr.find_hosts" in products["crowdstrike"]
    assert "not asked" in products["slack"]
    assert [each for each in desk.simulation.changes if each["applied"] and "token" not in each["url"]] == []


def test_a_product_that_does_not_answer_is_a_problem(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are asked all the same."""
    desk.simulation.faults.add(Fault(product="entra", status=503, times=None))
    try:
        code, found = look(desk, capsys, "--products")
    finally:
        desk.simulation.faults.clear()

    wrong = [each for each in found if each["status"] == "problem"]
    assert (code, [each["check"] for each in wrong]) == (1, ["products"])
    assert wrong[0]["what"].startswith("entra: identity.find_users: ")
