"""Properties of every run: random playbooks, random answers, in a random order."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hikeshi.core import RunState, StartAction, StepStatus, decide, decode_event, encode_event, evolve, outstanding
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.core.program import Program, pin_routes
from hikeshi.core.state import Frame, ListRun, Node
from hikeshi.journal import decode_record, encode_record
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import FakeWorld
from hikeshi.testing.run_harness import RunHarness, make_program

Step = dict[str, Any]

INNER = json.dumps(
    {
        "id": "inner",
        "inputs": {"n": {"type": "integer", "default": 1}},
        "steps": [
            {"id": "a", "action": "edr.find_hosts", "with": {"name": "{{ inputs.n ~ '' }}"}},
            {"id": "b", "when": "inputs.n > 0", "set": {"x": "inputs.n"}},
        ],
        "finally": [{"id": "z", "set": {"done": "status.a"}}],
        "outputs": {"n": "{{ inputs.n }}"},
    }
)


@st.composite
def playbooks(draw: st.DrawFn) -> str:
    """Give the text of a playbook: blocks, loops, handlers, conditions, all kinds of actions, `stop`, two playbooks."""
    counter = [0]

    def name() -> str:
        counter[0] += 1
        return f"s{counter[0]}"

    def leaf() -> Step:
        kind = draw(st.sampled_from(["set", "bad", "read", "change", "notify", "playbook"]))
        made: Step = {"id": name()}
        match kind:
            case "set":
                made["set"] = {f"v{counter[0]}": "1 + 1"}
            case "bad":
                made["set"] = {f"v{counter[0]}": "1 / 0"}
            case "read":
                made |= {"action": "edr.find_hosts", "with": {"name": "pc1"}}
            case "change":
                host = {"connector": "fake", "id": f"h{draw(st.integers(1, 2))}", "name": "h"}
                made |= {"action": "edr.isolate_host", "with": {"host": host, "reason": "r"}}
            case "notify":
                made |= {"action": "messaging.post", "with": {"channel": "c", "text": "x"}}
            case _:
                made |= {"playbook": "inner", "with": {"n": draw(st.integers(0, 2))}}
        return made

    def step(depth: int) -> Step:
        made = leaf() if depth == 0 or draw(st.booleans()) else block(depth)
        if draw(st.integers(0, 3)) == 0:
            made["when"] = draw(st.sampled_from(["true", "false", "1 > 2", "1 / 0 > 1"]))
        handler = draw(st.integers(0, 7))
        if handler == 0:
            made["on_error"] = "continue"
        elif handler == 1:
            made["on_error"] = steps(0, most=2)
        elif handler == 2:
            made["on_error"] = {"steps": steps(0, most=2), "then": "continue"}
        if ("action" in made or "playbook" in made or "steps" in made) and draw(st.integers(0, 4)) == 0:
            made["for_each"] = draw(st.sampled_from(["[]", "[1]", "[1, 2, 3]", "'none'", "[1, 1]"]))
            made["concurrency"] = draw(st.integers(1, 3))
            made["max_failures"] = draw(st.integers(0, 2))
        return made

    def block(depth: int) -> Step:
        kind = draw(st.sampled_from(["steps", "parallel"]))
        return {"id": name(), kind: steps(depth - 1, most=3, needs=kind == "steps")}

    def steps(depth: int, *, most: int = 4, needs: bool = False) -> list[Step]:
        made: list[Step] = []
        for _ in range(draw(st.integers(1, most))):
            made.append(step(depth))
            if needs and len(made) > 1 and draw(st.integers(0, 3)) == 0:
                made[-1]["needs"] = draw(st.lists(st.sampled_from([s["id"] for s in made[:-1]]), unique=True))
        return made

    whole: dict[str, Any] = {"id": "t", "steps": steps(2, needs=True)}
    if draw(st.booleans()):
        whole["vars"] = {"first": draw(st.sampled_from(["one", "{{ 1 + 1 }}", "{{ 1 / 0 }}"]))}
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(whole["steps"])))
        whole["steps"].insert(at, {"id": name(), "stop": {"status": draw(st.sampled_from(["succeeded", "failed"]))}})
    if draw(st.booleans()):
        whole["on_failure"] = steps(1, most=2)
    if draw(st.booleans()):
        whole["finally"] = steps(1, most=2)
    if draw(st.booleans()):
        whole["outputs"] = {"o": "{{ steps." + whole["steps"][0]["id"] + " | default('-') }}"}
    return json.dumps(whole)


_OWN = (Node, ListRun, Frame, RunState)
Picture = list[tuple[str, dict[str, Any]]]


def picture(state: RunState) -> Picture:
    """Return everything in a state as plain data, in which a reference is the number of what it leads to.

    Only what is worked out when somebody asks is left out: the outputs of what holds others, and new commands.
    """
    seen: dict[int, int] = {}
    flat: Picture = []

    def look(value: Any) -> Any:
        if isinstance(value, _OWN):
            if id(value) not in seen:
                seen[id(value)] = at = len(flat)
                flat.append(("", {}))
                names = [f.name for f in fields(value) if f.name not in _worked_out(value)]
                flat[at] = (type(value).__name__, {name: look(getattr(value, name)) for name in names})
            return ("ref", seen[id(value)])
        if isinstance(value, Mapping):
            return [(look(key), look(entry)) for key, entry in value.items()]
        if isinstance(value, (list, tuple, deque)):
            return [look(entry) for entry in value]
        if isinstance(value, set):
            return sorted(value)
        if is_dataclass(value) and type(value).__module__ in ("hikeshi.playbook.model", "hikeshi.core.program"):
            return ("same", repr(value)) if type(value).__name__ == "Routing" else ("same", id(value))
        return value

    look(state)
    return flat


def _worked_out(value: Any) -> tuple[str, ...]:
    if isinstance(value, RunState):
        return ("fresh",)
    holds = isinstance(value, Node) and (value.is_loop or value.parts or value.children is not None)
    return ("output",) if holds else ()


def differences(one: Picture, other: Picture) -> list[str]:
    """Return where two pictures differ, shortly."""
    found = [] if len(one) == len(other) else [f"{len(one)} parts and {len(other)} parts"]
    for (kind, left), (_, right) in zip(one, other, strict=False):
        for name in left:
            if left[name] != right.get(name):
                found.append(f"{kind} {left.get('path', '')}.{name}: {left[name]!r:.200} and {right.get(name)!r:.200}")
    return found[:5]


CATALOGUE = RunHarness(FakeWorld()).catalogue()
ANSWERS = ("ok", "ok", "ok", "busy", "refused", "unknown")


class Pure:
    """Drives the core by hand: no clock, no tasks, no connectors; every event goes through stored bytes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.state = RunState("r", program)
        self.stored: list[bytes] = []

    def tell(self, *events: Event) -> None:
        for event in events:
            seq = self.state.seq + 1
            at = START + timedelta(seconds=seq)
            encoded = encode_record(
                run="r", seq=seq, at=at, kind=type(event).__name__, path=event.path, data=encode_event(event)
            )
            self.stored.append(encoded)
            _fold(self.state, encoded)

    def decide_all(self) -> None:
        while decisions := decide(self.state):
            self.tell(*decisions)

    def answer(self, path: str, how: str) -> None:
        """Let one owed command end."""
        command = self.state.owed[path]
        if not isinstance(command, StartAction):
            self.tell(ev.TimerFired(path))
            return
        effect = self.state.routes[command.action].effect
        if effect != "read" and command.intent is None:
            self.tell(ev.ActionIntended(path, command.attempt, command.action, "fake", "k", []))
        match how:
            case "ok":
                self.tell(ev.ActionSucceeded(path, command.attempt, {"any": "output"}))
            case "unknown" if effect == "change":
                self.tell(ev.ActionUnknown(path, command.attempt, ErrorRecord("outcome_unknown", "?", "maybe")))
            case _:
                kind = "unavailable" if how == "busy" else "forbidden"
                self.tell(ev.ActionFailed(path, command.attempt, ErrorRecord(kind, "no")))

    def finish(self, draw: Any) -> None:
        """Answer what is owed, in any order and way, until the run is over; people resolve what is unknown."""
        self.decide_all()
        while self.state.finished is None:
            choices = [*self.state.owed, *sorted(self.state.unknown)]
            assert choices, "the run waits for nothing and is not over"
            path = draw(st.sampled_from(choices))
            if path in self.state.owed:
                self.answer(path, draw(st.sampled_from(ANSWERS)))
            else:
                self.tell(ev.StepResolved(path, draw(st.booleans()), "kei", None))
            self.decide_all()


