"""Holds as people look at them: another end, what the products say of them, and which somebody has to see to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office

from hikeshi.app import Hikeshi
from hikeshi.app.undo_plan import HoldRefused, UnknownHold
from hikeshi.cli.alerts import alerts_of
from hikeshi.connector import Applied, Forbidden, Unavailable
from hikeshi.core import RunState
from hikeshi.documents.holds import status_of
from hikeshi.runtime.ledger import Hold
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import Fault

TEXT = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: beacon}, hold: 1h}
"""
BLOCKS = """
id: t
inputs: {found: {type: list, items: indicator, default: [203.0.113.1, 203.0.113.2, 203.0.113.3]}}
steps:
  - {id: wall, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}HOLD}
"""
HOUR = timedelta(hours=1)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


async def held(office: Office, text: str = TEXT) -> tuple[Hikeshi, RunState, Hold]:
    office.write(text)
    app = office.process()
    state = await office.start(app)
    return app, state, app.holds()[0]


# --- another end ------------------------------------------------------------------------------------------------------


@pytest.mark.safety(22)
async def test_an_extended_hold_ends_at_its_new_time(office: Office) -> None:
    """Who said so and why is on record, and nothing is sent for it."""
    app, _, hold = await held(office)
    extended = await app.extend(hold.hold, by_s=3600, reason="still looking", actor="kei")
    assert extended.expires_at == START + 2 * HOUR
    office.clock.advance(3700)
    assert await office.work(app) == []
    office.clock.advance(3600)
    await office.work(app)

    assert office.sent() == ["isolate_host pc1", "release_host pc1"]
    (run,) = [each["run"] for each in app.runs() if each["playbook"] == "extend-hold"]
    (event,) = [each for each in app.records(run) if each.kind == "HoldExtended"]
    assert (event.data["actor"], event.data["reason"]) == ("kei", "still looking")
    assert app.fold(run).finished == "succeeded"


@pytest.mark.safety(22)
async def test_an_extension_survives_the_process_that_made_it(office: Office) -> None:
    """Its end is data; another process finds it."""
    app, _, hold = await held(office)
    await app.extend(hold.hold, until=START + 5 * HOUR, reason="r", actor="kei")
    await office.end(app)
    assert office.process().due().next_at == START + 5 * HOUR


async def test_a_hold_without_an_end_is_given_one_only_by_a_moment(office: Office) -> None:
    """There is nothing that a time span could be added to."""
    app, _, hold = await held(office, TEXT.replace(", hold: 1h", ""))
    with pytest.raises(HoldRefused, match="has no end; give it one with --until"):
        await app.extend(hold.hold, by_s=60, reason="r", actor="kei")
    extended = await app.extend(hold.hold, until=START + HOUR, reason="r", actor="kei")
    assert extended.expires_at == START + HOUR


@pytest.mark.parametrize("until", [START + HOUR, START + HOUR / 2, START - HOUR])
async def test_an_end_that_is_no_later_one_is_refused(office: Office, until: object) -> None:
    """Ending something sooner is a release, and says so."""
    app, _, hold = await held(office)
    with pytest.raises(HoldRefused, match=f"is no later end .* hikeshi release {hold.hold}"):
        await app.extend(hold.hold, until=until, reason="r", actor="kei")  # type: ignore[arg-type]
    assert app.hold(hold.hold).expires_at == START + HOUR


@pytest.mark.safety(22)
async def test_a_hold_that_is_due_or_over_is_not_extended(office: Office) -> None:
    """It may be under release already; each refusal says what to do instead."""
    app, _, hold = await held(office)
    office.clock.advance(3600)
    with pytest.raises(HoldRefused, match="due for release"):
        await app.extend(hold.hold, by_s=3600, reason="r", actor="kei")
    await office.work(app)
    with pytest.raises(HoldRefused, match="is released"):
        await app.extend(hold.hold, by_s=3600, reason="r", actor="kei")
    with pytest.raises(UnknownHold):
        await app.extend("nothing", by_s=3600, reason="r", actor="kei")


@pytest.mark.safety(22)
async def test_an_extension_and_a_release_at_the_same_moment_do_not_both_count(office: Office) -> None:
    """The journal decides: what was released in the meantime is refused, and nothing of it is stored."""
    app, state, hold = await held(office)
    other = office.process()
    looked = other._new_end(hold, None, 3600)
    await app.undo(await app.plan_undo(state.run), actor="mei")
    other._new_end = lambda *_: looked  # type: ignore[method-assign]  # it had looked before that
    with pytest.raises(HoldRefused, match="nothing was recorded"):
        await other.extend(hold.hold, by_s=3600, reason="r", actor="kei")
    assert [each for each in app.runs() if each["playbook"] == "extend-hold"] == []


# --- what the products say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "standing"),
    [("isolated", "held"), ("normal", "released"), ("releasing", "changed"), ("isolating", "changed")],
)
async def test_what_is_held_is_read_back(office: Office, now: str, standing: str) -> None:
    """As the change left it, as it was before, or as somebody else made it; nothing is sent."""
    app, _, hold = await held(office)
    office.world.isolation["fake", "id-pc1"] = now  # type: ignore[assignment]
    reading = (await app.read_holds([hold]))[hold.hold]

    assert (reading.standing, reading.state["state"]) == (standing, now)
    assert (reading.why is None) == (standing == "held")
    assert office.sent() == ["isolate_host pc1"]


