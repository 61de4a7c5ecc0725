"""A process of a project, to be killed: it starts runs, or works for as long as it is let.

python durable_process.py FOLDER start PLAYBOOK INPUTS     runs a playbook and looks on until it is over
python durable_process.py FOLDER work                      does what is due, and ends
python durable_process.py FOLDER stay                      does what is due until it is killed
python durable_process.py FOLDER crowd PLAYBOOK NUMBER     runs so many at once, and looks on until all are over

Its clock is AHEAD_S seconds ahead, PARK_AFTER_S says when it leaves runs alone. It writes one line of JSON: what it
did, and how much memory it had at most, in MiB.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))  # tests are no package

from fleet_vendor import fleet_registry

from hikeshi.app import Hikeshi
from hikeshi.project import load_config
from hikeshi.runtime.clock import SystemClock
from hikeshi.runtime.worker import Worker
from hikeshi.testing.memory import peak_mib

__all__ = ["ShiftedClock", "opened"]

_AT_ONCE = 100


class ShiftedClock(SystemClock):
    """The machine's clock, set forward or back by `ahead_s`. With `longest_s`, no wait lasts longer."""

    def __init__(self, ahead_s: float = 0.0, longest_s: float | None = None) -> None:
        self.ahead_s = ahead_s
        self.longest_s = longest_s

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds if self.longest_s is None else min(seconds, self.longest_s))


def opened(folder: Path, clock: SystemClock | None = None) -> Hikeshi:
    """Open a project with the fleet's connector in it."""
    return Hikeshi(load_config(folder), registry=fleet_registry(), clock=clock)


async def _start(app: Hikeshi, playbook: str, inputs: str = "{}") -> dict[str, Any]:
    state = await app.start_run(playbook, json.loads(inputs), actor="ana", mode="live")
    return {"run": state.run, "status": state.status.value, "outputs": state.outputs}


async def _work(app: Hikeshi, *, stay: bool = False) -> dict[str, Any]:
    ended: list[str] = []
    troubles: list[str] = []
    worker = Worker(
        app,
        app.clock,
        ended=lambda state: ended.append(state.status.value),
        trouble=lambda name, exc: troubles.append(f"{name}: {exc}"),
        at_once=_AT_ONCE,
    )
    await worker.run(stay=stay)
    return {"ended": {status: ended.count(status) for status in sorted(set(ended))}, "troubles": troubles}


async def _crowd(app: Hikeshi, playbook: str, number: str) -> dict[str, Any]:
    """Run a playbook many times at once, each about a host of its own."""
    runs = [app.start_run(playbook, {"name": f"h{each:04}"}, actor="ana", mode="live") for each in range(int(number))]
    return {"ended": len(await asyncio.gather(*runs))}


async def main(folder: str, verb: str, *arguments: str) -> None:
    app = opened(Path(folder), ShiftedClock(float(os.environ.get("AHEAD_S", "0"))))
    app.park_after_s = float(os.environ.get("PARK_AFTER_S", "0"))
    verbs = {"start": _start, "work": _work, "crowd": _crowd}
    try:
        told = await (_work(app, stay=True) if verb == "stay" else verbs[verb](app, *arguments))
        most_mib = peak_mib()
        print(json.dumps({**told, "most_mib": most_mib}), flush=True)
    finally:
        await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
