"""The promises that every world is judged by. Each has a name, and a broken one ends the world at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dice import Dice
from ledger import Intent, RunFacts
from oracle import Oracle
from picture import differences, picture
from process import PERSONS
from products import Request

from hikeshi.core import Program, RunState, TakeKey, fold
from hikeshi.journal import Record, decode_record
from hikeshi.playbook.parse import load_playbook
from hikeshi.project.people import may_decide

if TYPE_CHECKING:
    from process import Process
    from world import World

__all__ = ["PROMISES", "Checks"]

_LONGEST_S = 60 * 86_400.0
_MOST_STEPS = 100_000
_PATIENCE_S = 2 * 3600.0
_AFTERWARDS = ("StepResolved", "HoldReleased", "MessageRefused")
_NORMAL = {
    "edr.isolate_host": ("host", "normal"),
    "identity.disable_user": ("account", True),
    "firewall.block_indicators": ("block", False),
    "vault.put_tag": ("tag", False),
}

PROMISES = {
    "effect-at-most-once": "a product changes a target at most once for each key",
    "intent-before-send": "a change leaves only after its intent is stored, and while that waits for its answer",
    "confirmed-not-called-again": "what is recorded as done is not asked for again",
    "failed-had-no-effect": "a change that is recorded as failed had no effect, and gets none",
    "done-is-done": "a change that is recorded as done is what the product shows",
    "intents-settle": "every intent ends as confirmed, failed, or in a person's hands",
    "memory-is-what-is-stored": "the state in memory is what a restart would fold from the journal",
    "siblings-go-on": "nothing under way is cancelled because something else failed",
    "never-stuck": "a run ends, or waits for a person, or for a time that lies ahead",
    "over-is-over": "nothing is done any more in a run that is over, but to find out what became of a change",
    "finished-owes-nothing": "a run that is over owes nothing and waits for nothing",
    "holds-settle": "a run that is over leaves no hold half open",
    "statuses-follow-the-language": "every step has the status that the language gives it",
    "told-at-least-once": "a message that is recorded as sent was received, and one received twice is marked",
    "dead-do-nothing": "a process that is dead sends and stores nothing",
    "one-owner": "no two owners append to a run",
    "no-error-escapes": "no error of the engine's own comes to light",
    "waits-are-kept": "nothing is tried again before its time",
    "who-may-decides": "only those decide who were asked, and about what they were shown",
    "approved-before-change": "a change that an approval covers is announced after it, for targets that were shown",
    "holds-end": "what was held for a time is taken back when that is over",
    "deterministic": "the same seed gives the same run",
}


class Checks:
    """Watches everything that is stored and everything that leaves."""

    def __init__(self, world: World, dice: Dice) -> None:
        self._world = world
        self._dice = dice
        self.effects: Counter[tuple[str, str]] = Counter()  # by key and target
        self.requests: dict[str, Request] = {}  # the newest by key
        self.compared = 0
        self._failed: dict[tuple[str, str], str] = {}
        self._happenings = -1
        # What waits by the clock on the wall may wait longer when that is set back.
        self._patience_s = _PATIENCE_S + sum(max(0.0, -by_s) for _, by_s in world.schedule.jumps)
        self._programs: dict[str, Program] = {}
        self._quiet_since_s = 0.0

    # --- what leaves ------------------------------------------------------------------------------------------

    def sent(self, request: Request) -> None:
        world = self._world
        if world.process is None or not world.process.alive:
            world.break_("dead-do-nothing", f"{request.verb} of {request.targets} left a dead process")
        keys = dict.fromkeys(request.keys or (request.key,))
        self.requests.update(dict.fromkeys(keys, request))
        if request.change is None:
            self._may_tell(request)
            return
        for key in keys:
            self._is_intended(request, key)

    def _is_intended(self, request: Request, key: str) -> None:
        world = self._world
        intent = world.ledger.intents.get(key)
        if intent is None or intent.answered:
            state = "was answered already" if intent else "is not stored"
            world.break_("intent-before-send", f"{request.verb} of {request.targets} left, and its intent {state}")
            return
        if intent.path in world.ledger.runs[intent.run].succeeded:
            world.break_("confirmed-not-called-again", f"{intent.path}: {request.verb} of {request.targets}")
        self._failed = {known: why for known, why in self._failed.items() if known[0] != key}

    def _may_tell(self, request: Request) -> None:
        known = self._world.ledger.told.get(request.key)
        if known is None:
            self._world.break_("intent-before-send", f"{request.verb} left, and its request is not stored")
        elif known[1] in known[0].succeeded:
            self._world.break_("confirmed-not-called-again", f"{known[1]}: {request.verb}")

    def asked(self, instance: str, verb: str, about: str) -> None:
        """Judge a read: a lookup that a step has the answer of is not made again."""
        capability = {"find_hosts": "edr", "find_users": "identity"}.get(verb)
        if capability is None:
            return
        for facts in self._world.ledger.runs.values():
            path = facts.lookups.get((capability, about))
            if path is not None and path in facts.succeeded:
                self._world.break_("confirmed-not-called-again", f"{path}: {instance}.{verb}")

    def took_effect(self, request: Request, target: str) -> None:
        known = (request.key_of(target), target)
        self.effects[known] += 1
        if request.change is None:
            return
        if self.effects[known] > 1:
            self._world.break_(
                "effect-at-most-once",
                f"{request.instance}: {target} was changed {self.effects[known]} times by one key",
            )
        if known in self._failed:
            self._world.break_("failed-had-no-effect", f"{self._failed[known]}, and after that it had its effect")

    def broke_off(self, what: str, after_s: float) -> None:
        process = self._world.process
        if process is not None and process.alive and after_s < 20 and not what.endswith("probe_of"):
            self._world.break_("siblings-go-on", f"a call of {what} was cancelled after {after_s:.1f} s")

    # --- what is stored ---------------------------------------------------------------------------------------

    def stored(self, process: Process, records: Sequence[bytes | Record]) -> None:
        world = self._world
        if not process.alive:
            world.break_("dead-do-nothing", f"{process.name} stored something after its death")
        world.clock.happenings += 1
        for encoded in records:
            self._is_allowed(encoded)
            record = world.ledger.note(encoded)
            world.trace(f"{record.run} {record.seq} {record.kind} {record.path}{_detail(record.kind, record.data)}")
            if record.kind == "TargetsSettled":
                for settled in record.data["settled"]:
                    self._settled(record.run, record.path, settled["target"], settled["outcome"])
            self._notice(record)
        state = process.states.get(record.run)
        if state is not None and state.seq == record.seq and (state.finished is not None or self._dice.chance(4)):
            self.compare(state)

    def _is_allowed(self, encoded: bytes | Record) -> None:
        """Judge a record against how its run stands before it."""
        record = decode_record(encoded)
        facts = self._world.ledger.runs.get(record.run)
        if facts is not None and facts.finished and record.kind not in _AFTERWARDS:
            self._world.break_("over-is-over", f"{record.kind} {record.path} in {record.run}, which {facts.finished}")

    def _notice(self, record: Record) -> None:
        """Let those know who have to do something now."""
        world = self._world
        if record.kind == "RunFinished" and world.process is not None:
            world.process.wake()
        elif record.kind == "ActionUnknown":
            world.people.find_out(record.run, record.path)
        elif record.kind in ("QuestionAsked", "QuestionEscalated"):
            world.people.be_asked(record.run, record.path)
        elif record.kind == "RunStarted" and record.data["reason"] is None:
            world.people.meddle(record.run)
            if self._dice.chance(50):
                world.people.signal("ping")
        elif record.kind == "PauseRequested":
            world.people.resume(record.run)
        elif record.kind == "WaitStarted" and record.data["signal"] is not None:
            world.people.signal(record.data["signal"])
        elif record.kind in ("VoteCast", "FormAnswered"):
            self._may_decide(record)

    def _may_decide(self, record: Record) -> None:
        """Judge who decided."""
        question = self._world.ledger.runs[record.run].asked[record.path]
        voter = str(record.data["by"])
        if not may_decide(PERSONS[voter], question.by):
            self._world.break_("who-may-decides", f"{record.path} of {record.run}: {voter} is none of {question.by}")
        if record.kind == "VoteCast" and voter == "rin":
            self._world.break_("who-may-decides", f"{record.path} of {record.run}: who asked for the run decided")
        if record.kind == "VoteCast" and record.data["digest"] != question.digest:
            self._world.break_("who-may-decides", f"{record.path} of {record.run}: a vote for what was asked before")

    def _settled(self, run: str, path: str, target: str, outcome: str) -> None:
        intent = self._world.ledger.runs[run].intents.get(path)
        request = None if intent is None else self.requests.get(intent.key)
        if intent is None or request is None or request.change is None or target not in intent.targets:
            return
        name = _name_in(request, target)
        if outcome == "failed":
            why = f"{path} of {run}: {target} is recorded as failed"
            if self.effects[intent.key, name]:
                self._world.break_("failed-had-no-effect", f"{why}, and it had its effect")
            self._failed[intent.key, name] = why
        elif outcome == "done" and not self._shows_goal(request, name):
            self._world.break_("done-is-done", f"{path} of {run}: {target} is recorded as done")

    def _shows_goal(self, request: Request, name: str) -> bool:
        change = request.change
        assert change is not None
        shown = self._world.outside.states.get((request.instance, change.kind, name))
        if change.goal is None:
            return bool(shown)
        # What is not there is not in force: the inverse of a change leads to what was there before.
        return shown == change.goal or (shown is None and change.goal in (False, "normal"))

    def is_done(self, intent: Intent, *, by_hand: bool) -> bool:
        """Say for a person whether a change happened; `by_hand` brings about first what is missing of it.

        People look at the targets of unknown outcome; the others are known.
        """
        request = self.requests.get(intent.key)
        if request is None or request.change is None:
            return False
        settled = {_name_in(request, target) for target, outcome in intent.outcome.items() if outcome != "unknown"}
        own = [name for name in request.targets if request.key_of(name) == intent.key]
        names = [name for name in own if name not in settled]
        if by_hand:
            for name in names:
                if "bad" not in name and not self._shows_goal(request, name):
                    self._world.outside.put_right(request, name)
        return all(self._shows_goal(request, name) for name in names)

    def compare(self, state: RunState) -> None:
        """Compare a state in memory with what is stored, at a moment at which both should be the same."""
        self.compared += 1
        found = differences(picture(state), picture(self.fold(state.run)))
        if found:
            self._world.break_("memory-is-what-is-stored", f"{state.run} at {state.seq}: " + "; ".join(found))

    def fold(self, run: str) -> RunState:
        """Return a run's state from what is stored."""
        state = RunState(run, self._program(self._world.ledger.runs[run]))
        for record in self._world.disk.journal.read(run):
            fold(state, record.seq, record.at, record.kind, record.path, record.data, record.encoded)
        return state

    def _program(self, facts: RunFacts) -> Program:
        """Return what a run executes; the engine's own runs bring a playbook of their own."""
        if facts.playbook == "main":
            return self._world.program
        if facts.playbook not in self._programs:
            found = {name: load_playbook(text, name)[0] for name, text in facts.sources.items()}
            self._programs[facts.playbook] = Program(facts.playbook, found)  # type: ignore[arg-type]
        return self._programs[facts.playbook]

    # --- how runs end -----------------------------------------------------------------------------------------

    def restarted(self) -> None:
        """Begin to be patient anew: while no process was there, nothing could happen."""
        self._quiet_since_s = self._world.clock.awake_s

    def conflict(self, run: str, text: str) -> None:
        """Judge that two wanted to append at one place, as people may who find out about a run that is over."""
        facts = self._world.ledger.runs.get(run)
        if facts is None or not facts.finished:
            self._world.break_("one-owner", text)

    def patience(self, steps: int) -> None:
        """Judge a world in which nothing has happened for long: each run waits for something that lies ahead."""
        clock = self._world.clock
        if steps > _MOST_STEPS or clock.real_s > _LONGEST_S:
            text = f"a process still goes on after {steps} steps, at {clock.real_s:.0f} s, and gets nowhere"
            self._world.break_("never-stuck", text)
        if clock.happenings != self._happenings:
            self._happenings, self._quiet_since_s = clock.happenings, clock.awake_s
        elif clock.awake_s - self._quiet_since_s > self._patience_s and clock.next_at() is None:
            self._quiet_since_s = clock.awake_s
            for run, facts in self._world.ledger.runs.items():
                if not facts.finished:
                    self._waits_for_something(self.fold(run))
            self._holds_wait_for_something()

    def _holds_wait_for_something(self) -> None:
        latest = (self._world.clock.now() - timedelta(seconds=self._patience_s)).isoformat()
        query = (
            "SELECT * FROM holds WHERE status = 'active' AND expires_at < ? AND COALESCE(retry_at, '') < ?"
            " ORDER BY opened_at, hold"
        )
        for row in self._world.disk.journal.query(query, (latest, latest)):
            text = f"{row['label']} on {row['connector']} by {row['path']} of {row['run']}"
            self._world.break_("holds-end", f"the hold of {text} is over since {row['expires_at']}, and stays")

    def _waits_for_something(self, state: RunState) -> None:
        """Judge a run that people have left alone, and that nothing has happened to."""
        latest = self._world.clock.now() - timedelta(seconds=self._patience_s)
        times = [due_at for command in state.owed.values() if (due_at := getattr(command, "due_at", None)) is not None]
        if any(isinstance(command, TakeKey) for command in state.owed.values()):
            return  # it waits for another run, which is judged itself
        if not any(due_at > latest for due_at in times):
            owed = ", ".join(f"{type(command).__name__} {path}" for path, command in state.owed.items())
            todo = ", ".join(f"{todo} {path}" for todo, path in state.todo)
            what = f"it owes {owed or 'nothing'}, and has to decide {todo or 'nothing'}"
            self._world.break_("never-stuck", f"nothing happens to {state.run} ({state.status}) any more: {what}")

    def over(self) -> None:
        """Judge a world in which every run is over."""
        for run in self._world.ledger.runs:
            self._run_is_over(run)
        self._all_were_told()
        self._holds_are_taken_back()

    def _run_is_over(self, run: str) -> None:
        world, facts = self._world, self._world.ledger.runs[run]
        state = self.fold(run)
        left = [*state.owed, *(f"{todo} {path}" for todo, path in state.todo), *state.unknown, *facts.questions]
        if left:
            world.break_("finished-owes-nothing", f"{run} is over, and this is left: {', '.join(left)}")
        for intent in facts.unanswered.values():
            world.break_("intents-settle", f"{run}: the intent of {intent.path} was never answered")
        self._holds_are_settled(run)
        if facts.playbook != "main":
            return
        seen = {path: node.status.value for path, node in state.nodes.items()}
        if any(record.kind == "KeyRefused" and record.path == "" for record in world.disk.journal.read(run)):
            if seen or facts.finished != "failed":  # two began at one moment, and this one never had its turn
                world.break_("statuses-follow-the-language", f"{run} was refused its key, and did {sorted(seen)}")
            return
        errors = {path: node.error.kind for path, node in state.nodes.items() if node.error is not None}
        oracle = Oracle(world.written, seen, errors, world.schedule.calm)
        wrong = oracle.judge(facts.inputs["tag"], facts.finished)
        if facts.cancelled:
            wrong = _wrong_when_cancelled(seen, facts.finished)
        if wrong:
            world.break_("statuses-follow-the-language", f"{run}: " + "; ".join(wrong[:5]))
        else:
            self._approved_first(facts, oracle)

    def _holds_are_settled(self, run: str) -> None:
        query = "SELECT label, status, expires_at FROM holds WHERE run = ?"
        for row in self._world.disk.journal.query(query, (run,)):
            if row["status"] in ("opening", "unknown"):
                self._world.break_("holds-settle", f"{run} is over, and the hold of {row['label']} is {row['status']}")
            if row["status"] == "active" and row["expires_at"] is not None:
                self._world.break_("holds-end", f"the hold of {row['label']} by {run} is over, and is still there")

    def _holds_are_taken_back(self) -> None:
        """Judge what products show of targets whose holds have all ended."""
        kept: dict[tuple[str, str, str], set[str]] = {}
        for row in self._world.disk.journal.query("SELECT connector, target, action, status FROM holds"):
            kept.setdefault((row["connector"], row["target"], row["action"]), set()).add(row["status"])
        for (connector, target, action), statuses in kept.items():
            kind, normal = _NORMAL.get(action, ("", None))
            if kind and "released" in statuses and statuses <= {"released", "passed_on"}:
                name = target.rpartition(":")[2]
                shown = self._world.outside.state(connector, kind, name, normal)
                if shown != normal:
                    self._world.break_("holds-end", f"all holds of {target} on {connector} are over, and it is {shown}")

    def _approved_first(self, facts: RunFacts, oracle: Oracle) -> None:
        for path, approvals in oracle.covered.items():
            at = facts.intended_at.get(path)
            for approval in approvals if at is not None else ():
                assert at is not None
                if facts.allowed_at.get(approval, at) >= at:
                    self._world.break_("approved-before-change", f"{path} of {facts.run} came before {approval}")
            asked = [approval for approval in approvals if approval in facts.asked]
            for target in facts.intents[path].targets if asked and path in facts.intents else ():
                if target not in facts.shown:
                    self._world.break_("approved-before-change", f"{path} of {facts.run}: {target} was never shown")

    def _all_were_told(self) -> None:
        for key, (facts, path) in self._world.ledger.told.items():
            received = max((times for (told, _), times in self.effects.items() if told == key), default=0)
            if path in facts.succeeded and not received and key in self.requests:
                self._world.break_("told-at-least-once", f"{path} of {facts.run} succeeded, and nobody was told")
            if received > 1 and path in facts.succeeded and path not in facts.repeated:
                self._world.break_("told-at-least-once", f"{path} of {facts.run} was told twice and does not say so")


def _wrong_when_cancelled(seen: dict[str, str], ended: str) -> list[str]:
    """Return what is wrong with the statuses of a run that was cancelled: what began has ended, and the run says so."""
    wrong = [f"{path} is still {status}" for path, status in seen.items() if status in ("waiting", "running")]
    return wrong if ended == "cancelled" else [f"the run is {ended}, and should be cancelled", *wrong]


def _name_in(request: Request, identity: str) -> str:
    """Return the target of a request that the engine knows by this identity."""
    return next((name for name in request.targets if identity == name or identity.endswith(f":{name}")), identity)


def _detail(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "TargetsSettled":
            return "".join(f" {settled['target']} {settled['outcome']}" for settled in data["settled"])
        case "ActionFailed" | "StepFailed" | "ActionUnknown" | "DecisionFailed":
            return f" {data['error']!r:.200}"
        case "RetryScheduled":
            return f" due {data['due_at']}"
        case "RunFinished":
            return f" {data['status']}"
        case _:
            return ""
