"""What every test of the language works with: a product that knows three computers, and the checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.capabilities import BUILT_IN, Catalogue
from hikeshi.connector.registry import Registry
from hikeshi.playbook import Playbook, check_playbook, load_playbook
from hikeshi.project import Person, load_config, may_decide
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.testing.fake_connector import fake_connector
from hikeshi.testing.run_harness import Outcome, RunHarness

HEAD = """id: p
inputs:
  name: {type: hostname, default: pc1}
  count: {type: integer, default: 1}
  names: {type: list, items: hostname, default: []}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - id: x
"""


PEOPLE = {
    "mei": Person("mei", "mei", "Mei Kobayashi", ("soc_lead", "analyst")),
    "ken": Person("ken", "ken", "Ken Ito", ("analyst",)),
    "ana": Person("ana", "ana", "Ana Silva", ()),
}


class Playbooks:
    """The playbooks that others can run, from their texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        loaded = [load_playbook(text, "other.yaml")[0] for text in texts]
        self._known = {playbook.id: playbook for playbook in loaded if playbook is not None}

    def playbook(self, playbook_id: str) -> Playbook | None:
        return self._known.get(playbook_id)

    def ids(self) -> Iterable[str]:
        return self._known


def codes_of(text: str, *others: str) -> list[str]:
    """Return the codes of everything that is wrong with a playbook's text."""
    playbook, problems = load_playbook(text, "p.yaml")
    if playbook is None:
        return [problem.code for problem in problems]
    catalogue = Catalogue()
    for capability in BUILT_IN:
        catalogue.add(capability.specs())
    return [problem.code for problem in check_playbook(playbook, catalogue, Playbooks(others))]


@pytest.fixture
def codes() -> Callable[..., list[str]]:
    """Give the function that checks a playbook's text: `codes(text, *others)`."""
    return codes_of


@pytest.fixture
def codes_of_step() -> Callable[..., list[str]]:
    """Give the function that checks a step with the ID x after one called find: `codes_of_step(keys, more)`.

    `keys` are the step's lines, `more` what stands below it: further steps, further keys of the file.
    """

    def check(keys: str, more: str = "") -> list[str]:
        lines = "".join(f"    {line}\n" for line in keys.splitlines())
        return codes_of(HEAD + lines + more)

    return check


@pytest.fixture
def harness() -> RunHarness:
    made = RunHarness()
    for name in ("pc1", "pc2", "pc3"):
        made.world.add_host(name)
    return made


@pytest.fixture
def asking(harness: RunHarness) -> RunHarness:
    """Give a harness with people; a run that waits for them is left alone until somebody goes on with it."""
    harness.may_decide = lambda sender, by: sender in PEOPLE and may_decide(PEOPLE[sender], by)
    harness.park_after_s = 1
    return harness


Says = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def says(asking: RunHarness) -> Says:
    """Give the function with which somebody answers what the run asks now: `says("mei", "approve", "ok", note=...)`."""

    async def say(sender: str, kind: str, path: str, **data: Any) -> Outcome:
        asked = asking.questions()[path]
        await asking.tell(kind, {"path": path, "digest": asked["digest"], **data}, sender=sender)
        return await asking.go_on()

    return say


@pytest.fixture
async def project(tmp_path: Path, harness: RunHarness) -> AsyncIterator[Callable[[str], Hikeshi]]:
    """Give the function that opens a project with one playbook and the harness's product, on virtual time."""
    opened: list[Hikeshi] = []

    def open_with(text: str) -> Hikeshi:
        (tmp_path / "playbooks").mkdir()
        (tmp_path / "playbooks" / "it.yaml").write_text(text, encoding="utf-8")
        (tmp_path / "hikeshi.yaml").write_text("connectors: {fake: {product: fake}}\n", encoding="utf-8")
        registry = Registry()
        registry.add(fake_connector(harness.world))
        opened.append(Hikeshi(load_config(tmp_path), clock=FakeClock(), registry=registry))
        return opened[-1]

    yield open_with
    for app in opened:
        await app.aclose()
