"""The triggers of a project at work: what comes in is stored, judged, and begun, whatever stops in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.core import RunState
from hikeshi.journal import JournalError
from hikeshi.playbook.model import Trigger
from hikeshi.playbook.plain_data import hint
from hikeshi.triggers.errors import UnknownTrigger
from hikeshi.triggers.judging import Judge
from hikeshi.triggers.occurrence import Occurrences, Receipt
from hikeshi.triggers.offers import Offers
from hikeshi.triggers.polls import Polls
from hikeshi.triggers.refusals import Refusals
from hikeshi.triggers.roster import Entry, Roster
from hikeshi.triggers.schedules import Schedules
from hikeshi.triggers.starting import Starter
from hikeshi.triggers.times import times_of
from hikeshi.triggers.verdict import Verdict, judge

__all__ = ["Triggers"]

_LOOK_EVERY_S = 0.5
_REFRESH_EVERY_S = 2.0
_OTHERS_S = 5.0  # so long what another process took is left to it
_AT_ONCE = 8
_MOST_LEFT = 500
_SAME_TROUBLE_S = 60.0


class Triggers:
    """The triggers of an opened project.

    `alert` is told what people have to know, one text at a time; `wake` is called when a run was begun that somebody
    has to go on with. Whoever only looks, or tests a trigger, need not call `run`.
    """

    def __init__(self, app: Hikeshi, *, alert: Callable[[str], None], wake: Callable[[], None] = lambda: None) -> None:
        self.app = app
        self._alert = alert
        self._wake = wake
        self._occurrences = Occurrences(app)
        self._roster = Roster(app, self.tell)
        self._starter = Starter(app, self._occurrences, self.tell, wake)
        self._judge = Judge(app, self._roster, self._occurrences, self._starter, self.tell)
        self._schedules = Schedules(app, self._roster, self._take_due, self.tell)
        self._polls = Polls(app, self._roster, self._take_item, self.tell)
        self._offers = Offers(app, self._occurrences, self._roster, self.tell)
        self._refusals = Refusals()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._stopping = asyncio.Event()
        self._nudged = asyncio.Event()
        self._refreshed_at: Any = None
        self._is_first_turn = True
        self._troubles: dict[str, Any] = {}

    # --- coming in --------------------------------------------------------------------------------------------

    async def receive(
        self,
        source: str,
        id: str,
        data: Any,
        *,
        meant: Sequence[tuple[str, str]] | None = None,
        also: Sequence[str] = (),
    ) -> Receipt:
        """Store something that happened; return once it is durable, or was found to be stored already.

        It is judged afterwards, in this process or in the next. `source` is as `webhook:<name>`, `id` what that source
        calls it, `also` further names of it. `meant` are the triggers it is for, by playbook and ID; None is all that
        name the source. Raises ValueError for data without a stored form, JournalError if it can't be stored.
        """
        receipt = await self._occurrences.receive(source, id, data, meant=meant, also=also)
        if receipt.is_new:
            self._settle_soon(receipt.event)
        return receipt

    def _settle_soon(self, event: str) -> None:
        if event not in self._tasks:
            self._tasks[event] = asyncio.create_task(self._settle(event))

    async def _settle(self, event: str) -> None:
        try:
            async with self._turns:
                if self._refreshed_at is None:
                    await self.refresh()
                await self._judge.settle(event)
        except JournalError as exc:  # it is found again, and judged when the journal can be written
            self.complain(f"an event waits to be judged: {exc}")
        except Exception as exc:  # noqa: BLE001 - one event must not keep the others from being judged
            self.complain(f"{event} can't be judged: {type(exc).__name__}")
        finally:
            del self._tasks[event]

    async def settled(self) -> None:
        """Wait until everything that came in here is judged and begun, as far as that is possible now."""
        await self._polls.ended()
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    # --- going on ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what triggers do until `stop` is called: judge what is left, begin what was decided, keep the times."""
        try:
            while not self._stopping.is_set():
                await self.turn()
                await self._nap()
        finally:
            self._polls.stop()
            await self.settled()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what is under way is stored."""
        self._stopping.set()
        self._nudged.set()

    async def turn(self) -> None:
        """Do everything that is due now, once. What can't be done is told about, and tried again."""
        now, last = self.app.clock.now(), self._refreshed_at
        if last is None or not timedelta(0) <= now - last < timedelta(seconds=_REFRESH_EVERY_S):
            await self._try("its playbooks can't be read", self.refresh)
        if self._refreshed_at is None:
            return  # nobody knows which triggers there are
        await self._try("events wait to be judged", self._settle_left)
        await self._try("schedules wait", self._schedules.look)
        await self._try("polls wait", self._polls.look)
        await self._try("plans wait to be offered", self._offers.look)

    async def _try(self, waits: str, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        except JournalError as exc:
            self.complain(f"{waits}: {exc}")
        except Exception as exc:  # noqa: BLE001 - one part of this must not end the others
            self.complain(f"{waits}: a defect: {type(exc).__name__}")

    async def _settle_left(self) -> None:
        """Judge and begin what others have left: all of it at first, later what they have not done for a while."""
        now, first = self.app.clock.now(), self._is_first_turn
        for event, at in self._occurrences.unjudged(_MOST_LEFT):
            is_fresh = timedelta(0) <= now - at < timedelta(seconds=_OTHERS_S)
            if first or not is_fresh:
                self._settle_soon(event)
        await self._starter.begin_left(older_than_s=0.0 if first else _OTHERS_S)
        self._is_first_turn = False

    async def _nap(self) -> None:
        waits = [asyncio.ensure_future(self._nudged.wait()), asyncio.ensure_future(self._sleep())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        self._nudged.clear()

    async def _sleep(self) -> None:
        await self.app.clock.sleep(_LOOK_EVERY_S)

    async def refresh(self) -> None:
        """Take the triggers of playbooks whose files have changed. A broken file keeps those it had."""
        await self._roster.refresh()
        self._refreshed_at = self.app.clock.now()

    async def _take_due(self, entry: Entry, due: datetime, data: Mapping[str, Any], missed: str | None) -> None:
        at = due.isoformat()
        receipt = await self._occurrences.receive(entry.source, at, data, meant=[entry.name], due_at=at, missed=missed)
        if receipt.is_new:
            self._settle_soon(receipt.event)

    async def _take_item(self, entry: Entry, identity: str, item: Any) -> None:
        await self.receive(entry.source, identity, item, meant=[entry.name])

    # --- plans that are offered -------------------------------------------------------------------------------

    def offers(self) -> list[dict[str, Any]]:
        """Return the plans that are offered now, oldest first.

        Shape: `{plan, playbook, trigger, event, by, digest, offered_at, expires_at}`; `offered_plan` has the rest.
        """
        return self._offers.rows()

    def offered_plan(self, plan: str) -> dict[str, Any]:
        """Return the document of a plan that was offered, as `Hikeshi.save_plan` makes it. Raises UnknownOffer."""
        return self._offers.document(plan)

    async def accept_offer(self, plan: str, actor: str) -> RunState:
        """Let a plan that is offered be carried out, once; return the state of the run that does it, as it begins.

        Only those whom it is offered to may; who else tries is recorded. Raises UnknownOffer, OfferRefused, PlanRefused
        with every reason if something has changed since, and what `Hikeshi.start_run` raises.
        """
        state = await self._offers.accept(plan, actor)
        self._wake()
        return state

    async def decline_offer(self, plan: str, actor: str, reason: str) -> None:
        """Let a plan that is offered be, for a reason. Raises UnknownOffer, OfferRefused."""
        await self._offers.decline(plan, actor, reason)

    # --- telling ----------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """Tell people something, with every secret masked."""
        self._alert(self.app.redactor.text(text))

    def complain(self, text: str) -> None:
        """Tell people what is in the way, and the same not more than once a minute."""
        now = self.app.clock.now()
        last = self._troubles.get(text)
        if last is None or abs((now - last).total_seconds()) >= _SAME_TROUBLE_S:
            if len(self._troubles) > 100:
                self._troubles.clear()
            self._troubles[text] = now
            self.tell(text)

    def note_refusal(self, source: str, code: str) -> None:
        """Count a message that was not taken."""
        self._refusals.note(source, code, self.app.clock.now())

    def refusals(self) -> list[Mapping[str, Any]]:
        """Return what was refused at the door since this process began: `{source, code, count, first_at, last_at}`."""
        return list(self._refusals.rows())

    # --- looking ----------------------------------------------------------------------------------------------

    def overview(self) -> list[dict[str, Any]]:
        """Return every trigger there is, by playbook.

        Shape: `{playbook, trigger, kind, source, enabled, mode, next_at, last_at, last_outcome, last_run, last_reason,
        problem}`; times are ISO texts in UTC. `refresh` has to be called first. Raises JournalError.
        """
        return [self._row(entry, self._last_of(entry)) for entry in self._roster.entries]

    def _last_of(self, entry: Entry) -> Any:
        """Return what became of the last event of a trigger, or None if none has come."""
        if not self._has_journal:
            return None
        rows = self.app.journal.query(
            "SELECT outcome, run, reason, at FROM trigger_fires WHERE playbook = ? AND trigger = ?"
            " ORDER BY at DESC LIMIT 1",
            entry.name,
        )
        return rows[0] if rows else None

    async def test(self, playbook: str, trigger: str, event: Any) -> dict[str, Any]:
        """Return what a trigger would make of an event now. Nothing is stored, nothing starts.

        Shape: `{playbook, trigger, mode, outcome, inputs, reason, run}`; `run` is the one that it would join. Raises
        UnknownTrigger.
        """
        await self.refresh()
        entry = self._roster.get(playbook, trigger)
        if entry is None:
            known = [f"{each.playbook.id}/{each.trigger.id}" for each in self._roster.entries]
            raise UnknownTrigger(f"there is no trigger {playbook}/{trigger}{hint(f'{playbook}/{trigger}', known)}")
        now = self.app.clock.now()
        verdict = judge(entry.playbook, entry.trigger, event, at=now)
        run = self._would_join(entry, verdict, now)
        return {
            "playbook": playbook,
            "trigger": trigger,
            "mode": entry.trigger.mode,
            "outcome": "deduplicated" if run is not None else verdict.outcome,
            "inputs": None if verdict.inputs is None else self.app.redactor.data(dict(verdict.inputs)),
            "reason": None if verdict.reason is None else self.app.redactor.text(verdict.reason),
            "run": run,
        }

    def _would_join(self, entry: Entry, verdict: Verdict, now: datetime) -> str | None:
        if verdict.dedupe is None or verdict.window_s is None or not self._has_journal:
            return None
        since = (now - timedelta(seconds=verdict.window_s)).isoformat()
        rows = self.app.journal.query(
            "SELECT run FROM trigger_values WHERE playbook = ? AND trigger = ? AND value = ? AND at > ?",
            (*entry.name, verdict.dedupe, since),
        )
        return str(rows[0]["run"]) if rows else None

    @property
    def _has_journal(self) -> bool:
        """Whether there is anything to look at: looking must not make a journal."""
        return "journal" in self.app.__dict__ or self.app.journal_path.exists()

    def _row(self, entry: Entry, last: Any) -> dict[str, Any]:
        trigger = entry.trigger
        next_at = self._next_at(entry)
        return {
            "playbook": entry.playbook.id,
            "trigger": trigger.id,
            "kind": trigger.kind,
            "source": _shown(trigger),
            "enabled": trigger.enabled,
            "mode": trigger.mode,
            "next_at": None if next_at is None else next_at.isoformat(),
            "last_at": None if last is None else last["at"],
            "last_outcome": None if last is None else last["outcome"],
            "last_run": None if last is None else last["run"],
            "last_reason": None if last is None else last["reason"],
            "problem": entry.problem or self._polls.problem(entry.name),
        }

    def _next_at(self, entry: Entry) -> datetime | None:
        """Return when a schedule is due next, whether this process keeps it or only looks."""
        if entry.trigger.kind == "poll":
            return self._polls.next_at(entry.name)
        if entry.trigger.kind != "schedule" or not entry.trigger.enabled or not entry.is_usable:
            return None
        return self._schedules.next_at(entry.name) or times_of(entry.trigger).next_after(self.app.clock.now())

    def fires(self, limit: int = 50, playbook: str | None = None) -> list[dict[str, Any]]:
        """Return what triggers made of the newest events.

        Shape: `{event, source, id, at, playbook, trigger, outcome, run, reason}`. Raises JournalError.
        """
        rows = self.app.journal.query(
            "SELECT f.event, f.source, e.id, f.at, f.playbook, f.trigger, f.outcome, f.run, f.reason"
            " FROM trigger_fires f JOIN trigger_events e USING (event) WHERE ? IS NULL OR f.playbook = ?"
            " ORDER BY f.at DESC, f.rowid DESC LIMIT ?",
            (playbook, playbook, limit),
        )
        return [dict(row) for row in rows]


def _shown(trigger: Trigger) -> str:
    """Return what starts a trigger, as people read it."""
    source = trigger.source
    match trigger.kind:
        case "webhook":
            return str(source["source"])
        case "poll":
            return f"{source['action']} every {source['every_s']:g} s"
    zone = f" {trigger.timezone}" if trigger.timezone else ""
    return f"{source['cron']}{zone}" if "cron" in source else f"every {source['every_s']:g} s"