@pytest.mark.safety(13)
async def test_what_cannot_be_read_is_not_called_released(office: Office) -> None:
    """Nothing is known of it then."""
    app, _, hold = await held(office)
    office.world.isolation["fake", "id-pc1"] = "normal"
    office.world.script("isolation_of", Unavailable("down"))
    reading = (await app.read_holds([hold]))[hold.hold]
    assert (reading.standing, reading.state, reading.why) == ("unreadable", None, "down")


async def test_a_batch_is_read_back_in_one_request(office: Office) -> None:
    """Each of its targets is judged alone."""
    app, _, _ = await held(office, BLOCKS.replace("HOLD", ""))
    office.world.blocked.discard(("fake", "203.0.113.2"))
    office.world.calls.clear()
    readings = await app.read_holds(app.holds())

    assert {hold.label: readings[hold.hold].standing for hold in app.holds()} == {
        "203.0.113.1": "held",
        "203.0.113.2": "released",
        "203.0.113.3": "held",
    }
    assert [call.verb for call in office.world.calls] == ["blocks_of"]


async def test_a_long_list_is_read_back_in_few_requests(office: Office) -> None:
    """Most products list all that they block each time they are asked, and what is asked has a place in the answer."""
    values = [f"198.18.{n // 250}.{n % 250}" for n in range(4500)]
    listed = BLOCKS.replace("HOLD", "").replace(
        "default: [203.0.113.1, 203.0.113.2, 203.0.113.3]", f"default: {values}"
    )
    app, _, _ = await held(office, listed)
    gone = {values[n] for n in (0, 1999, 2000, 4499)}
    office.world.blocked -= {("fake", value) for value in gone}
    office.world.calls.clear()
    readings = await app.read_holds(app.holds())

    assert [call.verb for call in office.world.calls] == ["blocks_of"] * 3
    assert {hold.label for hold in app.holds() if readings[hold.hold].standing == "released"} == gone
    assert len(readings) == 4500


async def test_a_change_of_unknown_outcome_is_not_called_drift(office: Office) -> None:
    """What is read is shown, and a person is asked what happened."""
    office.world.script("isolate_host", Fault("lost", Unavailable("gone", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    app, state, hold = await held(office)
    office.world.faults.clear()
    reading = (await app.read_holds([hold]))[hold.hold]
    assert (reading.why or "").endswith(f"hikeshi resolve {state.run} 'cut'")


# --- an expiry of the product's own -----------------------------------------------------------------------------------


@pytest.mark.safety(22)
async def test_the_product_is_told_when_a_hold_is_over(office: Office) -> None:
    """If it can lift the change itself: then a lost engine releases, too."""
    await held(office, BLOCKS.replace("HOLD", ", hold: 90m"))
    assert office.world.sent("block_indicators")[0].arguments["expires_in_s"] == 5400


async def test_an_expiry_that_the_playbook_gives_counts_more(office: Office) -> None:
    """Without a hold none is made up, and one that is written stays as it is written."""
    await held(office, BLOCKS.replace("HOLD", ""))
    assert office.world.sent("block_indicators")[0].arguments["expires_in_s"] is None
    office.world.blocked.clear()
    await held(office, BLOCKS.replace("reason: r}", "reason: r, expires_in_s: 60}").replace("HOLD", ", hold: 90m"))
    assert office.world.sent("block_indicators")[-1].arguments["expires_in_s"] == 60


# --- what somebody has to see to --------------------------------------------------------------------------------------


@pytest.mark.safety(22)
async def test_a_hold_that_nobody_released_in_time_alerts(office: Office) -> None:
    """A minute late is late; a moment is not."""
    app, _, _ = await held(office)
    office.clock.advance(3610)
    assert list(alerts_of(app.holds(), office.clock.now())) == []
    office.clock.advance(60)
    ((event, hold, text),) = alerts_of(app.holds(), office.clock.now())
    assert (event, hold.label) == ("hold_overdue", "pc1")
    assert text == "pc1 should have been released at 2026-03-02T10:00:00+00:00"
    assert status_of(hold, office.clock.now()) == "overdue"


@pytest.mark.safety(22)
async def test_a_release_that_failed_alerts_with_its_reason(office: Office) -> None:
    """And with the run that tried, and when it is tried again; once it is released, no more."""
    app, _, _ = await held(office)
    office.world.script("release_host", Forbidden("not allowed"))
    office.clock.advance(3600)
    (state,) = await office.work(app)
    ((event, hold, text),) = alerts_of(app.holds(), office.clock.now())
    assert event == "hold_release_failed"
    assert text.startswith(f"pc1 could not be released by run {state.run}: not allowed; it is tried again at 2026")
    assert hold.release_tries == 1
    office.clock.advance(600)
    await office.work(app)
    assert list(alerts_of(app.holds(), office.clock.now())) == []
