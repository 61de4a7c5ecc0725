"""The simulated mail server: whom it takes mail for, and that a mail for several is refused for some."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Forbidden, NotFound, PartialFailure, Secret, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.email_smtp import Email
from hikeshi_connectors.email_smtp.simulator import EmailSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def told(action: str) -> AbstractContextManager[Door]:
    return through(Door(mode="live", effect=Effect.NOTIFY, action=action, intended=True))


async def test_a_mail_for_several_ends_partial_and_says_for_whom():
    """The others have it, so it counts as perhaps sent; another domain's mail is not relayed."""
    state = EstateState("small", BASE)
    state.product_state["email"] = {"refused": {"full@corp.example": "452 4.2.2 Mailbox full"}}
    simulation = Simulation(Estate(state), [EmailSimulator])
    with running(simulation) as url:
        settings: dict[str, Any] = simulation.project_settings(url)["mail"]
        settings["password"] = Secret.of_value(settings["password"])
        settings["on_call"] = {"duty": ["soc@corp.example", "full@corp.example", "nobody@corp.example"]}
        del settings["product"]
        connector = build(Email, "mail", settings, Redactor())
        assert isinstance(connector, Email)

        with pytest.raises(PartialFailure) as caught, told("messaging.page"):
            await connector.page("duty", "come")
        with pytest.raises(Forbidden), told("messaging.message_person"):
            await connector.message_person("x@elsewhere.example", "hello")
    failures = caught.value.failures
    assert {each: type(error) for each, error in failures.items()} == {
        "full@corp.example": Unavailable,
        "nobody@corp.example": NotFound,
    }
    assert caught.value.applied is Applied.MAYBE
    assert [message.channel for message in simulation.estate.messages] == ["soc@corp.example"]
