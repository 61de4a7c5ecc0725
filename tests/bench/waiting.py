"""Many runs that wait for approval: how long a new process takes until it is ready, with how much memory.

python waiting.py [RUNS]        10,000 runs if nothing is said; about three minutes

Each run asks about one change. A first process begins them and ends; a second one, started anew, finds them all, lists
what is asked, has one approved and then all others, and works until every run is over. Nothing is sent over a network:
the connector keeps its state in memory, since only the engine is measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.runtime.worker import Worker
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.memory import peak_mib

PROJECT = """
connectors: {fake: {product: fake}}
people: {mei: {roles: [lead]}}
"""
PLAYBOOK = """
id: contain
inputs: {host: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - {id: ok, approve: "Isolate {{ steps.find.name }}?", by: [role:lead], within: 8h}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}}
"""
READY_GOAL_S, MEMORY_GOAL_MIB = 5.0, 200


def opened(folder: Path, runs: int) -> Hikeshi:
    """Open the project; its product knows a host for each run."""
    world = FakeWorld()
    for number in range(runs):
        world.add_host(f"pc{number}")
    registry = Registry()
    registry.add(fake_connector(world))
    return Hikeshi(load_config(folder), registry=registry)


async def begin(folder: Path, runs: int) -> None:
    """Begin the runs, a hundred at a time, until each waits and nobody drives it."""
    app = opened(folder, runs)
    app.park_after_s = 1.0
    limit = asyncio.Semaphore(100)

    async def one(number: int) -> None:
        async with limit:
            await app.start_run("contain", {"host": f"pc{number}"}, actor="ana", mode="live")

    await asyncio.gather(*(one(number) for number in range(runs)))
    await app.aclose()


async def answer(folder: Path, runs: int, started: float) -> dict[str, float]:
    """Be the new process: return what it took."""
    world_before_mib = peak_mib()
    app = opened(folder, runs)
    world_mib = peak_mib() - world_before_mib  # the product's, not the engine's
    due, questions = app.due(), app.questions()
    ready_s = time.time() - started
    waiting_mib = peak_mib() - world_mib
    assert not due.runs
    assert len(questions) == runs
    began = time.perf_counter()
    one = questions[runs // 2]
    state = await app.tell(one["run"], "approve", {"path": one["path"], "digest": one["digest"]}, actor="mei")
    assert state.finished == "succeeded"
    one_s = time.perf_counter() - began
    for each in questions:
        if each is not one:
            data = {"path": each["path"], "digest": each["digest"]}
            await app.journal.post(each["run"], "approve", data, sender="mei", at=app.clock.now())
    began = time.perf_counter()
    ended: list[str | None] = []
    await Worker(app, app.clock, ended=lambda state: ended.append(state.finished)).run(stay=False)
    assert ended == ["succeeded"] * (runs - 1), f"{len(ended)} of {runs - 1} runs ended"
    all_s = time.perf_counter() - began
    assert app.questions() == []
    await app.aclose()
    return {
        "ready_s": ready_s,
        "memory_mib": waiting_mib,
        "answer_one_s": one_s,
        "answer_all_s": all_s,
        "memory_at_the_end_mib": peak_mib() - world_mib,
    }


def main(runs: int) -> int:
    """Measure, print, and return how many goals were missed."""
    with tempfile.TemporaryDirectory(prefix="hikeshi-waiting-") as name:
        folder = Path(name)
        (folder / "hikeshi.yaml").write_text(PROJECT)
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "contain.yaml").write_text(PLAYBOOK)
        began = time.perf_counter()
        asyncio.run(begin(folder, runs))
        print(f"{runs:,} runs begun and waiting: {time.perf_counter() - began:.1f} s", flush=True)
        command = [sys.executable, __file__, str(runs), name, str(time.time())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        figures = json.loads(done.stdout)
    print(f"a new process is ready after {figures['ready_s']:.2f} s (goal: {READY_GOAL_S:g} s)")
    print(f"and has taken {figures['memory_mib']:.0f} MiB of memory (goal: {MEMORY_GOAL_MIB} MiB)")
    print(f"one of them is answered and over in {figures['answer_one_s']:.2f} s, all others in", end=" ")
    print(f"{figures['answer_all_s']:.1f} s; {figures['memory_at_the_end_mib']:.0f} MiB at the end")
    return int(figures["ready_s"] > READY_GOAL_S) + int(figures["memory_mib"] > MEMORY_GOAL_MIB)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(asyncio.run(answer(Path(sys.argv[2]), int(sys.argv[1]), float(sys.argv[3])))))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
