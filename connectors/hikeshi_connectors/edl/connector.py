"""External dynamic lists: the firewall comes and fetches what is to be blocked, so no credential of it is needed.

The lists lie in a SQLite file below `folder`; `hikeshi serve` serves them at /lists/<instance>/<list>.txt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from hikeshi.capabilities import Block, Firewall, Indicator, read, supports
from hikeshi.capabilities.entities import Model
from hikeshi.connector import (
    Connector,
    ConnectorError,
    Invalid,
    PartialFailure,
    PreviewedRequest,
    Unavailable,
)
from hikeshi_connectors.edl.entries import KINDS, LISTS, line_of
from hikeshi_connectors.edl.published import EdlLists
from hikeshi_connectors.edl.settings import EdlSettings
from hikeshi_connectors.edl.store import Entry, Gone, ListStore, Poll

__all__ = ["Edl", "PolledList"]

_REASON_MOST = 500
# Longer than the capability waits for a change to be seen.
_PATIENCE_S = 600.0


class PolledList(Model):
    """A list and who fetched it last; None and "" for nobody. `seconds_ago` is None then, too."""

    connector: str
    name: str
    entries: int
    polled_at: datetime | None = None
    polled_by: str = ""
    seconds_ago: int | None = None


class Edl(Connector, Firewall, product="edl"):
    """A set of lists that firewalls poll."""

    Settings = EdlSettings
    least_privileges = ("none at a product; the folder is written by every process of the project, and by nobody else",)

    settings: EdlSettings

    def set_up(self) -> None:
        self.store = ListStore(self.settings.folder / f"{self.name}.sqlite", remembers=self.settings.fetched_first)
        self._lists = EdlLists(self.store, self.settings, self.reveal)

    def published_lists(self) -> EdlLists:
        """Return the lists for the service to serve."""
        return self._lists

    @supports(kinds=set(KINDS))
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read the lists. With `fetched_first`, raises Unavailable while an entry or its removal waits to be fetched.

        That is no answer, on purpose: "not blocked" would let an undo leave it listed, and it would be blocked later;
        after a removal, the firewall blocks it still, and "blocked" would let nobody list it again.
        """
        lines, _ = self._lines(indicators)
        found = await asyncio.to_thread(self._listed, _by_kind(lines.values()))
        return [self._block(each, found.get(lines.get((each.kind, each.value), ("", "")))) for each in indicators]

    @supports(kinds=set(KINDS))
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """List the indicators, in one transaction. After `expires_in_s` they are not served any more.

        Raises Unavailable, and lists nothing, if no firewall has fetched such a list within `polled_within_s`: a block
        that nobody fetches is none. Raises PartialFailure for what is no line of a list.
        """
        if expires_in_s is not None and expires_in_s < 1:
            raise Invalid(f"a block cannot expire in {expires_in_s} s")
        lines, refused = self._lines(indicators)
        changes = _by_kind(lines.values())
        await asyncio.to_thread(self._refuse_unpolled, changes)
        body = {**changes, "expires_in_s": expires_in_s, "reason": reason[:_REASON_MOST]}
        if changes:
            await self.commit(
                PreviewedRequest("ADD", self._address, body),
                lambda: asyncio.to_thread(self.store.add, changes, reason[:_REASON_MOST], expires_in_s),
                last=True,
            )
        _raise(refused, sent=bool(changes))

    @supports(kinds=set(KINDS))
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - the journal keeps it
        """Take the indicators off the lists. Firewalls let them pass when they have fetched the lists again."""
        lines, refused = self._lines(indicators)
        changes = _by_kind(lines.values())
        if changes:
            await self.commit(
                PreviewedRequest("REMOVE", self._address, {**changes}),
                lambda: asyncio.to_thread(self._remove, changes),
                last=True,
            )
        _raise(refused, sent=bool(changes))

    @read
    async def polled_lists(self) -> list[PolledList]:
        """Say for each list how long it is, and when and by whom it was fetched last."""
        standings = await asyncio.to_thread(self._lists.standings)
        now = datetime.fromtimestamp(self.store.clock(), UTC)
        return [
            PolledList(
                connector=self.name,
                name=each.name,
                entries=each.entries,
                polled_at=each.polled_at,
                polled_by=each.polled_by,
                seconds_ago=None if each.polled_at is None else int((now - each.polled_at).total_seconds()),
            )
            for each in standings
        ]

    # --- decisions

    @property
    def _address(self) -> str:
        return f"{self.settings.base_url.rstrip('/')}/lists/{self.name}"

    def _lines(
        self, indicators: Sequence[Indicator]
    ) -> tuple[dict[tuple[str, str], tuple[str, str]], dict[str, ConnectorError]]:
        """Return the kind and line of each indicator, and what is refused, with the reason."""
        lines: dict[tuple[str, str], tuple[str, str]] = {}
        refused: dict[str, ConnectorError] = {}
        for each in indicators:
            try:
                lines[each.kind, each.value] = (each.kind, line_of(each))
            except ConnectorError as exc:
                refused[each.value] = exc
        return lines, refused

    def _block(self, indicator: Indicator, entry: Entry | None) -> Block:
        ends = None if entry is None or entry.expires_at is None else datetime.fromtimestamp(entry.expires_at, UTC)
        return Block(
            connector=self.name,
            kind=indicator.kind,
            value=indicator.value,
            blocked=entry is not None,
            expires_at=ends,
        )

    def _listed(self, wanted: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Entry]:
        found = self.store.find(wanted)
        if self.settings.fetched_first:
            self._refuse_new(found)
            gone = self.store.gone(wanted)
            self._refuse_held({place: each for place, each in gone.items() if place not in found})
        return found

    def _refuse_new(self, found: Mapping[tuple[str, str], Entry]) -> None:
        """Raise while a new entry waits to be fetched."""
        now = self.store.clock()
        for kind in {kind for kind, _ in found}:
            polls = self._polls(kind)
            newest = max((entry for (of, _), entry in found.items() if of == kind), key=lambda entry: entry.added_in)
            # After a while it counts as listed, so that it can be taken off again without any firewall's help.
            if now - newest.added_at < _PATIENCE_S and not self._all(polls, partial(_has, newest)):
                raise Unavailable(f"{self.name}: listed, but not fetched since: {_told(kind, polls, now)}")

    def _refuse_held(self, gone: Mapping[tuple[str, str], Gone]) -> None:
        """Raise while a firewall has a line that is listed no more, for however long: it blocks it still."""
        now = self.store.clock()
        for (kind, line), each in gone.items():
            polls = self._polls(kind)
            if not self._is_let_go(polls, each):
                told = f"{self.name}: {line} is off the list, but that was not fetched: {_told(kind, polls, now)}"
                raise Unavailable(f"{told}; a firewall that has it blocks it still")

    def _remove(self, changes: Mapping[str, Sequence[str]]) -> None:
        if self.settings.fetched_first:
            polls = {kind: self._polls(kind) for kind in changes}
            self.store.forget(changes, lambda kind, gone: self._is_let_go(polls[kind], gone))
        self.store.remove(changes)

    def _is_let_go(self, polls: Sequence[Poll], gone: Gone) -> bool:
        """Say whether no firewall that the settings name still has a line; if they name none, one poll is enough."""
        pollers = self.settings.pollers
        latest: dict[str, Poll] = {}
        for poll in polls:  # the latest one comes first
            if not pollers or poll.address in pollers:
                latest.setdefault(poll.address, poll)
        past = {by for by, poll in latest.items() if poll.revision >= gone.gone_in and poll.at >= gone.gone_at}
        had = {by for by, poll in latest.items() if poll.revision >= gone.added_in}
        return had <= past or (not pollers and bool(past))

    def _refuse_unpolled(self, changes: Mapping[str, Sequence[str]]) -> None:
        within_s = self.settings.polled_within_s
        if within_s is None:
            return
        now = self.store.clock()
        for kind in changes:
            polls = self._polls(kind)
            if not self._all(polls, lambda poll: now - poll.at <= within_s):
                raise Unavailable(
                    f"{self.name}: nothing was listed, for no firewall would block it: {_told(kind, polls, now)}; let "
                    f"one poll {self._address}/{kind}.txt at least every {within_s} s, or set polled_within_s"
                )

    def _polls(self, kind: str) -> list[Poll]:
        return self.store.polls([name for name, kinds in LISTS.items() if kind in kinds])

    def _all(self, polls: Sequence[Poll], fits: Callable[[Poll], bool]) -> bool:
        """Say whether each firewall that the settings name has made a poll that fits; or anybody, if they name none."""
        fitting = {poll.address for poll in polls if fits(poll)}
        return fitting.issuperset(self.settings.pollers) if self.settings.pollers else bool(fitting)


def _by_kind(lines: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for kind, line in lines:
        found.setdefault(kind, {})[line] = None
    return {kind: list(each) for kind, each in found.items()}


def _has(entry: Entry, poll: Poll) -> bool:
    return poll.revision >= entry.added_in


def _told(kind: str, polls: Sequence[Poll], now: float) -> str:
    if not polls:
        return f"the list {kind} was never polled"
    return f"the list {kind} was not polled for {int(now - polls[0].at)} s (last by {polls[0].address})"


def _raise(refused: Mapping[str, ConnectorError], *, sent: bool) -> None:
    if refused and not sent and len(refused) == 1:
        raise next(iter(refused.values()))
    if refused:
        raise PartialFailure(refused)
