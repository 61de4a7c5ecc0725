"""Large values in a real journal: stored once, there after a restart, and no more memory than they need."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from durable_site import Site

MIB = 2**20
TEN_MB = 10_000_000
TEXT = f"""
id: t
steps:
  - {{id: log, action: fleet.fetch, with: {{name: big, characters: {TEN_MB}}}}}
  - {{id: w, wait: 1h}}
  - {{id: one, action: edr.get_host, with: {{name: pc1}}}}
  - {{id: two, action: edr.get_host, with: {{name: pc2}}}}
  - {{id: cut1, action: edr.isolate_host, with: {{host: "{{{{ steps.one }}}}", reason: "{{{{ steps.log.text }}}}"}}}}
  - {{id: cut2, action: edr.isolate_host, with: {{host: "{{{{ steps.two }}}}", reason: "{{{{ steps.log.text }}}}"}}}}
  - id: all
    for_each: "[steps.log.text, 'small']"
    steps:
      - {{id: x, set: {{n: item | length}}}}
  - {{id: sizes, set: {{ns: "steps.all | map(attribute='output.x.n') | list"}}}}
outputs: {{first: "{{{{ steps.log.text[:3] }}}}", ns: "{{{{ vars.ns }}}}"}}
"""
LOOP = Path(__file__).parent / "loop_memory.py"
ITEMS = 10_000
# Half of what 100,000 items may take (500 MiB) is for each item; a process takes about 60 MiB before the first one.
PER_ITEM_MIB = 440 / 100_000
PROCESS_MIB = 60


def test_ten_megabytes_that_are_used_again_and_again_are_stored_once(site: Site) -> None:
    """Read, looped over, passed to two changes and kept for undoing them; in between the process is another one."""
    site.write(TEXT)
    first = site.end_of(site.start("start", "t", park_after_s=1))
    assert first["status"] == "waiting"
    second = site.end_of(site.start("work", ahead_s=3600, park_after_s=1))
    assert (second["ended"], second["troubles"]) == ({"succeeded": 1}, [])

    async def look() -> tuple[dict[str, object], int, int]:
        async with site.app() as app:
            state = app.fold(str(app.runs()[0]["run"]))
            (blobs,) = app.journal.query("SELECT COUNT(*) AS n, SUM(length(content)) AS bytes FROM blobs")
            assert app.verify().status != "broken"
            return state.outputs, int(blobs["bytes"]), app.journal_path.stat().st_size

    outputs, stored, size = asyncio.run(look())
    assert outputs == {"first": "big", "ns": [TEN_MB + 4, 5]}
    assert stored < 1.05 * TEN_MB
    assert size < 1.3 * TEN_MB
    assert site.fleet.isolated == {"pc1", "pc2"}
    assert max(first["most_mib"], second["most_mib"]) < 350


def test_a_loop_with_many_outputs_stays_within_its_memory() -> None:
    """As many items as a test has time for; `python loop_memory.py` does it with a hundred thousand."""
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    command = [sys.executable, str(LOOP), str(ITEMS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)

    assert figures["items"] == ITEMS
    assert figures["most_mib"] < PROCESS_MIB + ITEMS * PER_ITEM_MIB, figures
    assert figures["journal_mib"] < 3 * ITEMS / 1024
