"""Random playbooks that pass every check: the whole language, as far as the engine runs it.

A construct is added in one place: a method here that makes it, a line in `_LEAVES` or `_decorate`, and what it means in
the oracle.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dice import Dice
from written import Condition, Handler, Kind, Loop, Repeat, Written, WrittenStep

__all__ = ["CONSTRUCTS", "PlaybookMaker"]

# What a seed may leave out. Playbooks that lack most of the language find what others drown out.
CONSTRUCTS = (
    "blocks",
    "parallel",
    "loops",
    "when",
    "on_error",
    "on_failure",
    "finally",
    "retry",
    "timeout",
    "needs",
    "notify",
    "hosts",
    "users",
    "indicators",
    "vault",
    "sub-playbooks",
    "set",
    "stop",
    "vars",
    "failing",
    "approve",
    "ask",
    "wait",
    "while",
    "hold",
    "release",
    "undo",
    "run timeout",
    "concurrency",
)


@dataclass
class _Place:
    """Where a list of steps stands: what its steps may read, and which items its calls are about."""

    depth: int
    visible: tuple[str, ...] = ()  # steps that have surely ended
    items: tuple[tuple[str, bool], ...] = ()  # names of loops around, and whether their items are batches
    handler: bool = False
    ordered: bool = False  # one after the other, so that a `stop` has one meaning
    may_stop: bool = False


@dataclass
class PlaybookMaker:
    """Makes playbooks from dice. `without` names constructs that are left out."""

    dice: Dice
    without: frozenset[str] = frozenset()
    most_steps: int = 12
    used: Counter[str] = field(default_factory=Counter)
    _count: int = 0
    _left: int = 0
    _called: list[Written] = field(default_factory=list)

    def make(self) -> list[Written]:
        """Return the main playbook and those it calls."""
        if self._has("sub-playbooks"):
            for number in range(self.dice.below(3)):
                self._called.append(self._playbook(f"sub-{number + 1}", self.dice.between(1, 4)))
        main = self._playbook("main", self.dice.between(1, self.most_steps))
        return [main, *self._called]

    def _playbook(self, name: str, steps: int) -> Written:
        self.used = Counter()
        self._left = steps
        place = _Place(2, ordered=self._has("stop") and self.dice.chance(15), may_stop=True)
        made = Written(name, self._list("steps", place, most=5))
        if self._has("on_failure") and self.dice.chance(40):
            made.on_failure = self._note("on_failure", self._list("on_failure", _Place(1), most=2))
        if self._has("finally") and self.dice.chance(40):
            made.finally_ = self._note("finally", self._list("finally", _Place(1), most=2))
        if self._has("vars") and self.dice.chance(25):
            made.vars_fail = self._has("failing") and self.dice.chance(15)
            self.used["vars"] += 1
        ids = [step.id for step in made.steps if step.id is not None]
        if ids and self.dice.chance(50):
            made.outputs = {"gives": f"{{{{ steps.{self.dice.pick(ids)} | default('-') }}}}"}
            self.used["outputs"] += 1
        self._limit_run(made)
        made.used = self.used
        return made

    def _limit_run(self, made: Written) -> None:
        if made.id == "main" and self._has("run timeout") and self.dice.chance(10):
            made.more["timeout"] = self.dice.pick(["1h", "2m", "20s"])
            self.used["timeout of the run"] += 1
        if self._has("concurrency") and self.dice.chance(20):
            # A key of its own for each run is never taken; one for all is.
            key = self.dice.pick(["all", "all", "{{ inputs.tag }}"])
            on_conflict = self.dice.pick(["queue", "queue", "reject", "join"])
            made.more["concurrency"] = {"key": key, "on_conflict": on_conflict}
            made.refuses_second = on_conflict == "reject"
            self.used[f"concurrency: {on_conflict}"] += 1

    # --- lists ------------------------------------------------------------------------------------------------

    def _list(self, name: str, place: _Place, most: int) -> list[WrittenStep]:
        steps: list[WrittenStep] = []
        ended: dict[str, frozenset[str]] = {}
        wanted = self.dice.between(1, most)
        while len(steps) < wanted and (self._left > 0 or not steps):
            here = self._reading(place, steps, ended, parallel=name == "parallel")
            made = self._stop(here) if self._stops(place, steps) else self._unit(here)
            for step in made:
                reads = step is not made[0] or _reads(made, here.visible)
                self._place_in(name, place, steps, step, with_last=step is not made[0], reads=reads)
                ended[step.key] = self._ended_before(step, steps, ended)
                steps.append(step)
        self._choose_covered(steps)
        return steps

    def _choose_covered(self, steps: list[WrittenStep]) -> None:
        """Let some approvals name what they cover, instead of covering all that comes after them."""
        for at, step in enumerate(steps):
            later = [other.key for other in steps[at + 1 :] if other.id is not None]
            if step.kind == "approve" and later and self.dice.chance(30):
                step.covers = tuple(self.dice.some(later, len(later))) or (later[0],)
                self.used["covers"] += 1

    def _reading(
        self, place: _Place, steps: list[WrittenStep], ended: dict[str, frozenset[str]], *, parallel: bool
    ) -> _Place:
        """Return the place of the next step of a list that waits for what it waits for by default."""
        visible = place.visible
        if steps and not parallel:
            last = steps[-1]
            ids = ended[last.key] | ({last.id} if last.id is not None else set())
            visible += tuple(step.id for step in steps if step.id in ids and step.id is not None)
        return replace(place, visible=visible)

    def _ended_before(
        self, step: WrittenStep, steps: list[WrittenStep], ended: dict[str, frozenset[str]]
    ) -> frozenset[str]:
        found: set[str] = set()
        for other in steps:
            if other.key in step.after:
                found |= ended[other.key] | ({other.id} if other.id is not None else set())
        return frozenset(found)

    def _place_in(
        self, name: str, place: _Place, steps: list[WrittenStep], step: WrittenStep, *, with_last: bool, reads: bool
    ) -> None:
        """Give a step its key, and say what it waits for. One that reads others keeps its place after them."""
        if step.id is None:
            step.key = f"{name}[{len(steps)}]"
        last = (steps[-1].key,) if steps else ()
        step.after = () if name == "parallel" else last
        named = [other.id for other in steps if other.id is not None]
        if with_last and name == "parallel":
            step.needs, step.after = list(last), last
        elif self._has("needs") and not place.ordered and steps and not reads and self.dice.chance(25):
            step.needs = self.dice.some(named, 2)
            step.after = tuple(step.needs)
            self.used["needs"] += 1

    def _stops(self, place: _Place, steps: list[WrittenStep]) -> bool:
        return place.ordered and place.may_stop and bool(steps) and self.dice.chance(25)

    # --- units: one step, or several that belong together ------------------------------------------------------

    def _unit(self, place: _Place) -> list[WrittenStep]:
        if place.depth > 0 and self._left > 1 and self.dice.chance(40):
            kinds: list[Kind] = [kind for kind, name in _BLOCKS if self._has(name)]
            if kinds:
                return [self._decorate(self._block(self.dice.pick(kinds), place), place)]
        self._left -= 1
        leaves = {make: weight for name, make, weight in _LEAVES if self._has(name)}
        return self.dice.weighted(leaves)(self, place)

    def _block(self, kind: Kind, place: _Place) -> WrittenStep:
        step = self._step(kind, "parallel" if kind == "parallel" else "nested block")
        loop, repeats = None, False
        if not (place.ordered and place.may_stop) and self.dice.chance(45):
            repeats = self._has("while") and self.dice.chance(25)
            loop = self._loop(place) if self._has("loops") and not repeats else None
        inside = self._inside(place, loop)
        inside.may_stop = place.may_stop and kind == "steps" and loop is None and not repeats
        step.loop = loop
        step.children = self._list(kind, inside, most=3)
        if repeats:
            step.repeat = self._repeated(step)
        return step

    def _repeated(self, step: WrittenStep) -> Repeat:
        kinds = {"false": 2, "true": 1, **({"error": 1} if self._has("failing") else {})}
        inner = [child.id for child in step.children if child.id is not None]
        if inner:
            kinds["status"] = 4
        kind = self.dice.weighted(kinds)
        self.used[f"while: {kind}"] += 1
        return Repeat(self._condition_of(kind, tuple(inner)), self.dice.between(1, 3))

    def _inside(self, place: _Place, loop: Loop | None) -> _Place:
        around = () if loop is None else ((loop.name, loop.batch is not None),)
        return replace(place, items=(*place.items, *around), depth=place.depth - 1)

    def _loop(self, place: _Place) -> Loop:
        self._count += 1
        bad = self._has("failing") and self.dice.chance(40)
        items = [f"{letter}{'-bad' if bad and self.dice.chance(40) else ''}" for letter in "abcde"]
        most = {2: 4, 1: 2, 0: 1} if place.items else {2: 4, 1: 2, 3: 3, 5: 1, 0: 1}
        loop = Loop(f"i{self._count}", items[: self.dice.weighted(most)])
        self.used["for_each"] += 1
        if self._has("failing") and self.dice.chance(6):
            loop.wrong = self.dice.pick(["no list", "doubles"] if loop.items else ["no list"])
            self.used[f"for_each: {loop.wrong}"] += 1
        self._limits(loop)
        return loop

    def _limits(self, loop: Loop) -> None:
        if self.dice.chance(50):
            loop.concurrency = self.dice.between(1, 3)
            self.used["concurrency of a loop"] += 1
        if self.dice.chance(20):
            loop.batch = self.dice.between(1, 3)
            self.used["batch"] += 1
        if self.dice.chance(40):
            loop.max_failures = self.dice.pick([1, 2, "50%", "34%", "100%"])
            self.used["max_failures"] += 1
        if self.dice.chance(20):
            loop.stop_after = self.dice.between(1, 2)
            self.used["stop_after"] += 1

    # --- leaves -----------------------------------------------------------------------------------------------

    def _step(self, kind: Kind, use: str, *, named: bool | None = None) -> WrittenStep:
        self._count += 1
        self.used[use] += 1
        name = f"s{self._count}"
        if named is None:
            named = not self.dice.chance(10)
        return WrittenStep(kind, name, name if named else None)

    def _about(self, step: WrittenStep, place: _Place, further: str = "") -> str:
        """Return a template of something that no other step is about, and note it."""
        refused = self._has("failing") and self.dice.chance(6)
        name = f"{step.key}{further}{'-bad' if refused else ''}"
        step.names = (*step.names, name)
        return name + "".join(f"-{{{{ {_item(*each)} }}}}" for each in place.items) + "-{{ inputs.tag }}"

    def _find(self, place: _Place, action: str, use: str) -> WrittenStep:
        step = self._step("read", use, named=True)
        step.body = {"action": action, "with": {"name": self._about(step, place)}}
        self._add_retry(step)
        return step

    def _alone(self, place: _Place) -> list[WrittenStep]:
        """Read something that nobody uses further."""
        return [self._decorate(self._find(place, self.dice.pick(["edr.get_host", "identity.get_user"]), "read"), place)]

    def _host(self, place: _Place) -> list[WrittenStep]:
        find = self._find(place, "edr.get_host", "read")
        step = self._step("change", "change of a host", named=True)
        step.names = find.names
        step.body = {"action": "edr.isolate_host", "with": {"host": f"{{{{ steps.{find.id} }}}}", "reason": "sim"}}
        self._add_hold(step)
        return self._pair(find, step, place, "edr.release_host")

    def _user(self, place: _Place) -> list[WrittenStep]:
        find = self._find(place, "identity.get_user", "read")
        step = self._step("change", "change of a user", named=True)
        step.names = find.names
        action = self.dice.pick(["identity.disable_user", "identity.revoke_sessions"])
        step.body = {"action": action, "with": {"user": f"{{{{ steps.{find.id} }}}}", "reason": "sim"}}
        if action == "identity.disable_user":
            self._add_hold(step)
        return self._pair(find, step, place, "identity.enable_user")

    def _pair(self, find: WrittenStep, step: WrittenStep, place: _Place, inverse: str) -> list[WrittenStep]:
        """Return a read with the change of what it found; sometimes the change is made twice, or taken back."""
        self._add_retry(step)
        steps = [find, step]
        if self._has("release") and self.dice.chance(15):
            steps.append(self._release(f"steps.{find.id}"))
        elif self.dice.chance(20):
            again = self._step("change", "change of the same again")
            action = self.dice.pick([step.body["action"], inverse])
            again.names = find.names
            again.body = {"action": action, "with": dict(step.body["with"])}
            steps.append(again)
        else:
            self._decorate(step, place, reads=True)
        return steps

    def _indicators(self, place: _Place) -> list[WrittenStep]:
        step = self._step("change", "change of a batch")
        wanted = self.dice.weighted({1: 3, 2: 2, 3: 1})
        # Only one of the firewalls takes addresses of pages.
        kinds = [self.dice.pick(["domain", "domain", "url"]) for _ in range(wanted)]
        named = [(kind, self._about(step, place, f".{at}")) for at, kind in enumerate(kinds)]
        listed = [
            {"kind": kind, "value": f"https://pages.example/{name}" if kind == "url" else f"{name}.example"}
            for kind, name in named
        ]
        step.body = {"action": "firewall.block_indicators", "with": {"indicators": listed, "reason": "sim"}}
        step.instances = ("fw_eu", "fw_us") if "domain" in kinds else ("fw_eu",)
        step.names_at["fw_us"] = tuple(name for name, kind in zip(step.names, kinds, strict=True) if kind == "domain")
        if "domain" in kinds and self.dice.chance(25):
            step.body["at"] = "'fw_eu'"
            step.instances = ("fw_eu",)
            self.used["at"] += 1
        self._add_hold(step)
        self._add_retry(step)
        return [self._decorate(step, place)]

    def _vault(self, place: _Place) -> list[WrittenStep]:
        verb, use = self.dice.pick(_VAULT)
        step = self._step("change", use)
        step.body = {"action": f"vault.{verb}", "with": {"name": self._about(step, place)}}
        step.instances = ("vault",)
        self._add_retry(step)
        if verb != "put_tag":
            return [self._decorate(step, place)]
        self._add_hold(step)
        self._add_undo(step)
        name = step.body["with"]["name"]
        if self._has("release") and not place.items and "{{" in name and self.dice.chance(15):
            fixed = name.removesuffix("{{ inputs.tag }}")
            step.id = step.key
            return [step, self._release(f"'{fixed}' ~ inputs.tag")]
        return [self._decorate(step, place)]

    def _release(self, targets: str) -> WrittenStep:
        step = self._step("release", "release")
        step.body = {"release": targets}
        return step

    def _approve(self, place: _Place) -> list[WrittenStep]:
        step = self._step("approve", "approve")
        by = self.dice.pick([["role:lead"], ["kei"], ["role:analyst", "sho"]])
        step.body = {"approve": f"{step.key} of {{{{ inputs.tag }}}}?", "by": by, "within": self._within()}
        if by != ["kei"] and self.dice.chance(25):
            step.body["quorum"] = 2
            self.used["quorum"] += 1
        if self.dice.chance(30):
            step.body["escalate"] = {"to": ["role:boss"], "within": self._within()}
            self.used["escalate"] += 1
        return [self._decorate(step, place)]

    def _ask(self, place: _Place) -> list[WrittenStep]:
        step = self._step("ask", "ask")
        form = {"note": {"type": "string"}, "count": {"type": "integer", "default": 1}}
        step.body = {"ask": "What is it?", "form": form, "by": ["role:analyst"], "within": self._within()}
        return [self._decorate(step, place)]

    def _within(self) -> str:
        return self.dice.pick(["1h", "5m", "8h", "1d"])

    def _wait(self, place: _Place) -> list[WrittenStep]:
        step = self._step("wait", "wait")
        step.waits = self.dice.pick(["time", "read", "signal"])
        self.used[f"wait: {step.waits}"] += 1
        most = self.dice.pick(["10m", "1h", "3h"])
        if step.waits == "time":
            step.body = {"wait": self.dice.pick(["1s", "90s", "2h", "{{ 5 + inputs.zero }}m"])}
        elif step.waits == "read":
            name = {"name": self._about(step, place)}
            look = {"action": "vault.probe_of", "with": name, "until": "result.ready", "every": "30s", "at_most": most}
            step.body = {"wait": look}
        else:
            event = self.dice.pick(["ping", "pong"])
            step.body = {"wait": {"event": event, "at_most": most}}
            if self.dice.chance(60):
                step.body["wait"]["when"] = "event.good"
        return [self._decorate(step, place)]

    def _tell(self, place: _Place) -> list[WrittenStep]:
        step = self._step("notify", "notification")
        text = self._about(step, place)
        if place.visible and self.dice.chance(30):
            text += f" {{{{ steps.{self.dice.pick(place.visible)} | default('-') | tojson }}}}"
            self.used["reading a step"] += 1
        if place.handler:
            text += " {{ error.kind }}"
        if self.dice.chance(50):
            step.body = {"action": "messaging.post", "with": {"channel": "#c", "text": text}}
            step.instances = ("chat",)
        else:
            step.body = {"action": "ticketing.create", "with": {"title": text}}
            step.instances = ("desk",)
        self._add_retry(step)
        return [self._decorate(step, place)]

    def _set(self, place: _Place) -> list[WrittenStep]:
        step = self._step("set", "set")
        step.refuses = self._has("failing") and self.dice.chance(15)
        values = ["1 + 1", "run.id", "now"]
        if place.visible:
            name = self.dice.pick(place.visible)
            values += [f"status.{name}", f"steps.{name} | default('-')", f"errors.{name}"]
        step.body = {"set": {f"v{step.key}": "1 / inputs.zero" if step.refuses else self.dice.pick(values)}}
        return [self._decorate(step, place)]

    def _run(self, place: _Place) -> list[WrittenStep]:
        if not self._called or self.used["sub-playbook"] >= 3:
            return self._set(place)
        step = self._step("playbook", "sub-playbook")
        called = self.dice.pick(self._called)
        step.calls = called.id
        step.body = {"playbook": called.id, "with": {"tag": self._about(step, place)}}
        return [self._decorate(step, place)]

    def _stop(self, place: _Place) -> list[WrittenStep]:
        step = self._step("stop", "stop")
        step.stops = self.dice.pick(["succeeded", "failed"])
        step.body = {"stop": {"status": step.stops, "message": "enough"}}
        if self._has("when") and self.dice.chance(50):
            step.when = self._condition(place)
        return [step]

    # --- what any step may have -------------------------------------------------------------------------------

    def _decorate(self, step: WrittenStep, place: _Place, *, reads: bool = False) -> WrittenStep:
        """Add what a step may have besides what it does. With `reads` it reads the step before it."""
        if self._has("when") and self.dice.chance(20):
            step.when = self._condition(place)
        if self._has("on_error") and place.depth > 0 and self.dice.chance(25):
            step.on_error = self._handler(place)
        if step.kind in ("read", "change", "notify", "playbook") and not reads:
            self._repeat(step, place)
        return step

    def _repeat(self, step: WrittenStep, place: _Place) -> None:
        """Put a loop around a single step: what it is about then has the item in its name, too."""
        if not self._has("loops") or (place.ordered and place.may_stop) or not self.dice.chance(12):
            return
        step.loop = self._loop(place)
        self.used["for_each on one step"] += 1
        _put_in(step, f"-{{{{ {_item(step.loop.name, step.loop.batch is not None)} }}}}")

    def _condition(self, place: _Place) -> Condition:
        kinds = {"true": 3, "false": 2}
        if self._has("failing"):
            kinds["error"] = 1
        if place.visible:
            kinds["status"] = 3
        kind = self.dice.weighted(kinds)
        self.used[f"when: {kind}"] += 1
        return self._condition_of(kind, place.visible)

    def _condition_of(self, kind: str, names: tuple[str, ...]) -> Condition:
        if kind == "status":
            name, status = self.dice.pick(names), self.dice.pick(["succeeded", "failed", "skipped"])
            return Condition(f"status.{name} == '{status}'", step=(name, status))
        if kind == "error":
            return Condition("1 / inputs.zero > 1")
        return Condition("inputs.zero == 0" if kind == "true" else "inputs.zero > 0", answer=kind == "true")

    def _handler(self, place: _Place) -> Handler:
        how = self.dice.pick(["continue", "steps", "steps, then continue"])
        self.used[f"on_error: {how}"] += 1
        if how == "continue":
            return Handler(None, then_continue=True)
        inside = _Place(0, place.visible, place.items, handler=True)
        return Handler(self._list("on_error", inside, most=2), then_continue=how != "steps")

    def _add_retry(self, step: WrittenStep) -> None:
        if self._has("retry") and self.dice.chance(30):
            step.body["retry"] = {
                "attempts": self.dice.between(1, 4),
                "wait": self.dice.pick(["1s", "250ms", "20s", "5m"]),
                "factor": self.dice.pick([1, 2]),
            }
            self.used["retry"] += 1
        if self._has("timeout") and self.dice.chance(15):
            step.body["timeout"] = self.dice.pick(["25s", "40s"])
            self.used["timeout of an attempt"] += 1

    def _add_hold(self, step: WrittenStep) -> None:
        if self._has("hold") and self.dice.chance(25):
            step.body["hold"] = self.dice.pick(["10m", "1h", "20s", "1d"])
            self.used["hold"] += 1

    def _add_undo(self, step: WrittenStep) -> None:
        if self._has("undo") and self.dice.chance(25):
            own = {"action": "vault.drop_tag", "with": {"name": step.body["with"]["name"]}}
            step.body["undo"] = own if "hold" in step.body else self.dice.pick(["none", own])
            self.used["undo"] += 1

    def _has(self, construct: str) -> bool:
        return construct not in self.without

    def _note(self, use: str, steps: list[WrittenStep]) -> list[WrittenStep]:
        self.used[use] += 1
        return steps


_VAULT = (
    ("put_tag", "change: verifiable"),
    ("label", "change: idempotent"),
    ("wipe", "change: manual"),
    ("rotate", "change: without an inverse"),
)
_BLOCKS: tuple[tuple[Kind, str], ...] = (("steps", "blocks"), ("parallel", "parallel"))
_LEAVES: tuple[tuple[str, Callable[[PlaybookMaker, _Place], list[WrittenStep]], int], ...] = (
    ("read", PlaybookMaker._alone, 2),
    ("hosts", PlaybookMaker._host, 4),
    ("users", PlaybookMaker._user, 3),
    ("indicators", PlaybookMaker._indicators, 3),
    ("vault", PlaybookMaker._vault, 5),
    ("notify", PlaybookMaker._tell, 3),
    ("set", PlaybookMaker._set, 2),
    ("sub-playbooks", PlaybookMaker._run, 2),
    ("approve", PlaybookMaker._approve, 2),
    ("ask", PlaybookMaker._ask, 1),
    ("wait", PlaybookMaker._wait, 2),
)


def _item(name: str, batch: bool) -> str:
    return f"{name} | join('.')" if batch else name


def _reads(steps: list[WrittenStep], names: tuple[str, ...]) -> bool:
    """Say whether these steps name one of the others."""
    text = repr([step.data() for step in steps])
    return any(name in names for name in re.findall(r"(?:steps|status|errors)\.(s\d+)", text))


def _put_in(step: WrittenStep, further: str) -> None:
    """Let what a step is about depend on its item."""
    end = "-{{ inputs.tag }}"

    def changed(value: object) -> object:
        if isinstance(value, str):
            return value.replace(end, further + end)
        if isinstance(value, list):
            return [changed(entry) for entry in value]
        if isinstance(value, dict):
            return {name: changed(entry) for name, entry in value.items()}
        return value

    step.body = {name: changed(value) if name in ("with", "undo") else value for name, value in step.body.items()}