def _fold(state: RunState, encoded: bytes) -> None:
    record = decode_record(encoded)
    evolve(state, decode_event(record.kind, record.path, record.data), record.seq, record.at)


def begin(text: str, mode: Any = "live") -> Pure:
    program = make_program(text, INNER)
    run = Pure(program)
    routes = {action: routing.to_json() for action, routing in pin_routes(program, CATALOGUE).items()}
    run.tell(ev.RunStarted("", "t", {}, {}, {}, "kei", mode, routes, "1", "o"))
    return run


def folded(run: Pure, up_to: int | None = None) -> RunState:
    state = RunState("r", run.program)
    for encoded in run.stored[:up_to]:
        _fold(state, encoded)
    return state


few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(playbooks(), st.data())
def test_a_run_ends_and_its_journal_folds_to_the_state_in_memory(text: str, data: st.DataObject) -> None:
    """Whatever happens, the run finishes; nothing is cancelled; and the whole structure is in the journal."""
    run = begin(text)
    run.finish(data.draw)
    assert run.state.owed == {}
    assert run.state.todo == {}
    assert run.state.unknown == set()
    assert not run.state.settling
    statuses = {node.status for node in run.state.nodes.values()}
    assert not statuses & {StepStatus.CANCELLED, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.UNKNOWN}
    again = folded(run)
    assert differences(picture(again), picture(run.state)) == []
    assert (run.state.finished == "failed") == bool(
        run.state.failures or run.state.error or (run.state.root is not None and run.state.root.failed)
    )


