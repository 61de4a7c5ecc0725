"""Plans that triggers had made: they are offered to people, and carried out when one of those accepts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from hikeshi.app import Hikeshi, PlanRefused
from hikeshi.core import RunState
from hikeshi.journal import SequenceConflict
from hikeshi.runtime.errors import RunHalted
from hikeshi.triggers.errors import OfferRefused, UnknownOffer
from hikeshi.triggers.occurrence import Occurrences
from hikeshi.triggers.roster import Roster
from hikeshi.triggers.verdict import actor_of

__all__ = ["Offers"]

_GOOD_FOR_S = 86_400.0
_OTHERS_S = 30.0  # so long a plan that another process has saved is left to it
_IN_WORK = "SELECT 1 FROM trigger_plans WHERE run = ?"
_OPEN = "SELECT 1 FROM trigger_offers WHERE plan = ? AND became IS NULL"


class Offers:
    """Offers prepared plans, and takes what people say of them. `tell` is told what is offered, and what can't be."""

    def __init__(self, app: Hikeshi, occurrences: Occurrences, roster: Roster, tell: Callable[[str], None]) -> None:
        self._app = app
        self._occurrences = occurrences
        self._roster = roster
        self._tell = tell

    # --- offering ---------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Offer the plans that are made. Raises JournalError."""
        rows = self._app.journal.query(
            "SELECT p.run, p.event, p.playbook, p.trigger FROM trigger_plans p JOIN runs r USING (run)"
            " WHERE r.finished_at IS NOT NULL ORDER BY p.rowid LIMIT 20"
        )
        for row in rows:
            await self._offer(row["run"], row["event"], (row["playbook"], row["trigger"]))

    async def _offer(self, plan: str, event: str, name: tuple[str, str]) -> None:
        state = self._app.fold(plan)
        assert state.now is not None
        if state.saved is not None and (self._app.clock.now() - state.now).total_seconds() < _OTHERS_S:
            return
        try:
            document = await self._app.save_plan(
                state, self._app.journal.read(plan), good_for_s=_GOOD_FOR_S, actor=actor_of(*name)
            )
        except PlanRefused as exc:
            await self._refuse(plan, event, name, self._why_not(state) or str(exc))
            return
        except RunHalted as exc:
            if isinstance(exc.__cause__, SequenceConflict):
                return  # another process saves it at this moment
            raise exc.__cause__ or exc from exc
        await self._store(document, event, name)

    def _why_not(self, state: RunState) -> str | None:
        """Return what failed in a plan, or None if nothing did."""
        failed = [(path, state.nodes[path].error) for path in state.failures if path in state.nodes]
        return "; ".join(f"{path}: {error.message}" for path, error in failed if error is not None) or None

    async def _refuse(self, plan: str, event: str, name: tuple[str, str], reason: str) -> None:
        reason = self._app.redactor.text(reason)
        if await self._occurrences.settle(event, "PlanNotOffered", {"plan": plan, "reason": reason}, _IN_WORK):
            self._tell(f"{'/'.join(name)}: the plan {plan} for {event} can't be offered: {reason}")

    async def _store(self, document: dict[str, Any], event: str, name: tuple[str, str]) -> None:
        content = json.dumps(document, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        by = self._by(event, name)
        fields = {
            "plan": document["plan"],
            "playbook": name[0],
            "trigger": name[1],
            "by": by,
            "digest": document["digest"],
            "expires_at": document["expires_at"],
            "document": digest,
        }
        if await self._occurrences.settle(event, "PlanOffered", fields, _IN_WORK, {digest: content}):
            who, until = ", ".join(by), document["expires_at"]
            self._tell(f"{'/'.join(name)} offers {who} the plan {document['plan']} until {until}")

    def _by(self, event: str, name: tuple[str, str]) -> list[str]:
        """Return whom a plan is offered to: those who were to be asked when it was decided on."""
        judged = self._occurrences.judgement(event)
        outcomes: Any = [] if judged is None else judged.data["outcomes"]
        found = next((each["by"] for each in outcomes if (each["playbook"], each["trigger"]) == name), None)
        return list(found or ())

    # --- deciding ---------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return what is offered now: `{plan, playbook, trigger, event, by, digest, offered_at, expires_at}`."""
        found = self._app.journal.query(
            "SELECT * FROM trigger_offers WHERE became IS NULL AND expires_at > ? ORDER BY offered_at, plan",
            (self._app.clock.now().isoformat(),),
        )
        keys = ("plan", "playbook", "trigger", "event", "digest", "offered_at", "expires_at")
        return [{**{key: row[key] for key in keys}, "by": json.loads(row["by"])} for row in found]

    def document(self, plan: str) -> dict[str, Any]:
        """Return the document of a plan that is offered, as `save_plan` made it. Raises UnknownOffer."""
        found = self._app.journal.query("SELECT document FROM trigger_offers WHERE plan = ?", (plan,))
        if not found:
            raise self._unknown(plan)
        document: dict[str, Any] = json.loads(self._app.journal.blob(found[0]["document"]))
        return document

    async def accept(self, plan: str, actor: str) -> RunState:
        """Carry out a plan that is offered, and nothing else. Raises UnknownOffer, OfferRefused, PlanRefused."""
        await self._refuse_others(plan, actor)
        return await self._app.apply(self.document(plan), actor=actor, detach=True)

    async def decline(self, plan: str, actor: str, reason: str) -> None:
        """Let a plan that is offered be. Raises UnknownOffer, OfferRefused."""
        offer = await self._refuse_others(plan, actor)
        fields = {"plan": plan, "by": actor, "reason": self._app.redactor.text(reason)}
        if not await self._occurrences.settle(offer["event"], "OfferDeclined", fields, _OPEN):
            raise OfferRefused(f"the plan {plan} was decided about by somebody else just now")

    async def _refuse_others(self, plan: str, actor: str) -> dict[str, Any]:
        """Return an offer that somebody may decide about. Raises UnknownOffer, OfferRefused; the latter is recorded."""
        offer = next((each for each in self.rows() if each["plan"] == plan), None)
        if offer is None:
            raise self._unknown(plan)
        if not self._app.may_decide(actor, offer["by"]):
            reason = f"{actor} is not among those who may decide: {', '.join(offer['by']) or 'nobody is'}"
            await self._occurrences.settle(
                offer["event"], "OfferDenied", {"plan": plan, "by": actor, "reason": reason}, _OPEN
            )
            raise OfferRefused(f"the plan {plan}: {reason}")
        return offer

    def _unknown(self, plan: str) -> UnknownOffer:
        found = self._app.journal.query("SELECT * FROM trigger_offers WHERE plan = ?", (plan,))
        if not found:
            known = ", ".join(each["plan"] for each in self.rows()) or "nothing is"
            return UnknownOffer(f"no plan {plan[:60]!r} is offered (offered now: {known})")
        row = found[0]
        if row["became"] is not None:
            return UnknownOffer(f"the plan {plan} was {row['became']} by {row['who']}")
        return UnknownOffer(f"the plan {plan} was good until {row['expires_at']}")
