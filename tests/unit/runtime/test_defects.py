"""A connector may do anything wrong; the run goes on, and nothing is believed that was not seen."""

import asyncio
from typing import Any

import pytest

from hikeshi.connector import Connector, PreviewedRequest, RateLimited, Unavailable
from hikeshi.core import StartAction, StepStatus
from hikeshi.core import events as ev
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.instances import Instances
from hikeshi.secrets import SecretUnavailable
from hikeshi.testing.fake_connector import Call, FakeWorld, Fault, fake_connector
from hikeshi.testing.run_harness import RunHarness

pytestmark = pytest.mark.safety(16)

READ = """
id: t
steps:
  - {id: a, action: edr.get_host, with: {name: pc1}, on_error: continue}
  - {id: b, set: {x: "1"}}
"""
ISOLATE = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, on_error: continue}
  - {id: after, set: {x: "1"}}
"""
TELL = (
    "id: t\nsteps:\n  - {id: tell, action: messaging.post, with: {channel: c, text: hi}}\n  - {id: b, set: {x: '1'}}\n"
)
DEFECTS = [
    RuntimeError("x"),
    KeyError("token"),
    TimeoutError(),
    asyncio.CancelledError(),
    ExceptionGroup("several", [ValueError("y")]),
    RecursionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    SecretUnavailable("the environment variable X is not set"),
    StopAsyncIteration(),
]
each_defect = pytest.mark.parametrize("defect", DEFECTS, ids=lambda exc: type(exc).__name__)


@each_defect
async def test_a_defect_in_a_read_fails_the_step_and_not_the_run(harness: RunHarness, defect: BaseException) -> None:
    """The step has failed with an error that names the connector; the run ends."""
    harness.world.script("find_hosts", *[Fault("before", defect)] * 3)
    outcome = await asyncio.wait_for(harness.run(READ), 5)
    assert outcome.steps() == {"a": "failed", "b": "succeeded"}
    assert outcome.state.finished == "failed"


@each_defect
async def test_a_defect_before_a_change_is_sent_is_a_failure(harness: RunHarness, defect: BaseException) -> None:
    """Nothing left, so it provably had no effect; the hold is void."""
    harness.world.script("isolate_host", *[Fault("before", defect)] * 3)
    outcome = await asyncio.wait_for(harness.run(ISOLATE), 5)
    assert outcome.steps() == {"find": "succeeded", "iso": "failed", "after": "succeeded"}
    assert harness.holds() == {"pc1": "void"}


@each_defect
async def test_a_defect_after_a_change_was_sent_is_read_back(harness: RunHarness, defect: BaseException) -> None:
    """Whatever the connector raises, what was sent is judged by looking (rule 16)."""
    harness.world.script("isolate_host", Fault("lost", defect))
    outcome = await asyncio.wait_for(harness.run(ISOLATE), 5)
    assert outcome.steps()["iso"] == "succeeded"
    assert harness.holds() == {"pc1": "active"}
    assert len(harness.world.sent()) == 1


@each_defect
async def test_a_defect_while_reading_back_is_unknown(harness: RunHarness, defect: BaseException) -> None:
    """A change that was sent never becomes a failure because nobody could look."""
    harness.world.script("isolation_of", None, *[Fault("before", defect)] * 60)
    outcome = await asyncio.wait_for(harness.run(ISOLATE), 5)
    assert outcome.steps()["iso"] == "unknown"
    assert harness.holds() == {"pc1": "unknown"}


@each_defect
async def test_a_defect_in_a_notification_blocks_nothing(harness: RunHarness, defect: BaseException) -> None:
    """People who were not told do not stop a containment."""
    harness.world.script("post", *[Fault("lost", defect)] * 3)
    outcome = await asyncio.wait_for(harness.run(TELL), 5)
    assert outcome.steps() == {"tell": "failed", "tell[fake]": "failed", "b": "succeeded"}
    assert outcome.of(ev.ActionFailed)[0].error.applied == "maybe"


@each_defect
async def test_a_defect_in_a_plan_fails_the_step_and_not_the_plan(harness: RunHarness, defect: BaseException) -> None:
    """A plan shows the problem."""
    harness.world.script("isolate_host", *[Fault("before", defect)] * 3)
    outcome = await asyncio.wait_for(harness.plan(ISOLATE), 5)
    assert outcome.steps()["iso"] == "failed"
    assert outcome.state.finished is not None


@pytest.mark.parametrize("given", [None, "text", [{"id": "1"}], {"connector": "x"}, 42, float("nan"), object()])
async def test_a_read_that_gives_something_else_than_it_declares_fails(given: Any) -> None:
    """The declared type is checked at the door, and the message holds none of the value."""
    world = FakeWorld()

    class Odd(fake_connector(world), product="odd"):  # type: ignore[misc]
        async def isolation_of(self, host: Any) -> Any:
            return given

    harness = RunHarness(world, {"fake": Odd})
    world.add_host("pc1")
    outcome = await harness.run("""
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: read, action: edr.isolation_of, with: {host: "{{ steps.find }}"}}
""")
    error = outcome.node("read").error
    assert error is not None
    assert (error.kind, outcome.state.finished) == ("invalid", "failed")
    assert "returned something else than it declares" in error.message


@pytest.mark.parametrize("given", [float("nan"), float("inf"), {"a": float("nan")}, {1: 2}, {"x": {"y": b"\xff"}}, {3}])
async def test_data_that_the_journal_has_no_form_for_fails_the_step(given: Any) -> None:
    """An action of its own may be typed loosely; what it gives must still be plain data."""
    world = FakeWorld()

    class Odd(fake_connector(world), product="odd"):  # type: ignore[misc]
        async def peek(self, name: str) -> Any:
            """Peek."""

    from hikeshi.capabilities import read

    async def peek(self: Any, name: str) -> Any:
        """Peek."""
        return given

    Odd.peek = read(peek)  # type: ignore[method-assign]
    harness = RunHarness(world, {"odd": Odd})
    outcome = await harness.run("id: t\nsteps: [{id: a, action: odd.peek, with: {name: x}}]\n")
    assert outcome.state.finished is not None
    assert harness.events()[-1] == outcome.of(ev.RunFinished)[0]


async def test_odd_texts_of_a_product_are_kept(harness: RunHarness) -> None:
    """Lone surrogates, NUL and marks of unknown values survive the journal."""
    harness.world.script("find_hosts", Unavailable("\ud800 \x00 {{ 1 }} " * 3), None)
    outcome = await harness.run(READ)
    assert outcome.status == "succeeded"
    assert "\ud800" in outcome.of(ev.ActionFailed)[0].error.message


@pytest.mark.parametrize("asked_s", [float("inf"), float("nan"), -5.0, 1e18])
async def test_an_absurd_wait_that_a_product_asks_for_does_not_stop_the_run(
    harness: RunHarness, asked_s: float
) -> None:
    """It is taken as nothing, or not waited for."""
    harness.world.script("find_hosts", RateLimited("slow down", retry_after_s=asked_s), None)
    outcome = await asyncio.wait_for(harness.run(READ), 5)
    assert outcome.state.finished is not None


async def test_the_time_of_one_attempt_is_bounded(harness: RunHarness) -> None:
    """`timeout` ends an attempt: a read has failed; a change that was sent is read back."""
    program = await harness.run(ISOLATE)
    gate = Gate("r", "live", harness.catalogue(), _instances(harness), harness.redactor, harness.clock)
    stored: list[ev.Event] = []

    async def record(events: Any) -> None:
        stored.extend(events)

    find = program.node("find").output
    read = StartAction("a", 1, "edr.find_hosts", ("fake",), {"name": "pc1"}, 0.01, False)
    harness.world.script("find_hosts", Fault("hang"))
    (failed,) = await gate.perform(read, record)
    assert isinstance(failed, ev.ActionFailed)
    assert (failed.error.kind, failed.error.applied) == ("timeout", "no")

    harness.world.isolation.clear()
    change = StartAction("b", 1, "edr.isolate_host", ("fake",), {"host": find, "reason": "r"}, 0.01, False)
    harness.world.script("isolate_host", Fault("hang before"), Fault("hang"))
    *_, before = await gate.perform(change, record)
    assert isinstance(before, ev.ActionFailed)
    assert before.error.message == "fake: edr.isolate_host took longer than 0.01 s"
    *_, after = await gate.perform(change, record)
    assert isinstance(after, ev.ActionFailed)  # sent, then seen to be as before

    tell = StartAction("c", 1, "messaging.post", ("fake",), {"channel": "c", "text": "hi"}, 0.01, False)
    harness.world.script("post", Fault("hang"))
    (told,) = await gate.perform(tell, record)
    assert isinstance(told, ev.ActionFailed)
    assert told.error.applied == "maybe"
    assert [type(event).__name__ for event in stored] == [
        "ActionIntended",
        "HoldsOpened",
        "ActionIntended",
        "HoldsOpened",
    ]


def _instances(harness: RunHarness) -> Instances:
    from hikeshi.connector.registry import Registry

    registry = Registry()
    registry.add(fake_connector(harness.world))
    return Instances(registry, {"fake": {"product": "fake"}}, harness.redactor)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"product": "nothing"}, "no connector for the product 'nothing'"),
        ({"product": "fake", "colour": "red"}, "colour: Extra inputs are not permitted"),
        (None, "is not in hikeshi.yaml"),
    ],
)
async def test_an_instance_that_cannot_be_built_fails_the_step(harness: RunHarness, settings: Any, words: str) -> None:
    """The operator is told what is wrong with which instance."""
    from hikeshi.connector.registry import ConnectorNotUsable, Registry

    registry = Registry()
    registry.add(fake_connector(harness.world))
    configured = {} if settings is None else {"fake": settings}
    with pytest.raises(ConnectorNotUsable, match=words):
        Instances(registry, configured, harness.redactor).get("fake")


class Background(fake_connector(FakeWorld()), product="background"):  # type: ignore[misc]
    """A connector that goes on behind the engine's back."""

    late: Any = None

    async def isolate_host(self, host: Any, reason: str) -> None:
        async def later() -> None:
            await asyncio.sleep(0.01)
            await self.commit(PreviewedRequest("POST", "late", None), _nothing)

        Background.late = asyncio.ensure_future(later())


