"""Values too large for a record: stored once beside it, and everywhere what they were."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.capabilities import Model, Severity, read
from hikeshi.connector import Connector
from hikeshi.core import events as ev
from hikeshi.core.large import LARGEST_INLINE_BYTES
from hikeshi.journal import JournalBroken
from hikeshi.runtime.errors import RunHalted
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.run_harness import RunHarness

LARGE = LARGEST_INLINE_BYTES * 2
READ = "  - {id: log, action: src.fetch, with: {name: a, characters: 200000}}\n"
TWICE = (
    "  - {id: one, action: messaging.post, with: {channel: c, text: '{{ steps.log.text }}'}}\n"
    "  - {id: two, action: messaging.post, with: {channel: d, text: '{{ steps.log.text }}'}}\n"
)


class Log(Model):
    """Something that was read."""

    name: str
    text: str
    lines: list[str]


def source(world: FakeWorld) -> type[Connector]:
    """Return a connector that gives texts of any length, and tells people how long theirs is."""
    base: Any = fake_connector(world)

    class Source(base, product="src"):  # type: ignore[misc]  # made at run time
        @read
        async def fetch(self, name: str, characters: int) -> Log:
            """Fetch a log."""
            text = name * characters
            lines = [f"{name}{number}" for number in range(characters // 100)]
            found: Log = await self._read("fetch", {"name": name}, lambda: Log(name=name, text=text, lines=lines))
            return found

        async def post(
            self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
        ) -> Any:
            return await super().post(channel, f"{len(text)} {text[:3]}", severity, thread)

    return Source


@pytest.fixture
def people() -> Conversation:
    world = FakeWorld()
    harness = RunHarness(world=world, instances={"src": source(world)}, park_after_s=1)
    harness.may_decide = lambda sender, by: sender in by
    return Conversation(harness)


def blobs(people: Conversation) -> list[int]:
    """Return the sizes of what is stored beside the records."""
    rows: list[sqlite3.Row] = people.harness.journal.query("SELECT length(content) AS size FROM blobs ORDER BY size")
    return [row["size"] for row in rows]


def largest_record(people: Conversation) -> int:
    return max(len(record.encoded) for record in people.harness.records())


def told(people: Conversation) -> list[str]:
    return [text for _, _, text in people.harness.world.messages]


async def test_a_large_output_is_stored_once_however_often_it_is_used(people: Conversation) -> None:
    """Read once, given to two actions and to the outputs: three parts of it, each stored a single time."""
    outcome = await people.begin("id: t\nsteps:\n" + READ + TWICE + "outputs: {text: '{{ steps.log.text }}'}\n")

    assert outcome.status == "succeeded"
    assert told(people) == ["200000 aaa", "200000 aaa"]
    assert outcome.outputs == {"text": "a" * 200_000}
    assert largest_record(people) < LARGEST_INLINE_BYTES
    assert sum(blobs(people)) < 2 * 240_000


async def test_a_large_value_is_what_it_was_after_a_restart(people: Conversation) -> None:
    """Expressions, loops and actions see all of it, in a process that never read it."""
    await people.begin(
        "id: t\nsteps:\n"
        + READ
        + "  - {wait: 1h}\n"
        + TWICE
        + "  - {id: n, set: {n: 'steps.log.text | length', last: 'steps.log.lines | last'}}\n"
        "outputs: {n: '{{ vars.n }}', last: '{{ vars.last }}', text: '{{ steps.log.text }}'}\n"
    )
    outcome = await people.later(3600)

    assert outcome.outputs == {"n": 200_000, "last": "a1999", "text": "a" * 200_000}
    assert told(people) == ["200000 aaa", "200000 aaa"]
    assert len(people.harness.world.called("fetch")) == 1


async def test_a_loop_over_a_large_list_has_each_item(people: Conversation) -> None:
    """The list is stored beside the record; no item of it is lost, and each may be read from outside."""
    outcome = await people.begin(
        "id: t\nsteps:\n  - {id: log, action: src.fetch, with: {name: abcdefgh, characters: 60000}}\n"
        "  - id: all\n    for_each: steps.log.lines\n    concurrency: 50\n    steps:\n      - {id: x, set: {k: item}}\n"
        "  - {id: after, set: {ks: \"steps.all | map(attribute='output.x.k') | list\"}}\n"
        "outputs: {ks: '{{ vars.ks }}'}\n"
    )

    assert outcome.status == "succeeded"
    assert outcome.outputs["ks"] == [f"abcdefgh{number}" for number in range(600)]


async def test_a_large_input_is_stored_beside_the_first_record(people: Conversation) -> None:
    """And read from there by every step."""
    outcome = await people.begin(
        "id: t\ninputs: {text: {type: string}}\nsteps:\n"
        "  - {action: messaging.post, with: {channel: c, text: '{{ inputs.text }}'}}\n",
        inputs={"text": "x" * LARGE},
    )

    assert outcome.status == "succeeded"
    assert told(people) == [f"{LARGE} xxx"]
    assert largest_record(people) < LARGEST_INLINE_BYTES


async def test_a_large_event_is_looked_at_whole(people: Conversation) -> None:
    """Its condition sees all of it, and so does what follows."""
    await people.begin(
        "id: t\nsteps:\n  - {id: w, wait: {event: scan, when: 'event.text | length > 100', at_most: 1h}}\n"
        "  - {action: messaging.post, with: {channel: c, text: '{{ steps.w.text }}'}}\n"
    )
    await people.harness.signal("scan", {"text": "y" * LARGE})
    outcome = await people.later(1)

    assert outcome.status == "succeeded"
    assert told(people) == [f"{LARGE} yyy"]


async def test_a_large_answer_is_kept_whole(people: Conversation) -> None:
    """What a person typed in is no smaller after a restart."""
    await people.begin(
        "id: t\nsteps:\n  - {id: ok, ask: What?, form: {text: {type: string}}, by: [mei], within: 1h}\n"
        "  - {wait: 1h}\noutputs: {text: '{{ steps.ok.text }}'}\n"
    )
    await people.say("mei", "answer", answers={"text": "z" * LARGE})
    outcome = await people.later(3600)

    assert outcome.outputs == {"text": "z" * LARGE}


async def test_a_change_of_many_targets_is_made_whole(people: Conversation) -> None:
    """Its arguments do not fit a record; each target has its hold, and each is released."""
    addresses = [f"203.0.{number // 250}.{number % 250}" for number in range(2000)]
    people.harness.bindings = {"firewall": ("src",)}
    outcome = await people.begin(
        "id: t\ninputs: {found: {type: list, items: indicator}}\nsteps:\n"
        "  - {id: b, action: firewall.block_indicators, with: {indicators: '{{ inputs.found }}', reason: r}}\n",
        inputs={"found": addresses},
    )

    assert outcome.status == "succeeded"
    assert len(people.harness.world.blocked) == 2000
    assert [len(event.opened) for event in outcome.of(ev.HoldsOpened)] == [1000, 1000]
    assert list(people.harness.holds().values()) == ["active"] * 2000


async def test_a_value_that_is_gone_stops_the_run_and_nothing_is_made_up(people: Conversation) -> None:
    """Somebody took it out of the journal; nothing goes on without it, and nothing is sent."""
    await people.begin("id: t\nsteps:\n" + READ + "  - {wait: 1h}\n" + TWICE)
    database = people.harness.journal._database  # type: ignore[attr-defined]  # as somebody with the file would
    for name in [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
        database.execute(f"DROP TRIGGER {name}")
    database.execute("DELETE FROM blob_links")
    database.execute("DELETE FROM blobs")
    with pytest.raises(RunHalted) as caught:
        await people.later(3600)

    assert isinstance(caught.value.__cause__, JournalBroken)
    assert told(people) == []


async def test_what_looks_like_a_stored_value_is_data(people: Conversation) -> None:
    """A product cannot make the engine load something by giving it a name."""
    given = {"$hikeshi": "stored", "sha256": "0" * 64, "bytes": 7}
    outcome = await people.begin(
        "id: t\ninputs: {d: {type: dict}}\nsteps:\n  - {id: s, set: {d: inputs.d}}\noutputs: {d: '{{ vars.d }}'}\n",
        inputs={"d": given},
    )

    assert outcome.outputs == {"d": given}
    assert blobs(people) == []


async def test_a_plan_reads_large_values_as_well(people: Conversation) -> None:
    """And shows the request that would be made with all of it."""
    outcome = await people.harness.plan("id: t\nsteps:\n" + READ + TWICE)

    assert outcome.status == "succeeded"
    assert len(outcome.of(ev.ActionPlanned)) == 2
    assert told(people) == []
