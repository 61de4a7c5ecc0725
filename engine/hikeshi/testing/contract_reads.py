"""Checks of what a connector may read: its read routes, hostile names, complete pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from hikeshi.capabilities import ActionSpec, Effect, Entity
from hikeshi.connector import ConnectorError, RouteRefused
from hikeshi.connector.door import Door
from hikeshi.connector.route import Route, SeenRequest
from hikeshi.testing.change_log import Change
from hikeshi.testing.contract_bench import Bench
from hikeshi.testing.contract_case import Problem

__all__ = ["CHECKS", "HOSTILE_NAMES"]

Examination = Callable[[Bench], AsyncIterator[Problem]]

HOSTILE_NAMES = (
    "",
    " ",
    "*",
    "?",
    "%",
    "'",
    '"',
    "\\",
    "''",
    "a' or 'x'='x",
    "' or startswith(name,'",
    '" or "1"="1',
    "'+name:*'",
    "a,b",
    "</entry>",
    "<!--",
    "]]>",
    "{{7*7}}",
    "../..",
    "a/../../b",
    "%2e%2e%2f",
    "a&b=c#d",
    "a\nb",
    "a\x00b",
    "火消し🧯",
    "x" * 3000,
)


async def read_door_refuses_changes(bench: Bench) -> AsyncIterator[Problem]:
    """Called as a read, a change or notification is refused before anything is sent."""
    async with bench.stand() as stand:
        for case, _spec in bench.cases(Effect.CHANGE, Effect.NOTIFY):
            await stand.prepare(case)
            door = Door(mode="live", effect=Effect.READ, action=case.action, intended=True)
            outcome = await stand.call(case.action, stand.fitting(case.action), door=door)
            if not isinstance(outcome.error, RouteRefused):
                yield Problem(f"through a read door it ended with {outcome.error!r}, not RouteRefused", case.action)
            if bench.changes:
                yield Problem("through a read door a change reached the product", case.action)


async def read_routes_are_minimal(bench: Bench) -> AsyncIterator[Problem]:
    """Every declared read route is used, and none lets a change through."""
    connector = bench.contract.connector
    settings = connector.Settings.model_validate(bench.settings())
    bases = connector.bases(settings)
    requests: list[SeenRequest] = []
    changes: list[SeenRequest] = []
    async with bench.stand() as stand:
        for case, spec in bench.cases(*Effect):
            await stand.prepare(case)
            await stand.do(case.action)
            changes += [_seen(change) for change in bench.changes]
            if spec.effect is Effect.CHANGE and spec.marks.verify:
                await stand.states(spec)
        requests += stand.wire.requests

    def matched(route: Route, seen: list[SeenRequest]) -> bool:
        return any(route.matches(request, bases[route.base]) for request in seen)

    for route in connector.routes_of(settings):
        if not matched(route, requests):
            yield Problem("the read route is used by no action; remove it", _described(route))
        if matched(route, changes):
            yield Problem("the read route lets a change through", _described(route))


def _seen(change: Change) -> SeenRequest:
    return SeenRequest(change.method, change.url, {"content-type": change.content_type}, change.raw_body)


def _described(route: Route) -> str:
    return f"{route.method} {route.base}{route.path}" + (f" where {sorted(route.where)}" if route.where else "")


async def hostile_names_find_nothing(bench: Bench) -> AsyncIterator[Problem]:
    """A name with quotes, wildcards, markup or path segments finds nothing; it is no injection and no crash."""
    async with bench.stand() as stand:
        for case, spec in bench.cases(Effect.READ):
            names = [parameter.name for parameter in spec.parameters if _is_name(spec, parameter.name)]
            for parameter in names:
                await stand.prepare(case)
                for hostile in HOSTILE_NAMES:
                    outcome = await stand.call(case.action, {**stand.fitting(case.action), parameter: hostile})
                    fault = _fault_of(outcome.value, outcome.error)
                    if fault:
                        yield Problem(f"{parameter}={hostile[:40]!r} {fault}", case.action)
                if bench.changes:
                    yield Problem("asked for a change", case.action)


def _is_name(spec: ActionSpec, name: str) -> bool:
    parameter = spec.by_name[name]
    return parameter.annotation is str and parameter.required


def _fault_of(value: Any, error: Exception | None) -> str:
    if isinstance(error, RouteRefused) or (error is not None and not isinstance(error, ConnectorError)):
        return f"raised {error!r}"
    if error is None and value:
        return f"found {value!r}"[:200]
    return ""


async def pages_are_complete(bench: Bench) -> AsyncIterator[Problem]:
    """With more entries than fit on a page, all of them are given."""
    filled = [(case, spec) for case, spec in bench.cases(Effect.READ) if case.fill is not None]
    if not filled:
        yield Problem("no case says how to fill more than a page (Case.fill); a product without pages is exempt")
    async with bench.stand() as stand:
        for case, _spec in filled:
            assert case.fill is not None
            await stand.prepare(case)
            wanted = case.fill(bench.simulation.estate)
            before = len(stand.wire.requests)
            value = (await stand.do(case.action)).value
            if len(value) != wanted:
                yield Problem(f"gave {len(value)} of {wanted}", case.action)
            ids = [each.id for each in value if isinstance(each, Entity)]
            if len(set(ids)) != len(ids):
                yield Problem("gave an entry twice", case.action)
            if len(stand.wire.requests) - before < 2:
                yield Problem(
                    "made one request only: fill more than a page, or exempt it if the product gives all at once",
                    case.action,
                )


CHECKS: dict[Examination, tuple[Effect, ...]] = {
    read_door_refuses_changes: (Effect.CHANGE, Effect.NOTIFY),
    read_routes_are_minimal: tuple(Effect),
    hostile_names_find_nothing: (Effect.READ,),
    pages_are_complete: (Effect.READ,),
}
