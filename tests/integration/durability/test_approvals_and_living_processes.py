"""An approval with a quorum and a deadline, whose processes live and are killed while people vote."""

from __future__ import annotations

import asyncio

import pytest
from durable_site import Site

from hikeshi.app import MessageNotWanted
from hikeshi.core import events as ev

TEXT = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - id: ok
    approve: "Isolate {{ steps.find.name }}?"
    by: [role:lead]
    within: 15m
    quorum: 2
    escalate: {to: [role:board], within: 10m}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: stays, needs: [], wait: 5h}
"""
MINUTE_S = 60.0


async def the_question(site: Site) -> tuple[str, str]:
    """Return the run that asks, and the digest of what it shows."""
    async with site.app() as app:
        (asked,) = app.questions()
        return asked["run"], asked["digest"]


async def vote(site: Site, run: str, sender: str, kind: str, digest: str, ahead_s: float = 0.0) -> None:
    """Let somebody vote through a process of their own, which drives the run only if nobody else does."""
    async with site.app(ahead_s) as app:
        await app.tell(run, kind, {"path": "ok", "digest": digest}, actor=sender)


async def refusals(site: Site, run: str) -> list[str]:
    async with site.app() as app:
        return [str(each.data["reason"]) for each in app.records(run) if each.kind == ev.MessageRefused.__name__]


def asks(site: Site) -> bool:
    """Say whether somebody is being asked."""

    async def look() -> bool:
        async with site.app() as app:
            return bool(app.questions())

    return asyncio.run(look())


@pytest.fixture
def run(site: Site) -> str:
    """A run that asks, driven by a process that lives."""
    site.write(TEXT)
    process = site.start("start", "t")
    site.until(process, lambda: asks(site))
    found, _ = asyncio.run(the_question(site))
    return found


async def _votes(site: Site, run: str) -> list[tuple[str, str]]:
    async with site.app() as app:
        return [(each.data["by"], each.data["decision"]) for each in app.records(run) if each.kind == "VoteCast"]


def test_a_living_process_takes_the_first_vote_and_another_one_the_second(site: Site, run: str) -> None:
    """The first is answered by the process that drives the run; that is killed; the next one sends the change once."""
    _, digest = asyncio.run(the_question(site))
    asyncio.run(vote(site, run, "mei", "approve", digest))
    assert asyncio.run(_votes(site, run)) == [("mei", "approve")]
    site.kill(site.processes[0])
    assert site.fleet.changes("isolate") == {}

    worker = site.start("stay", park_after_s=1)
    asyncio.run(vote(site, run, "k.ito", "approve", digest))
    site.until(worker, lambda: site.fleet.changes("isolate"))
    site.kill(worker)

    assert asyncio.run(_votes(site, run)) == [("mei", "approve"), ("k.ito", "approve")]
    assert site.fleet.changes("isolate") == {"pc1": 1}


def test_a_rejection_after_the_restart_rejects(site: Site, run: str) -> None:
    """The vote before it does not help."""
    _, digest = asyncio.run(the_question(site))
    asyncio.run(vote(site, run, "mei", "approve", digest))
    site.kill(site.processes[0])
    asyncio.run(vote(site, run, "ken", "reject", digest))

    async def state() -> tuple[str, str]:
        async with site.app() as app:
            nodes = app.fold(run).nodes
            return nodes["ok"].status.value, nodes["cut"].status.value

    assert asyncio.run(state()) == ("failed", "blocked")
    assert site.fleet.changes("isolate") == {}


def test_time_over_and_votes_that_come_too_late(site: Site, run: str) -> None:
    """Escalated while nobody was there, then rejected; two late votes are refused, each with its reason, on record."""
    _, digest = asyncio.run(the_question(site))
    asyncio.run(vote(site, run, "mei", "approve", digest))
    site.kill(site.processes[0])
    site.end_of(site.start("work", ahead_s=16 * MINUTE_S, park_after_s=1))

    async def by() -> list[str]:
        async with site.app() as app:
            return list(app.questions()[0]["by"])

    assert asyncio.run(by()) == ["role:lead", "role:board"]
    site.end_of(site.start("work", ahead_s=27 * MINUTE_S, park_after_s=1))
    for sender, kind in (("ciso", "approve"), ("ken", "reject")):
        with pytest.raises(MessageNotWanted, match="is no longer open"):
            asyncio.run(vote(site, run, sender, kind, digest, 28 * MINUTE_S))

    reason = "the approval at 'ok' is no longer open: nobody decided within 25m (1 of 2 had approved)"
    assert asyncio.run(refusals(site, run)) == [reason] * 2
    assert site.fleet.changes("isolate") == {}
