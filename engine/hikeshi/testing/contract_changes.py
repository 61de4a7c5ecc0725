"""Checks of what a connector does: actions run, changes are seen, undone, repeatable, and shown in plans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from hikeshi.capabilities import ActionSpec, Effect, Entity
from hikeshi.connector import Conflict, PartialFailure
from hikeshi.testing.contract_bench import Bench, Outcome, Stand
from hikeshi.testing.contract_case import Case, Problem

__all__ = ["CHECKS"]

_EXPIRY = "expires_in_s"
_CLOSE = timedelta(minutes=2)  # products count in whole minutes
Examination = Callable[[Bench], AsyncIterator[Problem]]


async def actions_run(bench: Bench) -> AsyncIterator[Problem]:
    """Every supported action has a case, runs, gives what it declares, and leaves the estate as its case expects."""
    named = {case.action for case in bench.contract.cases}
    for action in bench.specs.keys() - named:
        yield Problem("is supported, but has no case", action)
    for action in named - bench.specs.keys():
        yield Problem("has a case, but is not supported", action)
    async with bench.stand() as stand:
        for case, spec in bench.cases(*Effect):
            await stand.prepare(case)
            outcome = await stand.call(case.action, stand.fitting(case.action))
            if spec.effect is Effect.CHANGE and outcome.error is None and spec.marks.verify:
                await stand.reached(spec, await stand.states(spec))
            for text in _wrong_with(stand, case, outcome):
                yield Problem(text, case.action)


def _wrong_with(stand: Stand, case: Case, outcome: Outcome) -> list[str]:
    spec, bench = stand.bench.specs[case.action], stand.bench
    if outcome.error is not None:
        return [f"failed: {outcome.error!r}"]
    found = []
    if spec.effect is Effect.CHANGE:
        if outcome.value is not None:
            found.append("is a change and returned something; verify is what reads the state")
    else:
        found += _wrong_with_value(stand, case, outcome)
    if spec.effect is not Effect.READ and not any(change.applied for change in bench.changes):
        found.append("sent no change that the simulator accepted")
    if case.expect is not None and not case.expect(bench.simulation.estate):
        found.append("did not leave the estate as the case expects")
    return found


def _wrong_with_value(stand: Stand, case: Case, outcome: Outcome) -> list[str]:
    try:
        stand.bench.specs[case.action].output_adapter.validate_python(outcome.value, strict=True)
    except ValidationError as exc:
        return [f"gave something else than it declares: {exc}"]
    given = outcome.value if isinstance(outcome.value, list) else [outcome.value]
    found = []
    if not given and case.action.partition(".")[2].startswith("find_"):
        found.append("found nothing; let its case look for something that is there")
    if any(isinstance(each, Entity) and each.connector != stand.connector.name for each in given):
        found.append("gave an entity that does not carry the name of its instance")
    return found


async def verify_sees_the_change(bench: Bench) -> AsyncIterator[Problem]:
    """Before a change `verify` does not see it; afterwards it does, within `settle_s`."""
    async with bench.stand() as stand:
        for case, spec in bench.cases(Effect.CHANGE):
            if spec.marks.verify is None or spec.marks.done is None:
                yield Problem("has no verify", case.action)
                continue
            await stand.prepare(case)
            prior = await stand.states(spec)
            if all(spec.marks.done(state, state) for state in prior):
                yield Problem("is already so before the change; arrange the estate in its case", case.action)
            await stand.do(case.action)
            if not await stand.reached(spec, prior):
                yield Problem(f"was not seen by {spec.marks.verify} within {spec.marks.settle_s:g} s", case.action)


async def undo_restores_the_estate(bench: Bench) -> AsyncIterator[Problem]:
    """A change and its undo leave the estate as it was, byte for byte, but for its volatile parts."""
    async with bench.stand() as stand:
        for case, spec in bench.cases(Effect.CHANGE):
            if spec.marks.undo is None:
                continue
            undo = f"{spec.capability}.{spec.marks.undo}"
            if undo not in bench.specs:
                yield Problem(f"its undo {undo} is not supported", case.action)
                continue
            await stand.prepare(case)
            before, prior = bench.snapshot(), await stand.states(spec)
            await stand.do(case.action)
            await stand.reached(spec, prior)
            changed = bench.snapshot()
            await stand.do(undo)
            await stand.reached(bench.specs[undo], prior)
            if changed == before:
                yield Problem("did not change the estate", case.action)
            if bench.snapshot() != before:
                yield Problem(f"{undo} left: {_difference(before, bench.snapshot())}", case.action)


async def native_expiry_ends_a_change(bench: Bench) -> AsyncIterator[Problem]:
    """What takes `expires_in_s` is lifted by the product itself at that time, and reading it back says when.

    The engine fills the argument in from the hold of a step, so that a lost engine still releases.
    """
    async with bench.stand() as stand:
        tried = set()
        for case, spec in bench.cases(Effect.CHANGE):
            lasts_s = case.arguments.get(_EXPIRY)
            if lasts_s is None or spec.marks.verify is None:
                continue
            tried.add(case.action)
            await stand.prepare(case)
            prior = await stand.states(spec)
            await stand.do(case.action)
            await stand.reached(spec, prior)
            for text in await _wrong_with_expiry(stand, spec, lasts_s):
                yield Problem(text, case.action)
        for name, spec in bench.specs.items():
            if _EXPIRY in spec.by_name and name not in tried:
                yield Problem(f"no case says {_EXPIRY}", name)


async def _wrong_with_expiry(stand: Stand, spec: ActionSpec, lasts_s: float) -> list[str]:
    assert spec.marks.done is not None
    estate = stand.bench.simulation.estate
    found = []
    # A product that is told a moment, not a time span, is told it by the connector's clock.
    wanted = [now + timedelta(seconds=lasts_s) for now in (estate.now(), datetime.now(UTC))]
    ends = [getattr(state, "expires_at", None) for state in await stand.states(spec)]
    if not all(end is not None and any(abs(end - each) < _CLOSE for each in wanted) for end in ends):
        found.append(f"{spec.marks.verify} says that it ends at {ends}, and not about {wanted[0]}")
    estate.advance(lasts_s + _CLOSE.total_seconds())
    if any(spec.marks.done(state, state) for state in await stand.states(spec)):
        found.append(f"is still so {_CLOSE} after the time that it was given")
    return found


async def repeating_is_safe(bench: Bench) -> AsyncIterator[Problem]:
    """The same change once more is Conflict or no error, and changes nothing further."""
    async with bench.stand() as stand:
        for case, spec in bench.cases(Effect.CHANGE):
            await stand.prepare(case)
            prior = await stand.states(spec) if spec.marks.verify else []
            await stand.do(case.action)
            if spec.marks.verify:
                await stand.reached(spec, prior)
            once = bench.snapshot()
            again = await stand.call(case.action, stand.fitting(case.action))
            if again.error is not None and not _is_conflict(again.error):
                yield Problem(f"repeated, it raised {again.error!r}, not Conflict", case.action)
            if spec.marks.verify and spec.marks.undo is not None:
                await stand.reached(spec, prior)
                if bench.snapshot() != once:
                    yield Problem(f"repeated, it changed: {_difference(once, bench.snapshot())}", case.action)


def _is_conflict(error: Exception) -> bool:
    if isinstance(error, PartialFailure):
        return all(isinstance(each, Conflict) for each in error.failures.values())
    return isinstance(error, Conflict)


async def plan_changes_nothing(bench: Bench) -> AsyncIterator[Problem]:
    """A plan of a change or notification shows requests, and not one of them reaches the product."""
    async with bench.stand() as stand:
        for case, _spec in bench.cases(Effect.CHANGE, Effect.NOTIFY):
            await stand.prepare(case)
            before = bench.snapshot()
            preview = await stand.plan(case.action)
            if not preview.requests:
                yield Problem("its plan shows no request", case.action)
            if bench.changes or bench.snapshot() != before:
                yield Problem("its plan changed something at the product", case.action)


async def plan_equals_what_is_sent(bench: Bench) -> AsyncIterator[Problem]:
    """What a plan shows is what is sent later, but for fields declared volatile; incomplete ones show the beginning."""
    async with bench.stand() as stand:
        for case, _spec in bench.cases(Effect.CHANGE, Effect.NOTIFY):
            await stand.prepare(case)
            preview = await stand.plan(case.action)
            await stand.do(case.action)
            shown = [bench.previewed(request) for request in preview.requests]
            sent = [bench.sent(change) for change in bench.changes]
            if shown != (sent if preview.complete else sent[: len(shown)]):
                kind = "complete" if preview.complete else "incomplete"
                yield Problem(f"the {kind} plan shows {shown}, sent was {sent}", case.action)
            elif sent and shown == sent and not preview.complete:
                yield Problem(
                    "the plan shows all that is sent, and says that there may be more: last=True", case.action
                )


async def reads_change_nothing(bench: Bench) -> AsyncIterator[Problem]:
    """A read makes no request that the product would take for a change."""
    async with bench.stand() as stand:
        for case, _spec in bench.cases(Effect.READ):
            await stand.prepare(case)
            before = bench.snapshot()
            await stand.do(case.action)
            if bench.changes:
                first = bench.changes[0]
                yield Problem(f"asked for a change: {first.method} {first.url}", case.action)
            if bench.snapshot() != before:
                yield Problem("changed the estate", case.action)


def _difference(before: str, after: str, around: int = 60) -> str:
    at = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    start = max(0, at - around)
    return f"…{before[start : at + around]}… became …{after[start : at + around]}…"


CHECKS: dict[Examination, tuple[Effect, ...]] = {
    actions_run: tuple(Effect),
    verify_sees_the_change: (Effect.CHANGE,),
    undo_restores_the_estate: (Effect.CHANGE,),
    repeating_is_safe: (Effect.CHANGE,),
    plan_changes_nothing: (Effect.CHANGE, Effect.NOTIFY),
    plan_equals_what_is_sent: (Effect.CHANGE, Effect.NOTIFY),
    reads_change_nothing: (Effect.READ,),
    native_expiry_ends_a_change: (Effect.CHANGE,),
}
