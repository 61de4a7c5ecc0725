"""Log lines say of which run and step they are, whoever writes them."""

from __future__ import annotations

import json
import subprocess
import sys

from hikeshi.capabilities import Host
from hikeshi.cli.logs import _add_place
from hikeshi.runtime.log_context import WORKS_FOR
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.run_harness import RunHarness

PROGRAM = """
import asyncio, logging
from hikeshi.cli.logs import write_logs
from hikeshi.runtime.log_context import WORKS_FOR
from hikeshi.secrets import Redactor
write_logs("info", Redactor())

async def step(run, path):
    WORKS_FOR.set((run, path))
    await asyncio.sleep(0)
    logging.getLogger("some.library").warning("sent something")

async def main():
    await asyncio.gather(*(asyncio.create_task(step("r-1", path)) for path in ("one", "two")))
    logging.getLogger("some.library").warning("nobody's")

asyncio.run(main())
"""


def test_what_a_library_logs_beneath_an_action_names_its_run_and_step() -> None:
    """Two that are under way at the same time are told apart, and what belongs to none says so."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert [(line.get("run"), line.get("path")) for line in lines] == [("r-1", "one"), ("r-1", "two"), (None, None)]


def test_a_line_that_names_its_own_run_keeps_it() -> None:
    """Such as one about another run than the one that is under way."""
    token = WORKS_FOR.set(("r-1", "one"))
    try:
        assert _add_place(None, "", {"run": "r-2"}) == {"run": "r-2"}
    finally:
        WORKS_FOR.reset(token)


async def test_the_code_of_an_action_knows_for_which_step_it_works() -> None:
    """So that whatever logs beneath it is told apart from the rest."""
    seen = []
    world = FakeWorld()
    world.add_host("pc1")

    class Looking(fake_connector(world)):  # type: ignore[misc]
        async def find_hosts(self, name: str) -> list[Host]:
            seen.append(WORKS_FOR.get())
            return await super().find_hosts(name)

    await RunHarness(world, {"fake": Looking}).run(
        "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
    )

    assert seen == [("run-1", "find")]
    assert WORKS_FOR.get() is None
