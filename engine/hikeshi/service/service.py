"""The service: everything that an identified person or program may do with a running project.

The rule: every method asks first whether its caller may, and records that they asked; API and console have no other
way to the application.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Permission
from hikeshi.access.tokens import Token
from hikeshi.service.errors import Denied, NoTriggers
from hikeshi.service.request_log import RequestLog

if TYPE_CHECKING:
    from pathlib import Path

    from hikeshi.app import Hikeshi
    from hikeshi.app.following import Following
    from hikeshi.app.undo_plan import UndoPlan
    from hikeshi.audit.verification import Verdict
    from hikeshi.core import RunState
    from hikeshi.runtime.hold_reading import Reading
    from hikeshi.runtime.ledger import Hold
    from hikeshi.runtime.stops import EngagedStop
    from hikeshi.triggers import Triggers

__all__ = ["Service"]

PLAN_GOOD_FOR_S = 3600.0
_PEOPLE_TO_RELEASE = 2  # one person alone stops; letting changes start again takes a second pair of eyes


class Service:
    """One running project, as its people meet it. `wake` makes the worker look at once."""

    def __init__(
        self,
        app: Hikeshi,
        *,
        wake: Callable[[], None] = lambda: None,
        triggers: Triggers | None = None,
    ) -> None:
        self.app = app
        self.triggers = triggers
        self.stopping = False
        self._wake = wake
        self.tokens = app.tokens
        self.requests = RequestLog(app)
        app.people_to_release = _PEOPLE_TO_RELEASE

    # --- the one check ----------------------------------------------------------------------------------------

    def look(self, who: Identity) -> Hikeshi:
        """Return the application to read from. Raises Denied."""
        self._check(who, Permission.LOOK)
        return self.app

    def _check(self, who: Identity, permission: Permission) -> None:
        if not who.may(permission):
            raise Denied(who, permission)

    async def _asked(self, who: Identity, permission: Permission, what: str, **about: Any) -> Hikeshi:
        """Record that somebody asks for something, and return the application if they may. Raises Denied."""
        allowed = who.may(permission)
        await self.requests.record(who, what, about, allowed=allowed)
        if not allowed:
            raise Denied(who, permission)
        return self.app

    async def deny(self, who: Identity, permission: Permission, what: str) -> None:
        """Record that somebody asked for what no role of theirs permits. Raises Denied."""
        await self.requests.record(who, what, {}, allowed=False)
        raise Denied(who, permission)

    # --- runs -------------------------------------------------------------------------------------------------

    async def start(
        self,
        who: Identity,
        playbook: str,
        inputs: Mapping[str, Any],
        *,
        live: bool,
        from_text: bool = False,
        once: str | None = None,
    ) -> RunState:
        """Begin a run or a dry run, and return at once; the worker goes on with it.

        With `once`, a text of the caller's, several such requests begin one run. Raises Denied,
        UnknownPlaybook, and what `start_run` raises.
        """
        permission = Permission.RUN if live else Permission.PLAN
        app = await self._asked(who, permission, "run" if live else "plan", playbook=playbook)
        if playbook not in app.library.files:
            app.library.load(playbook)  # says which one may have been meant
        state = await app.start_run(
            playbook,
            inputs,
            actor=who.actor,
            mode="live" if live else "plan",
            from_text=from_text,
            detach=True,
            run=None if once is None else self._run_of(who, once),
        )
        self._wake()
        return state

    def _run_of(self, who: Identity, once: str) -> str:
        """Return the run that somebody's request means, however often it comes."""
        digest = hashlib.sha256(f"{who.actor}\0{once}".encode()).hexdigest()
        return f"api-{digest[:24]}"

    async def save_plan(self, who: Identity, run: str, *, good_for_s: float = PLAN_GOOD_FOR_S) -> dict[str, Any]:
        """Return a dry run that is over as a document that may be applied once.

        Raises Denied, UnknownRun, PlanRefused, RunHalted.
        """
        app = await self._asked(who, Permission.PLAN, "save_plan", run=run)
        return await app.save_plan_of(run, good_for_s=good_for_s, actor=who.actor)

    async def apply(self, who: Identity, document: Mapping[str, Any]) -> RunState:
        """Begin the run that does what a saved plan shows. Raises Denied, and what `Plans.apply` raises."""
        app = await self._asked(who, Permission.RUN, "apply", plan=str(document.get("plan"))[:80])
        state = await app.apply(document, actor=who.actor, detach=True)
        self._wake()
        return state

    async def tell(self, who: Identity, run: str, kind: str, data: Mapping[str, Any]) -> RunState:
        """Send a message to a run; see `Hikeshi.tell` for the kinds. Raises Denied, and what that one raises."""
        permission = Permission.DECIDE if kind in ("approve", "reject") else Permission.RUN
        app = await self._asked(who, permission, kind, run=run, path=data.get("path"))
        app.check_run(run)
        self._wake_soon()
        return await app.tell(run, kind, data, actor=who.actor, drive=False)

    def _wake_soon(self) -> None:
        """Wake the worker when what is asked for now has been stored."""
        import asyncio

        loop = asyncio.get_running_loop()
        for delay_s in (0.005, 0.05, 0.2):
            loop.call_later(delay_s, self._wake)

    async def retry(self, who: Identity, run: str, step: str | None = None) -> RunState:
        """Run what failed once more. Raises Denied, and what `Runs.retry` raises."""
        app = await self._asked(who, Permission.RUN, "retry", run=run, path=step)
        app.check_run(run)
        state = await app.retry(run, step, actor=who.actor, detach=True)
        self._wake()
        return state

    async def resolve(self, who: Identity, run: str, path: str, *, happened: bool) -> RunState:
        """Say what became of a change of unknown outcome. Raises Denied, and what `Hikeshi.resolve` raises."""
        app = await self._asked(who, Permission.RUN, "resolve", run=run, path=path, happened=happened)
        app.check_run(run)
        state = await app.resolve(run, path, happened=happened, actor=who.actor)
        self._wake()
        return state

    def following(self, who: Identity, run: str) -> Following:
        """Look on at a run. Raises Denied, UnknownRun."""
        app = self.look(who)
        app.check_run(run)
        return app.following(run)

    # --- holds ------------------------------------------------------------------------------------------------

    async def plan_undo(self, who: Identity, run: str, step: str | None = None) -> UndoPlan:
        """Return what undoing a run would do. Raises Denied, and what `Undo.plan_undo` raises."""
        return await self.look(who).plan_undo(run, step)

    async def plan_release(self, who: Identity, holds: Sequence[str]) -> UndoPlan:
        """Return what releasing holds would do. Raises Denied, UnknownHold."""
        return await self.look(who).plan_release(holds)

    async def undo(self, who: Identity, plan: UndoPlan, *, reason: str, override: bool = False) -> RunState:
        """Begin the run that carries an undo out. Raises Denied, and what `Undo.undo` raises."""
        holds = [each.hold.hold for each in plan.tried]
        app = await self._asked(who, Permission.UNDO, "undo", run=plan.run, holds=holds, override=override)
        state = await app.undo(plan, actor=who.actor, reason=reason, override=override, detach=True)
        self._wake()
        return state

    async def extend(
        self, who: Identity, hold: str, *, until: datetime | None = None, by_s: float = 0, reason: str
    ) -> Hold:
        """Give a hold a later end. Raises Denied, and what `Undo.extend` raises."""
        app = await self._asked(who, Permission.UNDO, "extend", hold=hold)
        return await app.extend(hold, until=until, by_s=by_s, reason=reason, actor=who.actor)

    async def read_holds(self, who: Identity, holds: Sequence[Hold]) -> dict[str, Reading]:
        """Read back from the products whether what is held is so. Raises Denied."""
        return await self.look(who).read_holds(holds)

    # --- the kill switch --------------------------------------------------------------------------------------

    async def stop(self, who: Identity, what: str, *, reason: str) -> list[EngagedStop]:
        """Engage the kill switch, and return what is engaged. Raises Denied, ValueError for a scope there is not."""
        from hikeshi.guardrails import Stop

        app = await self._asked(who, Permission.STOP, "stop", stop=what)
        await app.stop(Stop.parse(what, by=who.actor, why=reason))
        return app.kill_switch.engaged()

    async def release_stop(self, who: Identity, what: str, *, reason: str) -> EngagedStop | None:
        """Say that a stop may be released; it is when enough people say so. Raises Denied, NothingToRelease."""
        app = await self._asked(who, Permission.RELEASE_STOP, "release_stop", stop=what)
        return await app.release_stop(what, by=who.actor, why=reason)

    # --- triggers ---------------------------------------------------------------------------------------------

    def watch_triggers(self, who: Identity) -> Triggers:
        """Return the triggers, to look at. Raises Denied, and NoTriggers where nothing starts by itself."""
        self._check(who, Permission.LOOK)
        if self.triggers is None:
            raise NoTriggers("this service was started with --no-triggers: nothing starts by itself here")
        return self.triggers

    async def try_trigger(self, who: Identity, playbook: str, trigger: str, event: Any) -> dict[str, Any]:
        """Return what an event would start. Nothing is stored but the request. Raises Denied, UnknownTrigger."""
        await self._asked(who, Permission.TRY, "try_trigger", playbook=playbook, trigger=trigger)
        return await self.watch_triggers(who).test(playbook, trigger, event)

    async def accept_offer(self, who: Identity, plan: str) -> RunState:
        """Begin the run that does what an offered plan shows.

        Raises Denied, and what `Triggers.accept_offer` raises.
        """
        await self._asked(who, Permission.DECIDE, "accept_offer", plan=plan)
        state = await self.watch_triggers(who).accept_offer(plan, who.actor)
        self._wake()
        return state

    async def decline_offer(self, who: Identity, plan: str, *, reason: str) -> None:
        """Let an offered plan be. Raises Denied, UnknownOffer, OfferRefused."""
        await self._asked(who, Permission.DECIDE, "decline_offer", plan=plan)
        await self.watch_triggers(who).decline_offer(plan, who.actor, reason)

    # --- the audit log and the doors --------------------------------------------------------------------------

    async def records_read(self, who: Identity, how: str, run: str | None) -> Hikeshi:
        """Record that somebody reads records, and return the application to read them from. Raises Denied."""
        app = self.look(who)
        await app.audit.record_read(who.actor, how, run)
        return app

    async def verify(self, who: Identity) -> Verdict:
        """Judge the journal, beside the event loop. Raises Denied, JournalError."""
        import asyncio

        app = await self._asked(who, Permission.AUDIT, "verify")
        return await asyncio.to_thread(app.verify)

    async def checkpoint(self, who: Identity) -> tuple[int, list[str]]:
        """Sign the log now. Return how many records are signed, and why it could not be sent. Raises Denied."""
        app = await self._asked(who, Permission.AUDIT, "checkpoint")
        size, problems = await app.audit.checkpoint()
        return size, [str(each) for each in problems]

    async def export(self, who: Identity, pack: Path, run: str | None) -> Any:
        """Write a pack of a run or of all. Raises Denied, UnknownRun, PackError, JournalError."""
        app = await self._asked(who, Permission.AUDIT, "export", run=run)
        if run is not None:
            app.check_run(run)
        written, _ = await app.audit.export(pack, run, actor=who.actor)
        return written

    async def all_tokens(self, who: Identity) -> list[Token]:
        """Return every token. Raises Denied."""
        await self._asked(who, Permission.PEOPLE, "tokens")
        return self.tokens.all()

    async def revoke(self, who: Identity, token: str) -> Token:
        """Let a token open nothing any more. Raises Denied, NotKnown."""
        await self._asked(who, Permission.PEOPLE, "revoke", token=token)
        return await self.tokens.revoke(token, by=who.actor)
