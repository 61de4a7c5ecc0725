"""Checks of how a connector takes what goes wrong: each fault becomes the right error, with the right `applied`.

A fault hits the first request of a change or notification that is no read, or the request that a read ends with: what
comes before, such as fetching a token, has no effect to wonder about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from hikeshi.capabilities import ActionSpec, Effect
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.route import SeenRequest
from hikeshi.testing.contract_bench import Bench, CannotGoOn, Outcome
from hikeshi.testing.contract_case import Case, Problem
from hikeshi.testing.faults import Fault

__all__ = ["CHECKS", "struck"]

Examination = Callable[[Bench], AsyncIterator[Problem]]
Cases = Iterable[tuple[Case, ActionSpec]]
Texts = AsyncIterator[str | None]

_TIMEOUT_S = 10.0
_SHORT_TIMEOUT_S = 0.5
_HINT_S = 7.0
_LARGE_BYTES = 10 * 1024 * 1024
_ALL = (Effect.READ, Effect.NOTIFY, Effect.CHANGE)


@dataclass
class _Later(Fault):
    """A fault that lets the first requests that it fits pass."""

    skip: int = 0

    def fits(self, product: str, method: str, path: str) -> bool:
        if not Fault.fits(self, product, method, path):
            return False
        self.skip -= 1
        return self.skip < 0


async def struck(bench: Bench, case: Case, *, secret: str | None = None, **fault: Any) -> Outcome:
    """Call a case's action once without and once with a fault, and return how the second call went.

    Each call is made by a fresh instance, so that both make the same requests. Raises CannotGoOn if they do not.
    """
    async with bench.stand(secret=secret) as stand:
        await stand.prepare(case)
        clean = await stand.do(case.action)
    at = _position(bench, case, clean)
    timeout_s = _SHORT_TIMEOUT_S if "delay_s" in fault else _TIMEOUT_S
    later = _Later(product=bench.contract.connector.product, skip=at, **fault)
    async with bench.stand(timeout_s=timeout_s, secret=secret) as stand:
        await stand.prepare(case)
        bench.simulation.faults.add(later)
        outcome = await stand.call(case.action, stand.fitting(case.action))
    bench.simulation.faults.clear()
    if later.skip >= 0:
        raise CannotGoOn(f"{case.action} makes other requests the second time; no fault could strike it")
    return replace(outcome, recovered=_recovered(outcome, clean, at))


def _position(bench: Bench, case: Case, clean: Outcome) -> int:
    """Return which request a fault shall hit: how often a job is asked after varies, so its first time counts."""
    if bench.specs[case.action].effect is not Effect.READ:
        return next((n for n, request in enumerate(clean.requests) if not bench.is_read(request)), 0)
    places = [_place(request) for request in clean.requests]
    if not places:
        raise CannotGoOn(f"{case.action} makes no request over HTTP that a fault could strike")
    return places.index(places[-1])


def _recovered(outcome: Outcome, clean: Outcome, at: int) -> bool:
    places = [_place(request) for request in outcome.requests]
    return bool(outcome.value) and outcome.value == clean.value and places[at] in places[at + 1 :]


def _place(request: SeenRequest) -> tuple[str, str]:
    return request.method, request.url.partition("?")[0]


def _judge(
    spec: ActionSpec, outcome: Outcome, kinds: tuple[type[ConnectorError], ...], applied: Applied | None
) -> str | None:
    """Return what is wrong with the outcome, if an error of one of these kinds was due."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    if outcome.recovered and spec.effect is Effect.READ:
        return None
    if outcome.error is None:
        return f"ended without an error (gave {str(outcome.value)[:80]}), not with {wanted}"
    if not isinstance(outcome.error, kinds):
        return f"raised {outcome.error!r}, not {wanted}"
    if spec.effect is not Effect.READ and applied is not None and outcome.error.applied is not applied:
        return f"says applied={outcome.error.applied.value}, not {applied.value}: {outcome.error!r}"
    return None


async def _each(cases: Cases, examine: Callable[[Case, ActionSpec], Texts]) -> AsyncIterator[Problem]:
    """Examine case after case: one that no fault can strike is a problem of its action, and the others go on."""
    for case, spec in cases:
        try:
            async for text in examine(case, spec):
                if text:
                    yield Problem(text, case.action)
        except CannotGoOn as exc:
            yield Problem(f"the check could not go on: {exc}", case.action)


def _status(
    bench: Bench, status: int, *kinds: type[ConnectorError], applied: Applied, times: int | None = 1
) -> AsyncIterator[Problem]:
    async def examine(case: Case, spec: ActionSpec) -> Texts:
        outcome = await struck(bench, case, status=status, times=times)
        if status == 404 and spec.effect is Effect.READ and outcome.error is None and outcome.value == []:
            return
        yield _judge(spec, outcome, kinds, applied)

    return _each(bench.cases(*_ALL), examine)


def status_401(bench: Bench) -> AsyncIterator[Problem]:
    """401, again after fresh credentials, is Unauthorized and not applied."""
    return _status(bench, 401, Unauthorized, applied=Applied.NO, times=None)


