"""A process is killed at a named point; another goes on. What the product was asked to do is what counts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and the process runs the same module

from worker import BoxSimulator, opened

from hikeshi.app import RunIsDriven
from hikeshi.core import RunState
from hikeshi.core import events as ev
from hikeshi.runtime.clock import SystemClock
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running

WORKER = Path(__file__).parent / "worker.py"
POINTS = ("before intent", "after intent", "after send", "before result", "after result")
ACTS = {
    "isolate": "{id: act, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}",
    "tag": "{id: act, action: box.tag, with: {name: red}}",
    "wipe": "{id: act, action: box.wipe, with: {name: disk}}",
    "post": "{id: act, action: messaging.post, with: {channel: c, text: hi}}",
}
PLAYBOOKS = {
    name: f"""
id: {name}
steps:
  - {{id: find, action: edr.get_host, with: {{name: pc1}}}}
  - {act}
  - {{id: after, action: edr.get_host, with: {{name: pc1}}}}
"""
    for name, act in ACTS.items()
}


class HurriedClock(SystemClock):
    """The machine's clock, on which waiting is short: the product here counts looks, not seconds."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.005))


@dataclass
class Site:
    """A project, the product it talks to, and processes that run it."""

    folder: Path
    box: BoxSimulator

    def start(
        self, name: str, *, verb: str = "start", kill_at: str = "", wait_for: Path | None = None
    ) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path), "KILL_AT": kill_at}
        if wait_for is not None:
            environment["WAIT_FOR"] = str(wait_for)
        command = [sys.executable, str(WORKER), str(self.folder), verb, name]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def killed(self, name: str, point: str, *, verb: str = "start") -> None:
        """Run a playbook, or go on with a run, in a process of its own until it is killed."""
        process = self.start(name, verb=verb, kill_at=point)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, errors.decode()

    async def go_on(self) -> RunState:
        """Go on with the one run that nobody drives, as the next start of the program does."""
        app = opened(self.folder, HurriedClock())
        try:
            (run,) = app.unfinished()
            state = await app.go_on(run)
            assert [record.seq for record in app.records(run)] == list(range(1, state.seq + 1))
            assert app.verify().status != "broken"
            return state
        finally:
            await app.aclose()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    simulation = Simulation(Estate(EstateState("box", datetime(2026, 3, 2, tzinfo=UTC))), [BoxSimulator])
    box = simulation.simulators["box"]
    assert isinstance(box, BoxSimulator)
    with running(simulation) as url:
        (tmp_path / "playbooks").mkdir()
        for name, text in PLAYBOOKS.items():
            (tmp_path / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")
        settings = f"connectors:\n  box: {{product: box, base_url: '{url}/box'}}\n"
        (tmp_path / "hikeshi.yaml").write_text(settings, encoding="utf-8")
        yield Site(tmp_path, box)


@pytest.mark.parametrize("point", POINTS)
async def test_a_verifiable_change_happens_exactly_once(site: Site, point: str) -> None:
    """Rule 15: the state is read back, so the product is asked once wherever the process died."""
    site.killed("isolate", point)
    state = await site.go_on()
    assert site.box.asked == ["isolate"]
    assert state.status == "succeeded"
    assert state.nodes["after"].status == "succeeded"


async def test_a_change_that_the_product_is_still_at_is_not_asked_for_again(site: Site) -> None:
    """It takes longer than the first look after the restart; that is no reason to send it twice."""
    site.box.looks_left = 14
    site.killed("isolate", "after send")
    state = await site.go_on()
    assert site.box.asked == ["isolate"]
    assert state.status == "succeeded"


@pytest.mark.parametrize("point", POINTS)
async def test_an_idempotent_change_is_sent_again_where_its_outcome_was_lost(site: Site, point: str) -> None:
    """At most one repetition, under the same key, and the run ends."""
    site.killed("tag", point)
    state = await site.go_on()
    again = point in ("after send", "before result")
    assert site.box.asked == ["tag"] * (2 if again else 1)
    assert state.status == "succeeded"


@pytest.mark.parametrize("point", POINTS)
async def test_a_manual_change_is_never_sent_again_by_itself(site: Site, point: str) -> None:
    """Where nobody can know, the run waits for a person."""
    site.killed("wipe", point)
    state = await site.go_on()
    assert site.box.asked == (["wipe"] if point != "after intent" else [])
    if point in ("before intent", "after result"):
        assert state.status == "succeeded"
    else:
        assert (state.status, state.unknown) == ("waiting", {"act[box]"})


@pytest.mark.parametrize("point", POINTS)
async def test_a_notification_is_repeated_and_marked_where_its_outcome_was_lost(site: Site, point: str) -> None:
    """Told twice beats not told."""
    site.killed("post", point)
    state = await site.go_on()
    again = point in ("after send", "before result")
    assert site.box.asked == ["post"] * (2 if again else 1)
    assert state.nodes["act[box]"].possibly_repeated is (again or point == "after intent")
    assert state.status == "succeeded"


async def test_killed_twice_it_still_happens_once(site: Site) -> None:
    """The process that goes on may die as well."""
    site.killed("isolate", "after intent")
    app = opened(site.folder)
    (run,) = app.unfinished()
    await app.aclose()
    site.killed(run, "after send", verb="go_on")
    state = await site.go_on()
    assert site.box.asked == ["isolate"]
    assert state.status == "succeeded"


@pytest.mark.parametrize("stopped", [False, True])
async def test_the_run_of_a_living_process_is_not_taken_over(site: Site, tmp_path: Path, stopped: bool) -> None:
    """A process that lives, and even one that is stopped, keeps its runs; only its death frees them."""
    go = tmp_path / "go"
    process = site.start("isolate", wait_for=go)
    app = opened(site.folder)
    try:
        run = _wait_for_intent(site, process)
        if stopped:
            process.send_signal(signal.SIGSTOP)
        assert app.unfinished() == []
        with pytest.raises(RunIsDriven):
            await app.go_on(run)
        if stopped:
            process.send_signal(signal.SIGCONT)
        go.touch()
        output, errors = process.communicate(timeout=30)
        assert b'"succeeded"' in output, errors.decode()
        assert site.box.asked == ["isolate"]
        assert app.fold(run).finished == "succeeded"
        assert [record.kind for record in app.records(run)].count("RunTakenOver") == 0
    finally:
        process.kill()
        process.wait()
        await app.aclose()


async def test_the_run_of_a_process_that_died_waiting_is_free_at_once(site: Site, tmp_path: Path) -> None:
    """No time-out has to pass."""
    process = site.start("isolate", wait_for=tmp_path / "never")
    _wait_for_intent(site, process)
    process.kill()
    process.communicate()
    state = await site.go_on()
    assert state.status == "succeeded"
    assert site.box.asked == ["isolate"]


def _wait_for_intent(site: Site, process: subprocess.Popen[bytes]) -> str:
    """Return the run of a process as soon as it is about to send its change."""
    app = opened(site.folder)
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline and process.poll() is None:
            for row in app.journal.query("SELECT DISTINCT run FROM holds WHERE status = 'opening'"):
                return str(row["run"])
            time.sleep(0.02)
        raise AssertionError(process.communicate()[1].decode() if process.poll() is not None else "no intent in time")
    finally:
        app.journal.close()
        app.ownership.close()


async def test_two_runs_of_a_dead_process_are_both_found(site: Site) -> None:
    """Oldest first, and neither is forgotten."""
    site.killed("isolate", "after intent")
    site.killed("post", "after intent")
    app = opened(site.folder, HurriedClock())
    try:
        runs = app.unfinished()
        assert len(runs) == 2
        for run in runs:
            assert (await app.go_on(run)).finished == "succeeded"
        assert app.unfinished() == []
        assert sorted(site.box.asked) == ["isolate", "post"]
        taken = [event for run in runs for event in app.records(run) if event.kind == ev.RunTakenOver.__name__]
        assert len(taken) == 2
    finally:
        await app.aclose()


async def test_what_is_unknown_in_one_branch_lets_the_other_go_on(site: Site) -> None:
    """After a crash, a branch that waits for a person does not hold up the one beside it."""
    (site.folder / "playbooks" / "both.yaml").write_text(
        """
id: both
steps:
  - parallel:
      - {id: act, action: box.wipe, with: {name: disk}, timeout: 5s}
      - {id: other, action: edr.get_host, with: {name: pc1}}
""",
        encoding="utf-8",
    )
    site.killed("both", "after send")
    first = await site.go_on()
    assert (first.status, first.unknown) == ("waiting", {"steps[0].act[box]"})
    assert first.nodes["steps[0].other"].status == "succeeded"
