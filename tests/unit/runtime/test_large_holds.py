"""What is held is undone however much of it was read back; sizes break neither the ledger nor what people read."""

from __future__ import annotations

from typing import Any

from hikeshi.capabilities import Model, read
from hikeshi.capabilities.action import change
from hikeshi.connector import Connector, Forbidden, PartialFailure
from hikeshi.core import events as ev
from hikeshi.report.timeline import timeline
from hikeshi.runtime.ledger import Ledger
from hikeshi.testing.fake_connector import FakeWorld, Fault, fake_connector
from hikeshi.testing.run_harness import RunHarness

LOCK = "id: t\nsteps:\n  - {id: lock, action: fake.lock, with: {name: n1}}\n"
RELEASE = "  - {id: free, release: \"['n1']\", needs: [lock]}\n"
BLOCK = (
    "id: t\ninputs: {found: {type: list, items: indicator}}\nsteps:\n"
    "  - {id: block, action: firewall.block_indicators, with: {indicators: '{{ inputs.found }}', reason: r}}\n"
)


class Rules(Model):
    """The rules of something."""

    name: str
    rules: list[str]


def product(world: FakeWorld, size: int) -> type[Connector]:
    """Return a connector of which a state that is locked has so many rules."""
    base: Any = fake_connector(world)
    locked: set[str] = set()

    class Product(base, product="fake"):  # type: ignore[misc]  # made at run time
        @read
        async def rules_of(self, name: str) -> Rules:
            """Return the rules of something."""
            found: Rules = await self._read(
                "rules_of", {"name": name}, lambda: Rules(name=name, rules=["deny any"] * size * (name in locked))
            )
            return found

        @change(target="name", verify="rules_of", done=lambda state, _: bool(state.rules), undo="unlock")
        async def lock(self, name: str) -> None:
            """Lock something."""
            await self._send("lock", {"name": name}, lambda: locked.add(name))

        @change(target="name", verify="rules_of", done=lambda state, _: not state.rules, undo="lock")
        async def unlock(self, name: str) -> None:
            """Unlock something."""
            await self._send("unlock", {"name": name}, lambda: locked.discard(name))

    return Product


async def test_a_change_that_brought_about_a_large_state_is_undone() -> None:
    """Nobody else has changed it since, and nobody is told so."""
    world = FakeWorld()
    harness = RunHarness(world=world, instances={"fake": product(world, 20_000)})
    outcome = await harness.run(LOCK + RELEASE)
    assert outcome.status == "succeeded"
    assert harness.holds() == {"n1": "released"}


async def test_the_ledger_has_a_large_state_whole() -> None:
    """It is what a later look at the target is compared with."""
    world = FakeWorld()
    harness = RunHarness(world=world, instances={"fake": product(world, 20_000)})
    await harness.run(LOCK)
    (hold,) = Ledger(harness.journal).kept()
    assert hold.state == {"name": "n1", "rules": ["deny any"] * 20_000}


async def test_a_target_with_an_endless_name_is_held_and_released() -> None:
    """What people call a target stays in its record, however long it is."""
    name = "h" * 70_000
    harness = RunHarness()
    harness.world.add_host(name)
    outcome = await harness.run(
        "id: t\ninputs: {n: {type: string}}\nsteps:\n"
        "  - {id: find, action: edr.get_host, with: {name: '{{ inputs.n }}'}}\n"
        "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n",
        inputs={"n": name},
    )
    assert outcome.status == "succeeded"
    assert harness.holds() == {name: "active"}


async def test_an_endless_reason_of_one_of_many_targets_can_be_read(harness: RunHarness) -> None:
    """Error texts are read with their record: in the timeline, in reports, and by the engine."""
    why = "x" * 70_000
    harness.world.script("block_indicators", Fault("lost", PartialFailure({"203.0.113.1": Forbidden(why)})))
    outcome = await harness.run(BLOCK, inputs={"found": ["203.0.113.1", "203.0.113.2"]})
    (event,) = outcome.of(ev.TargetsSettled)
    assert event.settled[0].error.message == why
    assert list(timeline(outcome.records))