def status_403(bench: Bench) -> AsyncIterator[Problem]:
    """403 is Forbidden and not applied."""
    return _status(bench, 403, Forbidden, applied=Applied.NO)


def status_404(bench: Bench) -> AsyncIterator[Problem]:
    """404 is NotFound, or Invalid if it says that the address is wrong, and not applied; a search may find nothing."""
    return _status(bench, 404, NotFound, Invalid, applied=Applied.NO)


def status_409(bench: Bench) -> AsyncIterator[Problem]:
    """409 is Conflict and not applied."""
    return _status(bench, 409, Conflict, applied=Applied.NO)


def status_500(bench: Bench) -> AsyncIterator[Problem]:
    """500 is Unavailable and may have been applied."""
    return _status(bench, 500, Unavailable, applied=Applied.MAYBE)


def status_503(bench: Bench) -> AsyncIterator[Problem]:
    """503 is Unavailable and may have been applied."""
    return _status(bench, 503, Unavailable, applied=Applied.MAYBE)


def rate_limit_hint(bench: Bench) -> AsyncIterator[Problem]:
    """The product's own answer to too many requests is RateLimited, not applied, with the delay it asks for."""

    async def examine(case: Case, spec: ActionSpec) -> Texts:
        outcome = await struck(bench, case, too_many_requests_s=_HINT_S)
        text = _judge(spec, outcome, (RateLimited,), Applied.NO)
        hint_s = outcome.refusal.retry_after_s if outcome.refusal else None
        if text is None and (hint_s is None or abs(hint_s - _HINT_S) > 1.5):
            text = f"understood a delay of {hint_s} s, asked for were {_HINT_S:g} s"
        yield text

    return _each(bench.cases(*_ALL), examine)


def _broken(bench: Bench, *, happened: bool, **fault: Any) -> AsyncIterator[Problem]:
    async def examine(case: Case, spec: ActionSpec) -> Texts:
        yield _judge(spec, await struck(bench, case, **fault), (Unavailable,), Applied.MAYBE)
        if spec.effect is not Effect.READ and any(change.applied for change in bench.changes) is not happened:
            yield "the simulator did not see what the fault promises"

    return _each(bench.sample(*_ALL), examine)


def connection_dropped_before(bench: Bench) -> AsyncIterator[Problem]:
    """A connection lost before the product acted is Unavailable, and nobody can know: it may have been applied."""
    return _broken(bench, happened=False, drop="before")


def connection_dropped_after(bench: Bench) -> AsyncIterator[Problem]:
    """A connection lost after the product acted is Unavailable and may have been applied: it was."""
    return _broken(bench, happened=True, drop="after")


def half_a_body(bench: Bench) -> AsyncIterator[Problem]:
    """An answer that breaks off is Unavailable and may have been applied."""
    return _broken(bench, happened=True, half=True)


def no_answer_in_time(bench: Bench) -> AsyncIterator[Problem]:
    """An answer that does not come is Timeout and may have been applied, before the effect as after it."""

    async def examine(case: Case, spec: ActionSpec) -> Texts:
        for when in ("after", "before"):
            outcome = await struck(bench, case, delay_s=1.6 * _SHORT_TIMEOUT_S, when=when)
            text = _judge(spec, outcome, (Timeout,), Applied.MAYBE)
            yield text and f"{when} the effect: {text}"

    return _each(bench.sample(*_ALL), examine)


def html_is_no_answer(bench: Bench) -> AsyncIterator[Problem]:
    """A web page with status 200, as a proxy gives, is an error; it may have been applied."""

    async def examine(case: Case, spec: ActionSpec) -> Texts:
        yield _judge(spec, await struck(bench, case, html=True), (ConnectorError,), Applied.MAYBE)

    return _each(bench.cases(*_ALL), examine)


def strange_bodies(bench: Bench) -> AsyncIterator[Problem]:
    """An answer 200 with no body, or one of another shape, is an error; of a change, it may be left to verify."""

    async def examine(case: Case, spec: ActionSpec) -> Texts:
        for body in ("", "null", "[]", "{}", '"text"'):
            outcome = await struck(bench, case, status=200, body=body, headers={"content-type": "application/json"})
            if spec.effect is Effect.CHANGE and outcome.error is None:
                continue
            text = _judge(spec, outcome, (ConnectorError,), Applied.MAYBE)
            yield text and f"body {body!r}: {text}"

    return _each(bench.cases(*_ALL), examine)


def large_body(bench: Bench) -> AsyncIterator[Problem]:
    """An answer of 10 MB is read like any other."""

    async def examine(case: Case, _spec: ActionSpec) -> Texts:
        outcome = await struck(bench, case, body_bytes=_LARGE_BYTES)
        yield None if outcome.error is None else f"raised {outcome.error!r}"

    return _each(bench.sample(*_ALL), examine)


CHECKS: dict[Examination, tuple[Effect, ...]] = dict.fromkeys(
    (
        status_401,
        status_403,
        status_404,
        status_409,
        rate_limit_hint,
        status_500,
        status_503,
        connection_dropped_before,
        connection_dropped_after,
        no_answer_in_time,
        half_a_body,
        html_is_no_answer,
        strange_bodies,
        large_body,
    ),
    tuple(Effect),
)
