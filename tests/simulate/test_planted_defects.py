"""A simulation that never finds anything proves nothing: defects are planted in the engine, and seeds have to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from checks import PROMISES
from world import simulate

from hikeshi.core.events import Event
from hikeshi.runtime.change import ChangeCall
from hikeshi.runtime.driver import Driver

_SEEDS = 300  # at most: the first one that tells is enough


def send_before_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intent is handed in, and nobody waits until it is durable."""
    record = Driver.record

    async def hasty(driver: Driver, events: Sequence[Event]) -> None:
        import asyncio

        task = asyncio.ensure_future(record(driver, events))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    monkeypatch.setattr(Driver, "record", hasty)


def send_again_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that was under way is simply made anew."""

    async def anew(call: ChangeCall, record: Callable[[Sequence[Event]], Any]) -> None:
        await call._send_and_see()

    monkeypatch.setattr(ChangeCall, "_recover", anew)


def take_silence_for_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of nothing is said to have failed."""
    ending = ChangeCall._ending

    def rash(call: ChangeCall) -> list[Event]:
        for fate in call.fates:
            fate.outcome = "failed" if fate.outcome == "unknown" else fate.outcome
        return ending(call)

    monkeypatch.setattr(ChangeCall, "_ending", rash)


def forget_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval allows every target, whether people have seen it or not."""
    monkeypatch.setattr(ChangeCall, "_not_shown", lambda call: None)


@pytest.mark.parametrize(
    ("plant", "promises"),
    [
        (send_before_it_is_stored, {"intent-before-send"}),
        (send_again_after_a_crash, {"effect-at-most-once", "intent-before-send", "no-error-escapes"}),
        (take_silence_for_failure, {"failed-had-no-effect"}),
        (forget_what_was_shown, {"approved-before-change"}),
    ],
)
def test_a_planted_defect_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], promises: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among a few hundred seeds at least one names the promise that the defect breaks."""
    assert promises <= PROMISES.keys()
    plant(monkeypatch)

    found: set[str] = set()
    for seed in range(_SEEDS):
        found |= {promise for promise, _ in simulate(seed).broken}
        if found & promises:
            return
    pytest.fail(f"no seed names one of {sorted(promises)}; named were {sorted(found)}")
