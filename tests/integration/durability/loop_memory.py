"""A loop with an output of one kilobyte for each item: how much memory it takes, and how large the journal becomes.

python loop_memory.py [ITEMS]        100,000 items if nothing is said; about a minute

Nothing is sent over a network: the connector makes the texts by itself, since only the engine is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package

from durable_process import opened

from hikeshi.testing.memory import peak_mib

PLAYBOOK = """
id: t
inputs: {items: {type: integer}}
steps:
  - {id: sweep, for_each: range(inputs.items), action: fleet.fetch, with: {name: "h{{ item }}", characters: 960}}
outputs: {n: "{{ steps.sweep | length }}", last: "{{ (steps.sweep | last).output.name }}"}
"""
MEMORY_GOAL_MIB = 500


async def measure(folder: Path, items: int) -> dict[str, float]:
    """Run the loop and return what it took."""
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "t.yaml").write_text(PLAYBOOK, encoding="utf-8")
    settings = "connectors: {fleet: {product: fleet, base_url: 'http://127.0.0.1:1'}}\n"
    (folder / "hikeshi.yaml").write_text(settings, encoding="utf-8")
    app = opened(folder)
    before_mib, began = peak_mib(), time.monotonic()
    state = await app.start_run("t", {"items": items}, actor="ana", mode="live")
    assert state.outputs == {"n": items, "last": f"h{items - 1}"}
    figures = {"before_mib": before_mib, "most_mib": peak_mib(), "took_s": time.monotonic() - began}
    await app.aclose()
    return {**figures, "journal_mib": app.journal_path.stat().st_size / 2**20}


def main(items: int) -> int:
    """Measure, print, and return whether the goal was missed, which is for a hundred thousand items."""
    with tempfile.TemporaryDirectory(prefix="hikeshi-loop-") as name:
        figures = asyncio.run(measure(Path(name), items))
    print(json.dumps({"items": items, **{key: round(value, 1) for key, value in figures.items()}}))
    return int(figures["most_mib"] > MEMORY_GOAL_MIB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
