"""A run and the people who answer what it asks: it is left alone while it waits, and gone on with when somebody acts.

Each act is a new process as far as the run can tell: everything is folded from the records, and nothing else is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hikeshi.core import events as ev
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.testing.run_harness import Outcome, RunHarness

__all__ = ["CUT", "FIND", "HEAD", "OK", "Conversation", "error_of"]

FIND = "  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
OK = "  - {id: ok, approve: 'Cut {{ steps.find.name }} off?', by: [mei, kei], within: 15m}\n"
CUT = "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
HEAD = "id: t\nsteps:\n" + FIND


def _is_named(sender: str, by: Sequence[str]) -> bool:
    return sender in by


def _harness() -> RunHarness:
    made = RunHarness(may_decide=_is_named, park_after_s=1)
    for name in ("pc1", "pc2", "pc3"):
        made.world.add_host(name)
    made.world.add_user("mei@example.com")
    return made


@dataclass
class Conversation:
    """One run, in memory. People are who `by` names by their own names; who started it is called `tester`."""

    harness: RunHarness = field(default_factory=_harness)

    async def begin(self, text: str, *called: str, **options: Any) -> Outcome:
        """Run a playbook until it is over or nothing happens for a second."""
        return await self.harness.run(text, *called, **options)

    async def say(self, sender: str, kind: str, path: str = "ok", **data: Any) -> Outcome:
        """Let somebody answer what is asked at a path now; without a question there, the digest is that of none."""
        asked = self.harness.questions().get(path, {})
        return await self.send(sender, kind, **{"path": path, "digest": asked.get("digest", ""), **data})

    async def send(self, sender: str, kind: str, **data: Any) -> Outcome:
        """Send a message as it stands, and go on with the run."""
        await self.harness.tell(kind, data, sender=sender)
        return await self.harness.go_on()

    async def later(self, seconds: float) -> Outcome:
        """Let time pass while nobody drives the run, then go on with it."""
        clock = self.harness.clock
        assert isinstance(clock, FakeClock)
        clock.advance(seconds)
        return await self.harness.go_on()

    def asked(self) -> list[str]:
        """Return the paths at which people are asked now."""
        return sorted(self.harness.questions())

    def shown(self, path: str = "ok") -> list[tuple[str, str]]:
        """Return the action and the target's label of everything that the question at a path would allow."""
        return [(each["action"], each["label"]) for each in self.harness.questions()[path]["shows"]]

    def sent(self) -> list[str]:
        """Return the changes and messages that were sent, in order, each with the label of its first target."""
        return [_told(call.verb, call.arguments) for call in self.harness.world.sent()]

    def refusals(self) -> list[str]:
        """Return why messages were refused, in order."""
        return [event.reason for event in self.harness.events() if isinstance(event, ev.MessageRefused)]


def error_of(outcome: Outcome, path: str) -> tuple[str, str]:
    """Return the kind and the message of a step's error."""
    error = outcome.node(path).error
    assert error is not None
    return error.kind, error.message


def _told(verb: str, arguments: Any) -> str:
    for name in ("host", "user"):
        if name in arguments:
            return f"{verb} {arguments[name].name}"
    for name in ("indicators", "hashes"):
        if name in arguments:
            return f"{verb} {', '.join(each.value for each in arguments[name])}"
    return f"{verb} {arguments.get('text', '')}".strip()
