"""Lists that are longer than a product takes in one request: sent in lots, each with its own end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from hikeshi.connector.errors import Applied, Conflict, ConnectorError, Invalid, Unavailable

__all__ = ["lots", "sent_in_lots"]

T = TypeVar("T")
Answer = TypeVar("Answer")


def lots(items: Sequence[T], most: int) -> Iterator[list[T]]:
    """Yield the items in their order, at most `most` at a time; nothing for an empty list."""
    for start in range(0, len(items), most):
        yield list(items[start : start + most])


async def sent_in_lots(
    names: Sequence[str], most: int, send: Callable[[list[str], bool], Awaitable[Answer]]
) -> tuple[list[tuple[list[str], Answer]], dict[str, ConnectorError]]:
    """Send names in lots, and return the lots that were taken with their answers, and each other name with its error.

    `send(lot, last)` sends one; `last` says that none follows, for the request of the same name, so that a plan shows
    every lot: look at the answers only afterwards. A lot that is provably refused (Conflict, Invalid) does not keep
    the next from being sent. Any other error ends it: those not sent are named as Unavailable, not applied.
    Raises what went wrong if no lot was taken: then it stands for the whole list.
    """
    answers: list[tuple[list[str], Answer]] = []
    failures: dict[str, ConnectorError] = {}
    first: ConnectorError | None = None
    waiting = list(lots(names, most))
    while waiting:
        lot = waiting.pop(0)
        try:
            answers.append((lot, await send(lot, not waiting)))
        except ConnectorError as error:
            first = first or error
            failures |= dict.fromkeys(lot, error)
            if not _is_refusal(error):
                if not answers:
                    raise
                unsent = Unavailable(f"not sent, because the request before it failed: {error.message}")
                failures |= {name: unsent for rest in waiting for name in rest}
                break
    if first is not None and not answers:
        raise first
    return answers, failures


def _is_refusal(error: ConnectorError) -> bool:
    return isinstance(error, (Conflict, Invalid)) and error.applied is Applied.NO
