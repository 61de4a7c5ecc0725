"""One change, from reading the prior state to seeing the new one.

The order is the safety: read what is there; store the intent and the holds; only then send; then read back. A change
that was sent and cannot be read back is unknown, never failed and never blindly sent again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from hikeshi.capabilities import ActionSpec, Recovery, build_spec
from hikeshi.connector import Connector
from hikeshi.connector.door import Door
from hikeshi.connector.errors import Applied, Conflict, ConnectorError, PartialFailure
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.core.evolve_people import target_key
from hikeshi.core.lasting import lasting_request
from hikeshi.journal import JournalError
from hikeshi.runtime.arguments import EXPIRY, plain_data
from hikeshi.runtime.call import call
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.errors import error_record
from hikeshi.runtime.limits import LimitPassed
from hikeshi.runtime.planned import Difference, Planned
from hikeshi.runtime.standing import check_unchanged
from hikeshi.runtime.states import states_of
from hikeshi.runtime.targets import Target, action_key, targets_of
from hikeshi.secrets import Redactor, SecretUnavailable

if TYPE_CHECKING:
    from hikeshi.runtime.ledger import Ledger
    from hikeshi.runtime.rules import Rules
    from hikeshi.runtime.together import Together

__all__ = ["ChangeCall"]

Record = Callable[[Sequence[Event]], Awaitable[None]]
_spec_of = cache(build_spec)  # reads signatures, and is asked for the same few verbs with each change
_T = TypeVar("_T")
_IN_ONE_RECORD = 1000  # targets
_FIRST_LOOK_S = 0.1
_LONGEST_LOOK_S = 10.0
_LOOK_FACTOR = 1.6
# After a crash nobody knows whether the request left. A product shows an accepted change within this time.
_GRACE_S = 5.0
_HANDLER = re.compile(r"(?:^|\.)on_(?:error|failure)[.\[]")  # no step can be called so


@dataclass(slots=True)
class _Fate:
    """What is known of one target."""

    target: Target
    prior: Any = None
    state: Any = None
    outcome: str = ""  # done, already, failed, unknown
    hold: str | None = None  # once somebody asked
    shares: bool = False  # another hold keeps it so already
    foreign: bool = False  # somebody else made it so while ours was refused
    shown: tuple[Any, Any] | None = None  # a state, and what is told of it
    error: ConnectorError | None = None

    @property
    def open(self) -> bool:
        return not self.outcome


@dataclass(frozen=True, slots=True)
class _Inverse:
    """The call that would undo a change. In a batch each hold undoes its own: `target` names what it puts in."""

    action: str
    arguments: Mapping[str, Any]
    target: str | None


@dataclass(slots=True)
class ChangeCall:
    """One attempt of one change on one connector instance, for one target or a batch of them."""

    run: str
    spec: ActionSpec
    command: StartAction
    arguments: Mapping[str, Any]
    connector: Connector
    clock: Clock
    redactor: Redactor
    ledger: Ledger | None = None
    check: Callable[[], None] | None = None  # raises unless this process may still send
    planned: Planned | None = None
    rules: Rules | None = None
    together: Together | None = None  # where others of the run ask for the same
    fates: list[_Fate] = field(default_factory=list)
    repeated: bool = False  # an earlier request may have had its effect

    async def make(self, record: Record) -> list[Event]:
        """Make the change and return how it ended. Raises ConnectorError if nothing was sent."""
        self.fates = [_Fate(target) for target in targets_of(self.spec, self.arguments)]
        intent = self.command.intent
        if intent is not None:
            return await self._recover(record)
        not_shown = self._not_shown()
        if not_shown is not None:
            return [not_shown]
        await self._read_prior()
        self._refuse_changed()
        differs = await self._differs()
        if differs is not None:
            return [differs]
        stopped = self._stopped()
        if stopped is not None:
            return [stopped]
        asks = await self._asks(record)
        if asks is not None:
            return [asks]
        if any(fate.open for fate in self.fates):
            await record(self._intents())
            await self._send_and_see()
        return self._ending()

    def _not_shown(self) -> Event | None:
        """Return what an approval did not show people, so that it allows nothing of it yet."""
        for approval, allowed in self.command.approvals:
            missing = [
                {
                    "action": self.spec.name,
                    "connector": self.connector.name,
                    "target": fate.target.identity,
                    "label": fate.target.label,
                    "path": self.command.path,
                }
                for fate in self.fates
                if target_key(self.spec.name, fate.target.identity) not in allowed
            ]
            if missing:
                return ev.TargetsNotShown(self.command.path, self.command.attempt, approval, missing)
        return None

    async def read_back(self) -> Any:
        """Return the present state as plain data, or null if it cannot be read back at all. Raises ConnectorError."""
        if self.spec.marks.verify is None:
            return None
        self.fates = [_Fate(target) for target in targets_of(self.spec, self.arguments)]
        states = [plain_data(state) for state in await self._states(self.fates)]
        return self.redactor.data(states if self.spec.batched else states[0])

    async def _recover(self, record: Record) -> list[Event]:
        """Go on with a change that was under way when the process died."""
        intent = self.command.intent
        assert intent is not None
        self._restore_prior(intent.prior)
        if self.spec.recovery is Recovery.MANUAL:
            _leave_open(self.fates, "the engine stopped while this was under way, and its state cannot be read back")
            return self._ending()
        if self.spec.recovery is Recovery.VERIFIABLE:
            await self._see(self.fates, self._grace_s())
            if any(fate.error is not None and fate.open for fate in self.fates):
                _leave_open(self.fates, "the engine stopped while this was under way, and reading it back failed")
            await self._wait_for_moving(self.fates)
        if any(fate.open for fate in self.fates):
            await record(self._intents(repeated=True))
            self.repeated = True
            await self._send_and_see()
        return self._ending()

    def _restore_prior(self, stored: Any) -> None:
        if self.spec.marks.verify is None:
            return
        states = stored if isinstance(stored, list) else [stored]
        by_target = {entry["target"]: entry["state"] for entry in states if isinstance(entry, dict)}
        adapter = self._state_adapter()
        for fate in self.fates:
            identity = self.redactor.names(fate.target.identity)  # as it was stored
            if identity not in by_target:
                fate.outcome = "already"  # the intent did not name it: it needed no change
            elif by_target[identity] is not None:
                fate.prior = adapter.validate_python(by_target[identity])

    def _state_adapter(self) -> Any:
        from pydantic import TypeAdapter

        output = self.spec.output
        return TypeAdapter(output.__args__[0] if self.spec.batched else output)

    async def _read_prior(self) -> None:
        """Read what is there. What cannot be read is not absent: the error ends the attempt, and nothing was sent."""
        if self.spec.marks.verify is None:
            return
        assert self.spec.marks.done is not None
        for fate, state in zip(self.fates, await self._states(self.fates), strict=True):
            fate.prior = fate.state = state
            if self.spec.marks.done(state, state):
                fate.outcome = "already"

    def _stopped(self) -> Event | None:
        """Return how the kill switch holds this back, or None. It is read at this moment, from where it is stored."""
        stop = None if self.rules is None else self.rules.stop(self.spec.name, self.connector.name)
        if stop is None or not any(fate.open for fate in self.fates):
            return None
        from hikeshi.runtime.rules import stopped_by

        return stopped_by(stop, self.command, self.connector.name, [fate.target for fate in self.fates])

    async def _asks(self, record: Record) -> Event | None:
        """Return what a guardrail wants people to decide first, or None. Counts the targets under the limits."""
        targets = [fate.target for fate in self.fates if fate.open]
        if self.rules is None or not targets:
            return None
        from hikeshi.runtime.rules import consent_key, consent_needed

        command, name = self.command, self.connector.name
        for need, wanted in await self.rules.consents(self.spec, self.arguments, targets, self.connector):
            missing = [each for each in wanted if consent_key(need.rule, command.action, each) not in command.consents]
            if missing:
                question = f"{command.action} needs consent here" + (f": {need.why}" if need.why else "")
                return consent_needed(
                    command, name, need.rule, question, need.by, missing, quorum=need.quorum, within_s=need.within_s
                )
        broken = self.rules.breaks(command, self.run, targets)
        if broken is not None:
            rule, question = broken
            return consent_needed(command, name, rule, question, self.rules.asked_past(rule), targets)
        uses = self.rules.uses(command, self.run, targets)
        if not uses:
            return None
        try:
            await record([ev.TargetsCounted(command.path, uses)])
        except LimitPassed as exc:
            question = f"The limit of distinct targets is reached: {exc.counted} of {exc.most}. Go on?"
            return consent_needed(command, name, exc.rule, question, self.rules.asked_past(exc.rule), targets)
        return None

    def _check_leaving(self, door: Door) -> None:
        """Raise if nothing may leave now: this process has lost the run, or the kill switch is engaged."""
        if self.check is not None:
            self.check()
        if self.rules is not None:
            # An earlier request of the same change may have had its effect.
            applied = Applied.MAYBE if door.sent else Applied.NO
            self.rules.check_stop(self.spec.name, self.connector.name, applied)

    async def _differs(self) -> Event | None:
        """Return how this is not what the plan showed that is applied, or None."""
        if self.planned is None:
            return None
        states = [self.redactor.data(plain_data(fate.prior)) for fate in self.fates]
        targets = [fate.target for fate in self.fates]
        found = self.planned.difference(self.spec, self.command, self.connector.name, targets, states)
        if found is None:
            found = await self._other_requests(self.planned)
        if found is None:
            return None
        rule = f"plan {self.planned.plan}"
        if found.code == "not_planned" and _HANDLER.search(self.command.path) and self.rules and self.rules.people:
            return self._asks_for_unplanned(rule, found.why, targets, self.rules.people)
        label = ", ".join(target.label for target in targets[:3])
        why = f"{self.command.path}: {found.why}; nothing of it was sent"
        return ev.ChangeRefused(
            self.command.path,
            self.command.attempt,
            found.code,
            rule,
            label,
            why,
            "whoever makes a new plan",
            stops=True,
        )

    def _asks_for_unplanned(
        self, rule: str, why: str, targets: Sequence[Target], people: Sequence[str]
    ) -> Event | None:
        """Ask for what a handler does that no plan could show: what failed is often not known before it did."""
        from hikeshi.runtime.rules import consent_key, consent_needed

        command = self.command
        missing = [each for each in targets if consent_key(rule, command.action, each) not in command.consents]
        if not missing:
            return None
        question = f"{command.action} after a failure is not as the plan shows it: {why}. Do it?"
        return consent_needed(command, self.connector.name, rule, question, people, missing)

    async def _other_requests(self, planned: Planned) -> Difference | None:
        from hikeshi.runtime.planning import preview

        shown, sent = planned.requests(self.command.path), [fate.target.value for fate in self.fates if fate.open]
        if shown is None or not sent:
            return None
        requests, complete = await preview(self.spec, self.arguments, sent, self.connector)
        now = [lasting_request(request) for request in self.redactor.data(requests)]
        if now == [lasting_request(request) for request in shown[0]] and complete == shown[1]:
            return None
        return Difference("not_planned", "it would send other requests than the plan shows")

    def _refuse_changed(self) -> None:
        """Raise ChangedSince if this undoes a change, and somebody else has changed the target since."""
        hold = self.ledger.get(self.command.releases) if self.ledger and self.command.releases else None
        if hold is None or self.ledger is None or self.ledger.overrides(self.run):
            return
        for fate in self.fates:
            if fate.open:
                check_unchanged(hold, self.spec, fate.prior, self.redactor.data(plain_data(fate.prior)))

    async def _states(self, fates: list[_Fate]) -> list[Any]:
        targets = [fate.target.value for fate in fates]
        read = states_of if self.together is None else self.together.states
        return await read(self.spec, self.arguments, targets, self.connector, self.command.timeout_s)

    def _intents(self, *, repeated: bool = False) -> list[Event]:
        """Return the intent and a hold for each target that is going to be changed."""
        path, name = self.command.path, self.connector.name
        sent = [fate for fate in self.fates if fate.open]
        priors = [plain_data(fate.prior) for fate in sent]
        prior = [{"target": fate.target.identity, "state": state} for fate, state in zip(sent, priors, strict=True)]
        key = self._key(sent)
        targets = [fate.target.to_json() for fate in sent]
        intended = ev.ActionIntended(path, self.command.attempt, self.spec.name, name, key, targets, prior, repeated)
        return [intended, *self._opened(list(zip(sent, priors, strict=True)))] if self._holds else [intended]

    @property
    def _holds(self) -> bool:
        """Say whether this change opens holds: an inverse closes one, and `undo: none` wants none."""
        return self.command.releases is None

    def _opened(self, found: Sequence[tuple[_Fate, Any]]) -> list[Event]:
        """Return the holds of targets, each with what was there before."""
        undo = None if self.command.keeps else self._undo()
        hold_s = None if self.command.keeps else self._ends_after_s(undo)
        expires_at = None if hold_s is None else self.clock.now() + timedelta(seconds=hold_s)
        each = None if undo is None else undo.target
        return [
            ev.HoldsOpened(
                self.command.path,
                self.spec.name,
                self.connector.name,
                [
                    ev.OpenedHold(
                        self._hold_id(fate),
                        fate.target.identity,
                        fate.target.label,
                        prior,
                        None if each is None else plain_data(fate.target.value),
                    )
                    for fate, prior in some
                ],
                None if undo is None else {"action": undo.action, "arguments": undo.arguments},
                each,
                expires_at,
            )
            for some in _portions(found)
        ]

    def _ends_after_s(self, undo: _Inverse | None) -> float | None:
        """Return after how many seconds the hold ends: a time that the action itself was given counts as well.

        Not every product can lift a block by itself, and one that was asked for an hour must not stay for ever.
        """
        given = self.arguments.get(EXPIRY) if undo is not None else None
        return given if self.command.hold_s is None else self.command.hold_s

    def _shared(self) -> list[Event]:
        """Return a hold for each target that another hold keeps as this change wants it: both have to end."""
        if self.ledger is None or not self._holds or self.command.keeps:
            return []
        shared: list[tuple[_Fate, Any]] = []
        for fate in self.fates:
            if fate.outcome == "already":
                other = self.ledger.active_on(self.spec.name, self.connector.name, fate.target.identity)
                if other is not None and other.hold != self._hold_id(fate):
                    fate.shares = True
                    shared.append((fate, other.prior))
        return self._opened(shared)

    def _undo(self) -> _Inverse | None:
        """Return the inverse call, but for what each target puts into it, or None if there is none."""
        if self.spec.marks.undo is None:
            return None
        inverse = _spec_of(self.spec.capability, self.spec.owner_class, self.spec.marks.undo)
        target = inverse.target if self.spec.batched else None  # each hold undoes its own
        names = [name for name in inverse.by_name if name in self.arguments and name != target]
        return _Inverse(inverse.name, {name: plain_data(self.arguments[name]) for name in names}, target)

    def _hold_id(self, fate: _Fate) -> str:
        if fate.hold is None:
            fate.hold = action_key(self.run, self.command.path, fate.target.identity)[:16]
        return fate.hold

    def _key(self, fates: list[_Fate]) -> str:
        return action_key(self.run, self.command.path, "\n".join(fate.target.identity for fate in fates))

    async def _send_and_see(self) -> None:
        sent = [fate for fate in self.fates if fate.open]
        door = Door(mode="live", effect=self.spec.effect, action=self.spec.name, intended=True, key=self._key(sent))
        door.check = partial(self._check_leaving, door)
        try:
            await self._send_then_see(sent, door)
        except JournalError:
            raise  # this process may not go on; whoever does reads back what became of it
        except Exception as exc:  # noqa: BLE001 - whatever it is, it must not turn a sent change into a failed one
            text = f"{self.spec.name}: a defect after the change was intended: {type(exc).__name__}"
            _close(sent, "unknown" if door.sent or self.repeated else "failed", ConnectorError(text))

    async def _send_then_see(self, sent: list[_Fate], door: Door) -> None:
        refused: dict[int, ConnectorError] = {}
        try:
            await self._send(sent, door)
        except PartialFailure as exc:
            refused = self._refused(exc, sent)
        except ConnectorError as exc:
            await self._after_error(exc, door, sent)
            return
        accepted = [fate for fate in sent if id(fate) not in refused]
        if self.spec.marks.verify is None:
            _close(accepted, "done")
        else:
            await self._see(accepted, self.spec.marks.settle_s)
            _leave_open(
                accepted, f"{self.connector.name} accepted it, but did not get there in {self.spec.marks.settle_s:g} s"
            )
        await asyncio.gather(
            *(self._after_error(refused[id(fate)], door, [fate]) for fate in sent if id(fate) in refused)
        )

    def _refused(self, exc: PartialFailure, sent: list[_Fate]) -> dict[int, ConnectorError]:
        """Return the error of each target that the product refused inside a batch."""
        names = {id(fate): getattr(fate.target.value, "value", fate.target.label) for fate in sent}
        return {key: exc.failures[name] for key, name in names.items() if name in exc.failures}

    async def _send(self, fates: list[_Fate], door: Door) -> None:
        targets = [fate.target.value for fate in fates]
        arguments = dict(self.arguments)
        if self.spec.batched:
            assert self.spec.target is not None
            arguments[self.spec.target] = targets
        timeout_s = self.command.timeout_s
        try:
            if self.together is None:
                await call(self.connector, self.spec.verb, arguments, door, timeout_s)
            else:
                await self.together.send(self.spec, arguments, targets, self.connector, timeout_s, door)
        except SecretUnavailable as exc:
            raise ConnectorError(str(exc), applied=Applied.MAYBE if door.sent else Applied.NO) from exc

    async def _after_error(self, exc: ConnectorError, door: Door, fates: list[_Fate]) -> None:
        """Decide what an error means for these targets: not applied, applied after all, or unknown."""
        # That this request had no effect says nothing of the one before it.
        maybe = (exc.applied is Applied.MAYBE and door.sent) or self.repeated
        if not (maybe or isinstance(exc, Conflict)):
            _close(fates, "failed", exc)
            return
        if self.spec.marks.verify is None or self.spec.recovery is Recovery.MANUAL:
            _close(fates, "unknown" if maybe else "failed", exc)
            return
        # "Already so" may mean that it is under way, by somebody else: give it the time it takes.
        alone = isinstance(exc, Conflict) and not self.spec.batched
        await self._see(fates, self.spec.marks.settle_s if alone else self._grace_s())
        if not maybe and self.command.attempt == 1:
            self._leave_to_others(fates)
        if maybe:
            await self._wait_for_moving(fates)
        if any(fate.error is not None for fate in fates if fate.open):
            _close(fates, "unknown", exc)
        else:
            # Read back in time, and it is as before: the request provably had no effect.
            _close(fates, "failed", exc)

    def _leave_to_others(self, fates: list[_Fate]) -> None:
        """Leave what became so although our only request was refused to whoever did it: it is not ours to take back.

        Another run of ours that is at the same target did it for both, and both hold it.
        """
        if self.ledger is None or not self._holds:
            return
        for fate in fates:
            where = (self.spec.name, self.connector.name, fate.target.identity, self._hold_id(fate))
            if fate.outcome == "done" and not self.ledger.is_ours(*where):
                fate.outcome, fate.foreign = "already", True

    async def _wait_for_moving(self, fates: list[_Fate]) -> None:
        """Give targets that are neither as before nor as wanted their time: what moves them may be what was sent."""
        moving = [fate for fate in fates if fate.open and fate.error is None and fate.state != fate.prior]
        await self._see(moving, self.spec.marks.settle_s)
        _leave_open(moving, f"it began, but did not get there in {self.spec.marks.settle_s:g} s")

    def _grace_s(self) -> float:
        return min(self.spec.marks.settle_s, _GRACE_S)

    async def _see(self, fates: list[_Fate], within_s: float) -> None:
        """Read targets back until all are done or the time is over. An open one keeps its last read error."""
        done = self.spec.marks.done
        assert done is not None
        waited, look_s = 0.0, _FIRST_LOOK_S
        while waiting := [fate for fate in fates if fate.open]:
            try:
                states = await self._states(waiting)
            except (ConnectorError, SecretUnavailable) as exc:
                for fate in waiting:
                    fate.error = exc if isinstance(exc, ConnectorError) else ConnectorError(str(exc))
            else:
                for fate, state in zip(waiting, states, strict=True):
                    fate.state, fate.error = state, None
                    if done(state, fate.prior if fate.prior is not None else state):
                        fate.outcome = "done"
            if waited >= within_s or all(not fate.open for fate in waiting):
                return
            await self.clock.sleep(look_s)
            waited, look_s = waited + look_s, min(look_s * _LOOK_FACTOR, _LONGEST_LOOK_S)

    def _ending(self) -> list[Event]:
        """Return the events that say what became of each target, and of the attempt as a whole."""
        path, attempt = self.command.path, self.command.attempt
        events: list[Event] = [*self._shared(), *self._settled()]
        unknown = [fate for fate in self.fates if fate.outcome == "unknown"]
        failed = [fate for fate in self.fates if fate.outcome == "failed"]
        if unknown:
            events.append(ev.ActionUnknown(path, attempt, self._summary(unknown, "outcome_unknown", "maybe")))
        elif failed:
            events.append(ev.ActionFailed(path, attempt, self._summary(failed, None, "no")))
        else:
            states = [self._shown_state(fate) for fate in self.fates]
            output = states if self.spec.batched else states[0] if states else None
            already = all(fate.outcome == "already" for fate in self.fates)
            if self.command.releases is not None:
                events.append(ev.HoldReleased(path, self.command.releases))
            events.append(ev.ActionSucceeded(path, attempt, output, already))
        return events

    def _settled(self) -> list[Event]:
        """Return what became of each target."""
        return [
            ev.TargetsSettled(self.command.path, [self._settled_target(fate) for fate in some])
            for some in _portions(self.fates)
        ]

    def _settled_target(self, fate: _Fate) -> ev.SettledTarget:
        error = None if fate.error is None else error_record(fate.error, self.redactor)
        opened = self._holds and (fate.outcome != "already" or fate.shares or fate.foreign)
        hold = self._hold_id(fate) if opened else None
        keeps = opened and not fate.foreign and fate.outcome in ("done", "already")
        state = self._shown_state(fate) if keeps else None
        return ev.SettledTarget(fate.target.identity, fate.outcome, error, hold, state)  # type: ignore[arg-type]

    def _shown_state(self, fate: _Fate) -> Any:
        """Return what was last seen of a target as plain data without secrets."""
        if fate.shown is None or fate.shown[0] is not fate.state:
            fate.shown = (fate.state, self.redactor.data(plain_data(fate.state)))
        return fate.shown[1]

    def _summary(self, fates: list[_Fate], kind: str | None, applied: Any) -> ErrorRecord:
        """Return one error for all targets that did not make it."""
        first = fates[0].error
        assert first is not None
        record = error_record(first, self.redactor)
        one_cause = all(fate.error is first for fate in fates)
        if not self.spec.batched or (one_cause and len(fates) == len(self.fates)):
            message = record.message
        else:
            named = "; ".join(
                f"{fate.target.label}: {error_record(fate.error, self.redactor).message}"
                for fate in fates[:5]
                if fate.error is not None
            )
            message = f"{len(fates)} of {len(self.fates)} targets: {named}" + (" ..." if len(fates) > 5 else "")
            kind = kind or ("partial" if not one_cause else None)
        return ErrorRecord(kind or record.kind, message, applied, record.retry_after_s)


def _leave_open(fates: list[_Fate], why: str) -> None:
    """Mark what is not settled as unknown, with what was last seen of it."""
    for fate in fates:
        if fate.open:
            shown = "" if fate.state is None else f"; it was last seen as {_shown(fate.state)}"
            fate.outcome, fate.error = "unknown", ConnectorError(f"{why}{shown}", applied=Applied.MAYBE)


def _close(fates: list[_Fate], outcome: str, exc: ConnectorError | None = None) -> None:
    for fate in fates:
        if fate.open:
            fate.outcome, fate.error = outcome, exc


def _portions(entries: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(entries), _IN_ONE_RECORD):
        yield entries[at : at + _IN_ONE_RECORD]


def _shown(state: Any) -> str:
    plain = plain_data(state)
    if isinstance(plain, dict):
        return ", ".join(f"{key}={value}" for key, value in plain.items() if not key.endswith(("_id", "connector")))
    return str(plain)