@few
@given(playbooks(), st.data())
def test_any_prefix_of_a_journal_can_be_gone_on_with(text: str, data: st.DataObject) -> None:
    """A process that died at any record is followed by one that brings the run to its end."""
    run = begin(text)
    run.finish(data.draw)
    cut = data.draw(st.integers(1, len(run.stored)))
    other = Pure(run.program)
    other.stored = run.stored[:cut]
    other.state = folded(run, cut)
    other.tell(ev.RunTakenOver("", "o2"))
    other.finish(data.draw)
    assert other.state.finished is not None
    rebuilt = folded(other)
    assert differences(picture(rebuilt), picture(other.state)) == []


@few
@given(playbooks(), st.data())
def test_deciding_changes_nothing_and_comes_to_the_same_each_time(text: str, data: st.DataObject) -> None:
    """`decide` is a question: asked twice it answers the same, and after its answers are folded, nothing."""
    run = begin(text)
    steps = 0
    while run.state.finished is None and steps < 30:
        steps += 1
        before = picture(run.state)
        first = decide(run.state)
        assert decide(run.state) == first
        assert differences(picture(run.state), before) == []
        run.decide_all()
        assert decide(run.state) == []
        if run.state.owed:
            run.answer(data.draw(st.sampled_from(list(run.state.owed))), data.draw(st.sampled_from(ANSWERS)))
        else:
            break


@few
@given(playbooks(), st.data())
def test_what_is_outstanding_is_what_was_owed_and_not_yet_answered(text: str, data: st.DataObject) -> None:
    """A restart owes exactly the commands that had no answer, with the intents that were recorded."""
    run = begin(text)
    run.decide_all()
    for _ in range(5):
        if not run.state.owed:
            break
        path = data.draw(st.sampled_from(list(run.state.owed)))
        command = run.state.owed[path]
        if isinstance(command, StartAction) and command.intent is None and data.draw(st.booleans()):
            run.tell(ev.ActionIntended(path, command.attempt, command.action, "fake", "k", [{"identity": "i"}]))
        else:
            run.answer(path, "ok")
        run.decide_all()
    assert outstanding(folded(run)) == outstanding(run.state)


@few
@given(playbooks(), st.data())
def test_a_failure_blocks_only_what_needs_it(text: str, data: st.DataObject) -> None:
    """A step is blocked if and only if something it needs has failed or is blocked and was not continued."""
    run = begin(text)
    run.finish(data.draw)
    for node in run.state.nodes.values():
        if node.siblings is None:
            continue
        needed = [node.siblings.nodes[key] for key in node.step.after]
        assert (node.status is StepStatus.BLOCKED) == any(other.blocks for other in needed)
        for other in needed:
            assert not other.blocks or other.status in (StepStatus.FAILED, StepStatus.BLOCKED)


@few
@given(playbooks())
def test_a_plan_of_any_playbook_ends(text: str) -> None:
    """Every action answered as planned: the plan comes to its end and asks nobody."""
    run = begin(text, "plan")
    run.decide_all()
    while run.state.finished is None:
        path = next(iter(run.state.owed))
        command = run.state.owed[path]
        assert isinstance(command, StartAction)
        run.tell(ev.ActionPlanned(path, command.action, "change", "fake", None, [], True, [], None))
        run.decide_all()
    again = folded(run)
    assert differences(picture(again), picture(run.state)) == []
