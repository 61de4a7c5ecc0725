"""One system in a process of its own: takes measures from standard input, one JSON line each, and answers with seconds.

python worker.py SYSTEM URL FOLDER
{"measure": "sequential", "steps": 20}   ->   {"seconds": 0.04}
"""

import asyncio
import gc
import json
import os
import sys
import traceback
from pathlib import Path


def open_system(name: str, url: str, folder: Path):
    """Return a system by name. Each imports only what it needs."""
    match name:
        case "raw" | "durable":
            from raw_system import RawSystem

            return RawSystem(url, folder, durable=name == "durable")
        case "hikeshi":
            from hikeshi_system import HikeshiSystem

            return HikeshiSystem(url, folder)
        case "dbos":
            from dbos_system import DbosSystem

            return DbosSystem(url, folder)
        case "journal":
            from journal_system import JournalSystem

            return JournalSystem(folder)
    raise SystemExit(f"there is no system {name!r}")


async def serve(system, answers) -> None:
    """Carry out one measure after the other until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        arguments = json.loads(line)
        measure = getattr(system, arguments.pop("measure"))
        gc.collect()  # what earlier measures left behind is not this one's cost
        try:
            answer = {"seconds": await measure(**arguments)}
        except Exception:  # noqa: BLE001 - whatever it was, the parent is to show it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
    await system.aclose()


async def main() -> None:
    """Open the system, say so, and serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    name, url, folder = sys.argv[1:]
    system = open_system(name, url, Path(folder))
    print("ready", file=answers, flush=True)
    await serve(system, answers)


if __name__ == "__main__":
    asyncio.run(main())
