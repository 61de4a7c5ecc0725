"""What a run needs of the rest of the project: messages and signals, the ledger, and a look ahead.

One for each process; it asks the journal for all its runs at once, a few times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.capabilities import Catalogue, UnknownAction
from hikeshi.connector.errors import ConnectorError
from hikeshi.core import AwaitSignal, FindHolds, PlanCovered, RunState, StartAction
from hikeshi.core import events as ev
from hikeshi.core.begin_wait import digest_of
from hikeshi.core.events import Event
from hikeshi.journal import Journal, JournalError, JournalUnavailable, LeaseLost, Message, Ownership
from hikeshi.playbook.unknown import to_json
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.errors import error_record
from hikeshi.runtime.ledger import Hold, Ledger
from hikeshi.runtime.mail import MayDecide, events_of, nobody_may

if TYPE_CHECKING:
    from hikeshi.runtime.gate import Gate

__all__ = ["Errands", "resolution"]

_PATIENT_LOOK_S = 5.0  # even without a sign of a change
Receiver = Callable[[Sequence[Message]], None]


class Errands:
    """Serves every run that this process drives."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        catalogue: Catalogue,
        plan_gate: Callable[[str], Gate],
        *,
        may_decide: MayDecide = nobody_may,
        same_person: Callable[[str, str], bool] = str.__eq__,
        look_every_s: float = 0.2,
        lease: Ownership | None = None,
    ) -> None:
        self._lease = lease
        self._renewed_at = float("-inf")
        self._look_every_s = look_every_s
        self._journal = journal
        self._clock = clock
        self.catalogue = catalogue
        self._plan_gate = plan_gate
        self._may_decide = may_decide
        self._same_person = same_person
        self._receivers: dict[str, Receiver] = {}
        self._fails: dict[str, Callable[[JournalError], None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.ledger = Ledger(journal)

    # --- messages ---------------------------------------------------------------------------------------------

    def subscribe(self, run: str, receiver: Receiver, fail: Callable[[JournalError], None]) -> None:
        """Hand a run's messages to this receiver from now on; `fail` is told if this process may not go on."""
        self._receivers[run] = receiver
        self._fails[run] = fail
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def unsubscribe(self, run: str) -> None:
        """A run is not driven here any more."""
        self._receivers.pop(run, None)
        self._fails.pop(run, None)
        if not self._receivers and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def drives(self, run: str) -> bool:
        """Say whether this process drives a run."""
        return run in self._receivers

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def messages(self, run: str) -> list[Message]:
        """Return what was sent to a run and not taken yet."""
        return self._journal.messages(run)

    async def judge(self, state: RunState, message: Message, gate: Gate) -> list[Event]:
        """Return what a message means for a run."""
        if message.kind == "resolve" and state.finished is None:
            return await self._resolve(state, message, gate)
        return events_of(state, message, self._may_decide, self._same_person)

    async def _resolve(self, state: RunState, message: Message, gate: Gate) -> list[Event]:
        """Record what somebody found out about a change of unknown outcome, with the state read back."""
        path, happened = str(message.data.get("path", "")), message.data.get("happened") is True
        if path not in state.unknown:
            waiting = ", ".join(sorted(state.unknown)) or "none"
            reason = f"the outcome of {path!r} is not unknown (unknown there: {waiting})"
            return [ev.MessageRefused("", "resolve", message.sender, reason, message.id)]
        try:
            return await resolution(state, path, gate, happened=happened, actor=message.sender, message=message.id)
        except ConnectorError as exc:
            reason = f"the state could not be read back: {error_record(exc, gate.redactor).message}"
            return [ev.MessageRefused("", "resolve", message.sender, reason, message.id)]

    def look_now(self) -> None:
        """Hand every message that is there to the run it is for, if that is driven here."""
        for run in self._journal.runs_with_messages():
            if run in self._receivers:
                self._receivers[run](self._journal.messages(run))

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        seen, looked_at = -1, loop.time()
        while self._receivers:
            self._keep_lease()
            changes = self._journal.changes()
            if changes != seen or loop.time() - looked_at > _PATIENT_LOOK_S:
                seen, looked_at = changes, loop.time()
                self.look_now()
            # Not a wait of any run, so not on its clock.
            await asyncio.sleep(self._look_every_s)

    def _keep_lease(self) -> None:
        """Renew the lease in good time. Where that cannot be done, nothing is sent any more when it is over."""
        now = time.monotonic()
        if self._lease is None or now - self._renewed_at < self._lease.lease_s / 4:
            return
        try:
            self._lease.renew()
            self._renewed_at = now
        except LeaseLost as exc:
            for fail in list(self._fails.values()):
                fail(exc)
        except JournalUnavailable:
            return  # the next look tries again, and until then the check before each change decides

    # --- commands ---------------------------------------------------------------------------------------------

    async def perform(self, command: AwaitSignal | FindHolds | PlanCovered, state: RunState) -> Sequence[Event]:
        """Carry out a command that is no action, and return the events that answer it."""
        match command:
            case AwaitSignal():
                return await self._signal(command)
            case FindHolds():
                return [self._holds(command)]
            case PlanCovered():
                return [await self._question(command, state)]

    async def _signal(self, command: AwaitSignal) -> list[Event]:
        while True:
            found = self._journal.signals(command.name, since=command.since, after=command.after, limit=1)
            left_s = (command.due_at - self._clock.now()).total_seconds()
            if found and (found[0].at <= command.due_at or left_s > 0):
                return [ev.SignalArrived(command.path, found[0].id, _storable(found[0].data))]
            if left_s <= 0:
                return [ev.TimerFired(command.path)]
            await self._clock.sleep(min(left_s, self._look_every_s))

    def _holds(self, command: FindHolds) -> Event:
        holds = self.ledger.on_targets(command.targets)
        return ev.HoldsFound(command.path, [self._inverse(hold) for hold in holds if hold.undo is not None])

    def _inverse(self, hold: Hold) -> dict[str, Any]:
        assert hold.undo is not None
        action = str(hold.undo["action"])
        return {
            "hold": hold.hold,
            "action": action,
            "at": self._where(hold, action),
            "arguments": dict(hold.undo["arguments"]),
            "target": hold.target,
            "label": hold.label,
        }

    def _where(self, hold: Hold, action: str) -> list[str]:
        """Return where an inverse goes: to where the change was made, unless the playbook named another action."""
        try:
            instances = self.catalogue.route(action).instances
        except UnknownAction:
            return [hold.connector]  # the gate says what is missing
        return [hold.connector] if hold.connector in instances else list(instances)

    async def _question(self, command: PlanCovered, state: RunState) -> Event:
        from hikeshi.runtime.lookahead import look_ahead

        shows, not_known = await look_ahead(
            state.run,
            state.program,
            state.seq,
            command.path,
            self._journal,
            self._plan_gate(state.run),
            self._clock,
        )
        return ev.QuestionAsked(
            command.path,
            "approval",
            command.question,
            list(command.by),
            command.quorum,
            self._clock.now() + timedelta(seconds=command.within_s),
            digest_of(state.run, command.path, 1, command.question, shows, not_known),
            shows,
            not_known,
        )

    async def until_free(self, key: str) -> None:
        """Return when nobody has a key, as far as can be seen; whoever wants it then has to try."""
        while self._journal.query("SELECT 1 FROM run_keys WHERE key = ?", (key,)):
            await self._clock.sleep(self._look_every_s)


def _storable(data: Any) -> Any:
    """Return data that an event can hold: what is nested too deep comes as nothing, so that it ends no run."""
    try:
        to_json(data)
    except ValueError:
        return None
    return data


async def resolution(
    state: RunState, path: str, gate: Gate, *, happened: bool, actor: str, message: int | None = None
) -> list[Event]:
    """Return the events that record what somebody found out. Raises ConnectorError if reading back fails."""
    node = state.nodes[path]
    assert node.action is not None
    command = StartAction(path, node.attempts, node.action, node.at, node.arguments or {}, None, node.maybe)
    output = await gate.read_back(command) if happened else None
    events: list[Event] = [ev.StepResolved(path, happened, actor, output, message)]
    if happened and node.releases is not None:
        events.insert(0, ev.HoldReleased(path, node.releases))
    return events
