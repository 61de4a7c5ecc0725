"""One process whose triggers work until it is killed, on a clock that the file `clock` sets."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hikeshi.app import Hikeshi
from hikeshi.project import load_config
from hikeshi.runtime.clock import SystemClock
from hikeshi.triggers import Triggers


class MovedClock(SystemClock):
    """The machine's clock, set forward by what the file says, in seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"

    def now(self) -> datetime:
        moved_s = float(self._file.read_text()) if self._file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=moved_s)


async def main(folder: Path) -> None:
    app = Hikeshi(load_config(folder), clock=MovedClock(folder))
    triggers = Triggers(app, alert=lambda text: print("told:", text, flush=True))
    await triggers.turn()
    print("works", flush=True)
    await triggers.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
