"""A process that undoes a run and is killed while it does: right before or right after the product let a host go.

Run as `python undo_process.py FOLDER RUN WHEN NUMBER`; WHEN is `before`, `after` or `never`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "restarts"))  # tests are no package

from site_process import MovedClock, Plant

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config


class DyingPlant(Plant, product="plant"):
    """The product of the other tests, whose caller dies at a moment of our choice."""

    when, number = "never", 0

    def _do(self, line: str) -> None:
        is_it = line.startswith("release") and len([each for each in self._done() if "release" in each]) + 1
        if is_it == self.number and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super()._do(line)
        if is_it == self.number and self.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: str, run: str, when: str, number: str) -> None:
    os.environ["PLANT"] = str(Path(folder) / "plant")
    DyingPlant.when, DyingPlant.number = when, int(number)
    registry = Registry()
    registry.add(DyingPlant)
    app = Hikeshi(load_config(Path(folder)), registry=registry, clock=MovedClock(Path(folder)))
    try:
        state = await app.undo(await app.plan_undo(run), actor="kei")
        print(json.dumps([state.run, state.status]))
    finally:
        await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
