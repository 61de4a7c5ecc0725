"""Plans that are saved, shown to others, and applied once."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hikeshi
from hikeshi import __version__
from hikeshi.app.errors import PlanRefused, UnknownRun
from hikeshi.app.runs import Runs
from hikeshi.core import RunState, key_of
from hikeshi.core import events as ev
from hikeshi.journal import Record, SequenceConflict
from hikeshi.runtime.driver import Watcher
from hikeshi.runtime.errors import RunHalted

__all__ = ["FORMAT", "LONGEST_S", "Plans"]

FORMAT = "hikeshi-plan/1"
LONGEST_S = 7 * 86_400.0
"""No plan is good for longer: what it saw is too old then, whatever the digests say."""


class Plans(Runs):
    """The saved plans of a project.

    A plan is a run in the journal, like any other; its document is what people look at and pass on. The journal knows
    the document's digest, so one that was edited is not the plan.
    """

    async def save_plan(
        self,
        state: RunState,
        records: Iterable[Record] = (),
        *,
        good_for_s: float,
        actor: str,
        keep: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Return a dry run as a document that may be applied once, for so many seconds.

        Shape: `{format, plan, playbook, made_by, made_at, expires_at, digests: {playbooks, connectors, guardrails,
        engine}, report, digest}`. `keep` stores it elsewhere before the journal knows of it.
        Raises PlanRefused for a plan that would not work, RunHalted if it can't be stored.
        """
        from hikeshi.report import plan_report

        if not 0 < good_for_s <= LONGEST_S:
            raise PlanRefused(["a plan is good for more than nothing, and for a week at most"])
        report = plan_report(state, records)
        if report["status"] != "succeeded" or report["problems"]:
            raise PlanRefused(["a plan that would not work as it is can't be applied, so it is not saved"])
        assert state.now is not None
        document: dict[str, Any] = {
            "format": FORMAT,
            "plan": state.run,
            "playbook": state.program.main,
            "made_by": actor,
            "made_at": state.now.isoformat(),
            "expires_at": (state.now + timedelta(seconds=good_for_s)).isoformat(),
            "digests": self._digests(state),
            "report": report,
        }
        document["digest"] = _digest(document)
        if keep is not None:
            keep(document)
        expires_at = datetime.fromisoformat(document["expires_at"])
        saved = ev.PlanSaved("", document["digest"], expires_at, actor)
        await self._driver(state, "plan", ()).store([saved])
        return document

    async def save_plan_of(self, run: str, *, good_for_s: float, actor: str) -> dict[str, Any]:
        """Save a dry run that is over, by its ID; see `save_plan`. Raises UnknownRun, PlanRefused, RunHalted."""
        state = self.fold(run)
        if state.mode != "plan":
            raise PlanRefused([f"run {run} is no dry run: it did what it shows"])
        if state.finished is None:
            raise PlanRefused([f"the dry run {run} is not over; wait until it is"])
        if state.saved is not None:
            raise PlanRefused([f"the plan {run} was saved already; make a new one"])
        return await self.save_plan(state, self.journal.read(run), good_for_s=good_for_s, actor=actor)

    async def apply(
        self, document: Mapping[str, Any], *, actor: str, watchers: Sequence[Watcher] = (), detach: bool = False
    ) -> RunState:
        """Do what a saved plan shows, and nothing else.

        Everything that is known is compared before the first change is sent. Raises PlanRefused with every reason,
        before anything was started; otherwise what `start_run` raises.
        """
        plan = self._saved(document)
        try:
            self._refuse_stale(document, plan)
            self._refuse_different(document, await self._planned_again(plan, actor))
            key = await self._free_key(plan, actor)
        except PlanRefused as exc:
            await self._driver(plan, "plan", ()).store([ev.PlanDenied("", actor, exc.reasons)])
            raise
        assert plan.root is not None
        run, inputs = self._new_run_id(), self.load(plan.root.inputs)
        started = self._started(plan.program, inputs, actor, "live", key, plan=plan.run)
        await self._take(plan, run, actor)
        return await self._begin(run, plan.program, started, watchers, detach=detach)

    async def _free_key(self, plan: RunState, actor: str) -> str | None:
        """Return the key of the run that applies a plan. Raises PlanRefused if another run does the same now."""
        assert plan.root is not None
        inputs = self.load(plan.root.inputs)
        key = key_of(plan.program.root, inputs)
        joined = None if key is None else await self._joined(plan.program, key, inputs, actor)
        if joined is not None:
            raise PlanRefused([f"run {joined.run} is under way with the same inputs"])
        return key

    def _saved(self, document: Mapping[str, Any]) -> RunState:
        """Return the plan that a document stands for, as the journal has it. Raises PlanRefused."""
        if document.get("format") != FORMAT or not isinstance(document.get("plan"), str):
            raise PlanRefused([f"this is not a plan of this program: its format is not {FORMAT!r}"])
        try:
            plan = self.fold(document["plan"])
        except UnknownRun:
            raise PlanRefused([f"this project has made no plan {document['plan']}"]) from None
        if plan.mode != "plan" or plan.saved is None:
            raise PlanRefused([f"{plan.run} was never saved as a plan; save one with 'hikeshi plan ID -o FILE'"])
        without = {key: value for key, value in document.items() if key != "digest"}
        if plan.saved[0] != document.get("digest") or _digest(without) != plan.saved[0]:
            raise PlanRefused([f"the file is not the plan {plan.run} that was saved: it was changed since"])
        return plan

    def _refuse_stale(self, document: Mapping[str, Any], plan: RunState) -> None:
        """Raise PlanRefused if a plan is used up, too old, or of other texts than those there are now."""
        assert plan.saved is not None
        if plan.taken is not None:
            raise PlanRefused([f"the plan was applied already, as run {plan.taken}; a plan is applied once"])
        if self.clock.now() >= plan.saved[1]:
            raise PlanRefused([f"the plan was good until {plan.saved[1]:%Y-%m-%d %H:%M:%S} UTC; make a new one"])
        now = self._digests(plan, self._texts_now(plan))
        reasons = []
        for name in ("playbooks", "connectors", "guardrails", "engine"):
            if document["digests"][name] != now[name]:
                reasons.append(_changed(name, document["digests"][name], now[name]))
        if reasons:
            raise PlanRefused(reasons)

    def _texts_now(self, plan: RunState) -> dict[str, str]:
        """Return the digests of a plan's playbooks as their files are now, whatever this process has read before."""
        from hikeshi.playbook.library import Library, NotLoadable, UnknownPlaybook

        library, found = Library(self.library.folders), {}
        for name in plan.program.playbooks:
            try:
                found[name] = library.load(name).digest
            except (NotLoadable, UnknownPlaybook):
                found[name] = "it can't be read"
        return found

    async def _planned_again(self, plan: RunState, actor: str) -> dict[str, Any]:
        from hikeshi.report import plan_report

        assert plan.root is not None
        started = self._started(
            plan.program, self.load(plan.root.inputs), actor, "plan", reason=f"to compare with the plan {plan.run}"
        )
        state = await self._begin(self._new_run_id(), plan.program, started, ())
        return plan_report(state, self.journal.read(state.run))

    def _refuse_different(self, document: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
        from hikeshi.report.plan_differences import plan_differences

        found = plan_differences(document["report"], json.loads(json.dumps(fresh)))
        if found:
            raise PlanRefused([f"it would do something else now: {each['text']}" for each in found])

    async def _take(self, plan: RunState, run: str, actor: str) -> None:
        """Use a plan up. Of several who try at the same moment, one alone succeeds."""
        try:
            await self._driver(plan, "plan", ()).store([ev.PlanTaken("", run, actor)])
        except RunHalted as exc:
            if isinstance(exc.__cause__, SequenceConflict):
                raise PlanRefused(["somebody else applied the plan just now; a plan is applied once"]) from exc
            raise

    def _digests(self, state: RunState, playbooks: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what a plan is bound to, each as a SHA-256 but the engine's, which has its version in front."""
        names = sorted({name for routing in state.routes.values() for name in routing.instances})
        texts = playbooks or {name: each.digest for name, each in state.program.playbooks.items()}
        settings = {name: self.config.connectors.get(name) for name in names}
        return {
            "playbooks": dict(sorted(texts.items())),
            "connectors": {name: _sha256({"settings": settings[name], "code": self._code_of(name)}) for name in names},
            "guardrails": self.guardrails_digest(),
            "engine": f"{__version__} {_code_digest(Path(hikeshi.__file__).parent)}",
        }

    def _code_of(self, name: str) -> str:
        connector = sys.modules[self.registry.load(self.config.products[name]).__module__]
        file = Path(str(connector.__file__))
        return _code_digest(file.parent) if connector.__package__ else hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(document: Mapping[str, Any]) -> str:
    return _sha256(json.loads(json.dumps(document)))


def _sha256(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _code_digest(folder: Path) -> str:
    """Return the SHA-256 of the Python files in a folder, with their names."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(f"{path.relative_to(folder)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _changed(name: str, was: Any, now: Any) -> str:
    if name == "engine":
        return "the program was changed since the plan was made"
    if name == "guardrails":
        return "the guardrails were changed since the plan was made"
    word = "playbook" if name == "playbooks" else "connector"
    changed = sorted(each for each in {*was, *now} if was.get(each) != now.get(each))
    return f"the {word} {', '.join(changed)} was changed since the plan was made"
