"""A served project, and browsers of the people who work with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Tests are no package; these speak of the desk that the tests of the service have.
sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "integration" / "service"))

from chromium import Visitor, missing, running_browser
from desk import Desk, Served, desk_in
from playwright.sync_api import Browser

RULES = {"approvals": [{"actions": ["edr.isolate_host"], "by": ["role:soc_lead"], "within": "30m"}]}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A project with simulated products, in which isolating a host takes an approval."""
    playbooks: dict[str, str] = getattr(request.module, "PLAYBOOKS", {})
    with desk_in(tmp_path_factory.mktemp("console"), guardrails=RULES) as desk:
        for name, text in playbooks.items():
            desk.add_playbook(name, text)
        yield desk


@pytest.fixture(scope="module")
def served(desk: Desk) -> Iterator[Served]:
    """The project, served by a process of its own."""
    with desk.served("--no-triggers") as served:
        yield served


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Browser]:
    """A real Chromium. It is there for one module only, and after the project: while it is, the thread has a loop."""
    if missing():
        pytest.skip(missing())
    with running_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, desk: Desk, served: Served) -> Iterator[Callable[..., Visitor]]:
    """Let somebody come in by their role; all of them leave at the end, and nothing may have gone wrong."""
    visitors: list[Visitor] = []

    def come_in(role: str, **options: Any) -> Visitor:
        visitors.append(Visitor.come_in(browser, served.url, desk.tokens[role], **options))
        return visitors[-1]

    yield come_in
    for each in visitors:
        each.leave()


@pytest.fixture
def host(desk: Desk) -> Callable[[int], str]:
    """Give the name of a host that there is once, by a number."""
    names = [each.name for each in desk.simulation.estate.hosts.values()]
    alone = sorted(name for name in names if names.count(name) == 1 and not name.startswith("dc-"))
    return lambda number: alone[number]
