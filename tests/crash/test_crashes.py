"""A sample of the crash test with a fixed seed, and the judge itself: that it finds what it is there to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and the processes run the same modules

from evidence import Ending, Told
from playbooks import Playbook
from simulator import Arrival
from verdict import Moment, judge

RUN = Path(__file__).parent / "run.py"
KNOWN = Told(
    run="r",
    runs=1,
    finished="succeeded",
    intended={"isolate pc1@west", "post hi@west", "tag red@west", "wipe disk@west"},
    outcomes=dict.fromkeys(["isolate pc1@west", "post hi@west", "tag red@west", "wipe disk@west"], "done"),
)
COMPLETE = Ending("succeeded", [])


def playbook(*effects: str) -> Playbook:
    return Playbook("p", "all", "", effects)


def arrived(effect: str, result: str = "applied", key: str = "k") -> Arrival:
    what, _, rest = effect.partition(" ")
    name, _, instance = rest.partition("@")
    return Arrival(instance, what, name, key, result)


def moment(*arrivals: Arrival, told: Told = KNOWN, how: str = "done") -> Moment:
    return Moment(how, arrivals, told)


@pytest.mark.safety(15)
def test_a_sample_of_kills_loses_and_doubles_nothing() -> None:
    """Forty cases chosen by a fixed seed, real processes: every run ends, and every effect is there exactly once."""
    command = [sys.executable, str(RUN), "--seed", "11", "--cases", "40", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = json.loads(done.stdout)["rows"]
    assert sum(row["cases"] for row in rows) == 40
    assert sum(row["ended"] for row in rows) == 40
    assert sum(row["kills"] for row in rows) >= 40


def test_what_happened_once_and_is_known_is_in_order() -> None:
    """The judge has nothing to say about a run in which everything went well."""
    verdict = judge(playbook("isolate pc1@west"), [moment(arrived("isolate pc1@west"))], COMPLETE)
    assert verdict.problems == []


def test_an_effect_that_is_missing_is_lost() -> None:
    """The run says that it is done, and the product knows nothing of it."""
    verdict = judge(playbook("isolate pc1@west"), [moment()], COMPLETE)
    assert verdict.kinds == {"lost"}


def test_an_effect_that_the_run_does_not_know_is_lost() -> None:
    """It happened, and the journal says that it failed: nobody would undo it."""
    told = Told(run="r", runs=1, finished="succeeded", intended=KNOWN.intended, outcomes={"wipe disk@west": "failed"})
    verdict = judge(playbook("wipe disk@west"), [moment(arrived("wipe disk@west"), told=told)], COMPLETE)
    assert verdict.kinds == {"lost"}


@pytest.mark.parametrize("effect", ["isolate pc1@west", "wipe disk@west", "tag red@west"])
def test_an_effect_that_happened_twice_is_doubled(effect: str) -> None:
    """Whatever its class; an idempotent one happens twice only if its key has changed."""
    verdict = judge(playbook(effect), [moment(arrived(effect), arrived(effect, key="other"))], COMPLETE)
    assert verdict.kinds == {"doubled"}


def test_an_idempotent_change_may_be_sent_twice_after_a_kill_only() -> None:
    """Without a reason to repeat it, sending it again is a defect even if the product knows it by its key."""
    arrivals = arrived("tag red@west"), arrived("tag red@west", "repeated")
    quiet = judge(playbook("tag red@west"), [moment(*arrivals)], COMPLETE)
    killed = judge(playbook("tag red@west"), [moment(arrivals[0], how="killed"), moment(*arrivals)], COMPLETE)
    assert (quiet.kinds, killed.kinds) == ({"doubled"}, set())


def test_a_message_that_was_said_twice_has_to_be_marked() -> None:
    """Told twice beats not told, if the people who read the run are told so."""
    twice = arrived("post hi@west"), arrived("post hi@west")
    marked = Told(**{**vars(KNOWN), "repeated": {"post hi@west"}})
    silent = judge(playbook("post hi@west"), [moment(how="killed"), moment(*twice)], COMPLETE)
    told = judge(playbook("post hi@west"), [moment(how="killed"), moment(*twice, told=marked)], COMPLETE)
    assert (silent.kinds, told.kinds) == ({"doubled"}, set())


def test_what_was_confirmed_is_not_asked_again() -> None:
    """Not even by a read: nobody has a reason to."""
    confirmed = Told(**{**vars(KNOWN), "confirmed": {"isolate pc1@west"}})
    first = moment(arrived("isolate pc1@west"), told=confirmed, how="killed")
    again = moment(arrived("isolate pc1@west"), arrived("isolate pc1@west", "read"), told=confirmed)
    assert judge(playbook("isolate pc1@west"), [first, again], COMPLETE).kinds == {"doubled"}


def test_a_process_that_has_lost_its_run_may_still_read() -> None:
    """It does not know yet that another one goes on with the run, and reading does no harm."""
    confirmed = Told(**{**vars(KNOWN), "confirmed": {"isolate pc1@west"}})
    first = moment(arrived("isolate pc1@west"), told=confirmed, how="stopped")
    woken = Moment("halted", [*first.arrivals, arrived("isolate pc1@west", "read")], confirmed, stale=True)
    assert judge(playbook("isolate pc1@west"), [first, woken], COMPLETE).kinds == set()


def test_a_change_that_was_sent_before_it_was_stored_is_wrong() -> None:
    """At the moment of the kill the journal has no intent of what the product has done already."""
    early = moment(arrived("isolate pc1@west"), told=Told(run="r", runs=1), how="killed")
    verdict = judge(playbook("isolate pc1@west"), [early, moment(arrived("isolate pc1@west"))], COMPLETE)
    assert verdict.kinds == {"wrong"}


def test_a_run_that_does_not_end_is_stuck() -> None:
    """It waits for nobody, and nobody goes on with it."""
    verdict = judge(playbook("isolate pc1@west"), [moment(told=Told(run="r", runs=1))], None)
    assert verdict.kinds == {"stuck"}


@pytest.mark.parametrize(("effect", "kinds"), [("wipe disk@west", set()), ("isolate pc1@west", {"stuck"})])
def test_a_person_is_asked_only_where_nobody_else_can_know(effect: str, kinds: set[str]) -> None:
    """A manual change may be left to a person; what can be read back may not."""
    asked = Told(**{**vars(KNOWN), "finished": None, "unknown": {"act": {effect}}})
    moments = [moment(arrived(effect), told=asked, how="killed"), moment(arrived(effect))]
    verdict = judge(playbook(effect), moments, COMPLETE)
    assert verdict.asked
    assert verdict.kinds == kinds


def test_a_story_with_a_gap_is_wrong() -> None:
    """A hold that is never settled, a step that never ended: the run is over and does not say what became of it."""
    verdict = judge(
        playbook("isolate pc1@west"),
        [moment(arrived("isolate pc1@west"))],
        Ending("succeeded", ["the hold of isolate pc1@west is opening"]),
    )
    assert verdict.kinds == {"wrong"}