async def _nothing() -> None:
    return None


async def test_a_task_that_a_connector_left_behind_can_send_nothing() -> None:
    """The permission of a call ends with the call."""
    from hikeshi.connector import RouteRefused

    Background.world.add_host("pc1")
    harness = RunHarness(Background.world, {"fake": Background})
    await harness.run(ISOLATE)
    with pytest.raises(RouteRefused, match="after the action had ended"):
        await Background.late


async def test_a_plan_of_a_connector_that_sends_from_a_task_group_ends() -> None:
    """The end of a preview comes through a task group and a gather."""
    world = FakeWorld()
    base: type[Connector] = fake_connector(world)

    class Grouped(base, product="grouped"):  # type: ignore[misc, valid-type]
        async def isolate_host(self, host: Any, reason: str) -> None:
            async with asyncio.TaskGroup() as group:
                for name in ("one", "two"):
                    group.create_task(self.commit(PreviewedRequest("POST", name, None), _nothing))

    world.add_host("pc1")
    harness = RunHarness(world, {"fake": Grouped})
    outcome = await asyncio.wait_for(harness.plan(ISOLATE), 5)
    planned = outcome.of(ev.ActionPlanned)[0]
    assert planned.complete is False
    assert planned.requests[0]["url"] == "one"


async def test_a_preview_that_a_connector_goes_on_after_is_not_complete() -> None:
    """Even `except BaseException` does not make a preview complete that has looked at an answer."""
    world = FakeWorld()
    base = fake_connector(world)

    class Deaf(base, product="deaf"):  # type: ignore[misc, valid-type]
        async def isolate_host(self, host: Any, reason: str) -> None:
            try:
                await self.commit(PreviewedRequest("POST", "one", None), _nothing)
            except BaseException:  # noqa: BLE001 - the point of the test
                return

    world.add_host("pc1")
    outcome = await RunHarness(world, {"fake": Deaf}).plan(ISOLATE)
    assert outcome.of(ev.ActionPlanned)[0].complete is False


