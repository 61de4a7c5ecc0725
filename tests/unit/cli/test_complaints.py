"""What keeps runs from going on is said, and not over and over."""

import io
from types import SimpleNamespace
from typing import Any

from hikeshi.cli.complaints import Complaints
from hikeshi.cli.output import Output
from hikeshi.testing.fake_clock import FakeClock


async def test_the_same_trouble_is_said_once_a_minute() -> None:
    """A journal that is tried each second for an hour fills no screen; another trouble is said at once."""
    stderr, clock = io.StringIO(), FakeClock()
    output = Output(as_json=False, stdout=io.StringIO(), stderr=stderr)
    session: Any = SimpleNamespace(output=output, app=SimpleNamespace(clock=clock))
    complain = Complaints(session)

    for _ in range(90):
        complain("the disk is full")
        await clock.sleep(1)
    complain("the journal is locked")

    assert stderr.getvalue().splitlines() == [
        "trouble: the disk is full",
        "trouble: the disk is full",
        "trouble: the journal is locked",
    ]
