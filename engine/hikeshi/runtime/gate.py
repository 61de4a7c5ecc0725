"""The gate: the one door through which every action goes.

The rule: nothing outside this file and `change.py` opens a door for a change, and both do so only after the intent to
make it is stored. A plan comes the same way and is turned back inside the guarded client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from hikeshi.capabilities import ActionSpec, Catalogue, Effect, Recovery
from hikeshi.connector.door import Door
from hikeshi.connector.errors import Applied, ConnectorError, Invalid
from hikeshi.connector.registry import ConnectorNotUsable
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.journal import JournalError
from hikeshi.playbook.unknown import find_unknown
from hikeshi.runtime.arguments import owner_of, typed_arguments, unknown_arguments, with_expiry
from hikeshi.runtime.call import call
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.errors import RunCancelled, error_record
from hikeshi.runtime.instances import Instances
from hikeshi.runtime.planning import Altered, plan_call, plan_unknown, unknown_output
from hikeshi.runtime.reads import read
from hikeshi.runtime.targets import action_key, targets_of
from hikeshi.secrets import Redactor, SecretUnavailable

if TYPE_CHECKING:
    from hikeshi.runtime.carry import Carry
    from hikeshi.runtime.change import ChangeCall
    from hikeshi.runtime.ledger import Ledger
    from hikeshi.runtime.planned import Planned
    from hikeshi.runtime.rules import Rules
    from hikeshi.runtime.together import Together

__all__ = ["Gate", "Recorder"]

Recorder = Callable[[Sequence[Event]], Awaitable[None]]  # returns when the events are durable


@dataclass(slots=True)
class Gate:
    """Carries out the actions of one run."""

    run: str
    mode: Literal["live", "plan"]
    catalogue: Catalogue
    instances: Instances
    redactor: Redactor
    clock: Clock
    altered: Altered = field(default_factory=Altered)
    ledger: Ledger | None = None
    check: Callable[[], None] | None = None  # raises unless this process may still send
    carry: Carry | None = None
    planned: Planned | None = None  # of a run that applies a plan
    rules: Rules | None = None
    _together: Together | None = None

    async def perform(self, command: StartAction, record: Recorder) -> list[Event]:
        """Carry out one attempt and return the events that say how it ended; `record` stores what comes before that.

        Raises only what is our own fault, or that the journal cannot be written.
        """
        if self.carry is not None and command.intent is None and (carried := self.carry.answer(command)) is not None:
            return carried
        spec = self.catalogue.spec(command.action)
        try:
            return await self._perform(spec, command, record)
        except (ConnectorError, ConnectorNotUsable, SecretUnavailable) as exc:
            return [ev.ActionFailed(command.path, command.attempt, error_record(exc, self.redactor))]
        except RunCancelled:
            return [ev.StepCancelled(command.path)]
        except JournalError:
            raise
        except Exception as exc:  # noqa: BLE001 - a connector's own defect ends the step, not the run
            text = f"{spec.name}: a defect in the connector: {type(exc).__name__}"
            return [ev.ActionFailed(command.path, command.attempt, ErrorRecord("defect", text))]

    async def _perform(self, spec: ActionSpec, command: StartAction, record: Recorder) -> list[Event]:
        unknown = unknown_arguments(command.arguments)
        if unknown:
            return [plan_unknown(spec, command, unknown)]
        typed = with_expiry(spec, typed_arguments(spec, command.arguments), self._lasts_s(command))
        names = self._where(spec, typed, command)
        if spec.effect is Effect.READ:
            return await self._read(spec, command, typed, names)
        refused = await self._refused(spec, command, typed, names[0])
        if refused is not None:
            return [refused]
        if self.mode == "plan":
            return [await self._planned(spec, command, typed, names[0])]
        if spec.effect is Effect.NOTIFY:
            return await self._notify(spec, command, typed, names[0])
        if command.releases is not None and command.intent is None and self.ledger is not None:
            other = self.ledger.keeper_besides(command.releases)
            if other is not None:
                released = ev.HoldReleased(command.path, command.releases, "passed_on", other)
                return [released, ev.ActionSucceeded(command.path, command.attempt, None, already=True)]
        return await self._change(spec, command, typed, names[0]).make(record)

    async def _refused(self, spec: ActionSpec, command: StartAction, typed: dict[str, Any], name: str) -> Event | None:
        """Return how a rule refuses a change that has not begun, or None. Undoing is never refused."""
        if self.rules is None or spec.effect is not Effect.CHANGE or command.intent is not None or command.releases:
            return None
        from hikeshi.runtime.rules import refused_by

        refusal = await self.rules.refusal(spec, typed, self.instances.get(name), self.mode)
        return None if refusal is None else refused_by(refusal, command)

    async def _planned(self, spec: ActionSpec, command: StartAction, typed: dict[str, Any], name: str) -> Event:
        """Return what an action would do, and who would have to agree first, whatever its playbook says."""
        connector = self.instances.get(name)
        planned = await plan_call(spec, command, typed, connector, self.altered)
        if self.rules is None or spec.effect is not Effect.CHANGE or planned.already or command.releases:
            return planned
        targets = targets_of(spec, typed)
        needs = await self.rules.consents(spec, typed, targets, connector, "plan")
        shown = [
            {
                "rule": need.rule,
                "why": need.why,
                "by": list(need.by),
                "quorum": need.quorum,
                "within_s": need.within_s,
                "targets": [target.label for target in over],
            }
            for need, over in needs
        ]
        return replace(planned, consents=shown) if shown else planned

    def _lasts_s(self, command: StartAction) -> Any:
        """Return for how long a change is to last: as its step holds it, or as long as what it restores had left."""
        if command.releases is None or self.ledger is None:
            return command.hold_s
        hold = self.ledger.get(command.releases)
        return None if hold is None else hold.prior_left_s(self.clock.now())

    async def read_back(self, command: StartAction) -> Any:
        """Return the state that a change of unknown outcome left behind, as plain data. Raises ConnectorError."""
        spec = self.catalogue.spec(command.action)
        typed = typed_arguments(spec, command.arguments)
        return await self._change(spec, command, typed, self._where(spec, typed, command)[0]).read_back()

    def _change(self, spec: ActionSpec, command: StartAction, typed: dict[str, Any], name: str) -> ChangeCall:
        from hikeshi.runtime.change import ChangeCall  # a run begins with reads, and need not wait for it

        connector = self.instances.get(name)
        change = ChangeCall(self.run, spec, command, typed, connector, self.clock, self.redactor, self.ledger)
        change.check, change.planned = self.check, self.planned
        change.rules = None if command.releases else self.rules
        # Sent together they have another key, so whoever goes on after a crash must be able to read them back.
        if command.releases and spec.batched and spec.recovery is Recovery.VERIFIABLE:
            if self._together is None:
                from hikeshi.runtime.together import Together

                self._together = Together()
            change.together = self._together
        return change

    def _where(self, spec: ActionSpec, typed: dict[str, Any], command: StartAction) -> tuple[str, ...]:
        owner = owner_of(spec, typed)
        if owner is None:
            return command.at
        if owner not in command.at:
            raise Invalid(
                f"{spec.name}: its target belongs to {owner!r}, and this step may only use {', '.join(command.at)}"
            )
        return (owner,)

    async def _read(
        self, spec: ActionSpec, command: StartAction, typed: dict[str, Any], names: tuple[str, ...]
    ) -> list[Event]:
        if self.mode == "plan" and self.altered.touches(command.arguments):
            why = "it would be read after a planned change of the same target"
            return [ev.ActionSucceeded(command.path, command.attempt, unknown_output(spec, why))]
        value = await read(spec, typed, self.instances, names, self.mode, command.timeout_s)
        return [ev.ActionSucceeded(command.path, command.attempt, self._plain(spec, value))]

    async def _notify(self, spec: ActionSpec, command: StartAction, typed: dict[str, Any], name: str) -> list[Event]:
        """Tell people. The stored request is the intent; after a crash this is repeated: told twice beats not told."""
        key = action_key(self.run, command.path, spec.name)
        door = Door(mode="live", effect=spec.effect, action=spec.name, intended=True, key=key, check=self.check)
        value = await call(self.instances.get(name), spec.verb, typed, door, command.timeout_s)
        plain = self._plain(spec, value, door)
        repeated = command.possibly_repeated
        return [ev.ActionSucceeded(command.path, command.attempt, plain, possibly_repeated=repeated)]

    def _plain(self, spec: ActionSpec, value: Any, door: Door | None = None) -> Any:
        """Return what a connector gave as plain data of the declared type, with entities marked as its own."""
        from pydantic import ValidationError

        try:
            plain = spec.output_adapter.dump_python(spec.output_adapter.validate_python(value), mode="json")
        except ValidationError as exc:
            # Where, but never what: pydantic quotes the value, cut off in the middle, which no net for secrets catches.
            first = exc.errors()[0]
            place = ".".join(map(str, first["loc"]))
            text = f"{spec.name}: the connector returned something else than it declares: {place}: {first['msg']}"
            raise Invalid(text, applied=Applied.MAYBE if door is not None and door.sent else Applied.NO) from None
        assert find_unknown(plain) is None
        return self.redactor.data(plain)