async def test_a_read_action_cannot_make_a_change_even_when_live() -> None:
    """A read that tries is stopped before anything leaves."""
    world = FakeWorld()
    base = fake_connector(world)

    class Liar(base, product="liar"):  # type: ignore[misc, valid-type]
        async def find_hosts(self, name: str) -> Any:
            await self.commit(PreviewedRequest("POST", "http://x/change", None), _nothing)

    outcome = await RunHarness(world, {"fake": Liar}).run(READ)
    error = outcome.node("a").error
    assert error is not None
    assert error.kind == "route_refused"
    assert "edr.find_hosts" in error.message or "edr.get_host" in error.message
    assert world.calls == []


async def test_slow_answers_of_many_steps_are_all_stored(harness: RunHarness) -> None:
    """Fifty actions at once, answered in another order than asked."""

    async def slow(call: Call) -> None:
        await harness.clock.sleep(50 - int(call.arguments["name"]))

    harness.world.on_call = slow
    items = [str(n) for n in range(50)]
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: loop, for_each: "{items}", concurrency: 50, action: edr.find_hosts, with: {{name: "{{{{ item }}}}"}}}}
""")
    assert outcome.status == "succeeded"
    assert [part.status for part in outcome.node("loop").parts] == [StepStatus.SUCCEEDED] * 50


class Stray(BaseException):
    """Something that no error handling expects."""


async def test_what_no_error_handling_expects_ends_the_process_and_does_not_hang_it(harness: RunHarness) -> None:
    """It comes out of the run, whose records say where it was."""
    harness.world.script("find_hosts", Fault("before", Stray()))
    with pytest.raises(Stray):
        await asyncio.wait_for(harness.run(READ), 5)
    assert (await harness.go_on()).state.finished == "succeeded"
