"""The door of a call: what it lets out while nobody has said that a change is under way."""

from __future__ import annotations

import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector.door import Door, PreviewedRequest
from hikeshi.connector.errors import RouteRefused

REQUEST = PreviewedRequest("POST", "http://product.example/contain", None)


@pytest.mark.parametrize("effect", [Effect.CHANGE, Effect.NOTIFY])
def test_a_live_call_sends_nothing_that_was_not_recorded_before(effect: Effect) -> None:
    """Whoever opens a door and says nothing of a change has opened it for reading."""
    door = Door(mode="live", effect=effect, action="edr.isolate_host")

    with pytest.raises(RouteRefused, match="no change is under way"):
        door.admit(REQUEST, last=False)
    assert not door.sent


@pytest.mark.parametrize("effect", [Effect.CHANGE, Effect.NOTIFY])
def test_a_live_call_sends_what_was_recorded_before(effect: Effect) -> None:
    """The twin."""
    door = Door(mode="live", effect=effect, action="edr.isolate_host", intended=True)

    assert door.admit(REQUEST, last=False) is True
