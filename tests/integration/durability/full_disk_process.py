"""A process whose disk is full from the first change on, until there is room again.

python full_disk_process.py FOLDER ROOM PATIENCE_S

Nothing can be written into any file from the moment on at which the first change is done, until the file ROOM exists.
What the application complains about is written to the standard output, one line each; the last line says how it ended.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package

from durable_process import opened

from hikeshi.core import RunState
from hikeshi.core import events as ev
from hikeshi.core.events import Event
from hikeshi.runtime.errors import RunHalted


def allow(size_bytes: int) -> None:
    """Let no file of this process grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def fill(event: Event, state: RunState) -> None:
    """Fill the disk when the first change is done, and nothing of that is stored yet."""
    if isinstance(event, ev.ActionSucceeded) and event.path == "cut1":
        allow(0)


async def make_room(room: str) -> None:
    while not os.path.exists(room):  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.05)
    allow(resource.RLIM_INFINITY)


async def main(folder: str, room: str, patience_s: str) -> None:
    app = opened(Path(folder))
    app.patience_s = float(patience_s)
    app.trouble = lambda text: print("trouble:", text, flush=True)
    waiting = asyncio.create_task(make_room(room))
    try:
        state = await app.start_run("t", {}, actor="ana", mode="live", watchers=[fill])
        print("ended:", state.status.value, flush=True)
    except RunHalted as exc:
        print("halted:", exc, flush=True)
    finally:
        waiting.cancel()
        allow(resource.RLIM_INFINITY)
        await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
