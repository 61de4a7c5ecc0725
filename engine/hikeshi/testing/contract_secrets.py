"""Checks of how a connector treats credentials: wrong ones are told apart, and none is ever shown."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.connector import Unauthorized
from hikeshi.connector.route import SeenRequest
from hikeshi.secrets import Redactor
from hikeshi.testing.contract_bench import Bench, CannotGoOn, Outcome, Stand
from hikeshi.testing.contract_case import Problem
from hikeshi.testing.contract_faults import struck

__all__ = ["CHECKS"]

Examination = Callable[[Bench], AsyncIterator[Problem]]

_CANARY = "-canary-5f1d0c9a7e"
_FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 401, "times": None},
    {"status": 403},
    {"status": 500},
    {"html": True},
    {"drop": "after"},
)
_ORDINARY_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}
)


async def wrong_credentials(bench: Bench) -> AsyncIterator[Problem]:
    """Credentials that the product does not accept are Unauthorized."""
    async with bench.stand() as right, bench.stand(secret="-wrong", wrong=True) as stand:  # noqa: S106 - that is the point
        for case, _spec in bench.sample(*Effect):
            await right.prepare(case)
            outcome = await stand.call(case.action, right.arguments)
            if not isinstance(outcome.error, Unauthorized):
                yield Problem(f"ended with {outcome.error!r}, not Unauthorized", case.action)


async def secrets_are_never_shown(bench: Bench) -> AsyncIterator[Problem]:
    """No credential, nor a token fetched with it, is in a result, error, plan, log, repr or URL, in any encoding."""
    with _logs() as logs:
        async with bench.stand(secret=_CANARY) as stand:
            shown = [text async for text in _everything_shown(stand)]
            shown += [
                ("repr", repr(stand.connector) + repr(stand.connector.settings) + repr(stand.connector.http)),
                ("settings", stand.connector.settings.model_dump_json()),
            ]
            secrets = {*_revealed(stand), *_carried(stand.wire.requests, bench.contract.plain_headers)}
            if not secrets:
                yield Problem("no secret was used; are the secrets fields of the type Secret?")
            for secret in secrets:
                for text in _leaks(secret, [*shown, ("log", "\n".join(logs))], stand.wire.requests):
                    yield Problem(text)
                if secret in stand.connector.redactor.text(secret):
                    yield Problem("a credential was sent that the redactor does not know (use reveal or TokenCache)")


async def _everything_shown(stand: Stand) -> AsyncIterator[tuple[str, str]]:
    bench = stand.bench
    for case, spec in bench.cases(*Effect):
        await stand.prepare(case)
        if spec.effect is not Effect.READ:
            yield f"the plan of {case.action}", repr(await stand.plan(case.action))
        yield case.action, _told(await stand.call(case.action, stand.fitting(case.action)))
    for case, _spec in bench.sample(*Effect):
        for fault in _FAULTS:
            # A case that makes no request over HTTP can't be struck, which the checks of faults say.
            with suppress(CannotGoOn):
                yield f"{case.action} with {fault}", _told(await struck(bench, case, secret=_CANARY, **fault))


def _told(outcome: Outcome) -> str:
    if outcome.error is None:
        return repr(outcome.value)
    return repr(outcome.error) + repr(vars(outcome.error)) + "".join(traceback.format_exception(outcome.error))


def _revealed(stand: Stand) -> list[str]:
    from hikeshi.connector.connector import secrets_in

    return [secret.reveal() for secret in secrets_in(stand.connector.settings)]


def _carried(requests: list[SeenRequest], plain: tuple[str, ...]) -> Iterator[str]:
    """Yield what stands in headers that only a credential explains, without the scheme before it.

    `plain` are those that the connector's author says are none.
    """
    for request in requests:
        for name, value in request.headers.items():
            if name.lower() in plain:
                continue
            if name in ("authorization", "cookie") or (name not in _ORDINARY_HEADERS and len(value) >= 20):
                yield value.rpartition(" ")[2]


def _leaks(secret: str, shown: list[tuple[str, str]], requests: list[SeenRequest]) -> Iterator[str]:
    eye = Redactor()
    eye.add(secret)
    for where, text in shown:
        if eye.text(text) != text:
            yield f"a credential is shown in {where}"
    for request in requests:
        if eye.text(request.url) != request.url:
            yield f"a credential is in the URL of {request.method} {request.url.partition('?')[0]}, which proxies log"
            return


@contextmanager
def _logs() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    root, handler = logging.getLogger(), Keep(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


CHECKS: dict[Examination, tuple[Effect, ...]] = {
    wrong_credentials: tuple(Effect),
    secrets_are_never_shown: tuple(Effect),
}
