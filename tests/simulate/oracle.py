"""What the language says must become of every step: an interpreter of forty rules that shares nothing with the engine.

It is told how the calls to products ended, since that is theirs to decide, and works out everything else: what runs,
what is skipped, what is blocked, which handlers run, and how the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from written import Loop, Written, WrittenStep

__all__ = ["Oracle"]

Status = str
_AFTER = ("on_error", "on_failure", "finally")
_ENDED_BADLY = ("failed", "blocked")


@dataclass
class _Frame:
    """One playbook under way."""

    written: Written
    path: str
    tag: str
    stopped: Literal["", "succeeded", "failed"] = ""
    ended: dict[str, Status] = field(default_factory=dict)  # by step ID, the innermost item's


@dataclass
class _Around:
    """What a list is inside of."""

    prefix: str
    role: str
    items: dict[str, Any]
    after: bool  # a `stop` does not keep it from starting


@dataclass
class _End:
    """How a step or a list ended: whether it counts as failed, and whether what needs it is blocked."""

    status: Status
    blocks: bool = False


@dataclass
class Oracle:
    """Works out one run. `seen` maps the path of each step that the engine knows to its status.

    With `calls_work` no product had any trouble, so even the end of each call is known.
    """

    playbooks: Mapping[str, Written]
    seen: Mapping[str, Status]
    calls_work: bool
    wrong: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _failed: bool = False

    def judge(self, tag: str, ended: Status) -> list[str]:
        """Return what is wrong with the statuses of a run that began with this tag and ended so."""
        end = self._playbook(self.playbooks["main"], "", tag)
        expected = "failed" if self._failed or end.status == "failed" else "succeeded"
        if ended != expected:
            self.wrong.append(f"the run is {ended}, and should be {expected}")
        self.wrong += [f"{path} is {self.seen[path]}, and should not exist" for path in sorted(self._strangers())]
        return self.wrong

    def _strangers(self) -> Iterable[str]:
        return set(self.seen) - self._told

    # --- playbooks and lists ----------------------------------------------------------------------------------

    def _playbook(self, written: Written, path: str, tag: str) -> _End:
        frame = _Frame(written, path, tag)
        if written.vars_fail:
            frame.stopped, self._failed = "failed", True
        body = self._list(written.steps, frame, _Around(path, "", {}, after=False))
        ends = [body]
        # The documentation leaves open whether variables that can't be computed call `on_failure`.
        if body.status == "failed" or (written.vars_fail and self._exists(written.on_failure, path, "on_failure")):
            ends.append(self._list(written.on_failure, frame, _Around(path, "on_failure", {}, after=True)))
        ends.append(self._list(written.finally_, frame, _Around(path, "finally", {}, after=True)))
        if frame.stopped == "failed":
            ends.append(_End("failed", blocks=True))
        return _together(ends)

    def _exists(self, steps: list[WrittenStep], prefix: str, role: str) -> bool:
        return any(_path(prefix, role, step.key) in self.seen for step in steps)

    def _list(self, steps: list[WrittenStep], frame: _Frame, around: _Around) -> _End:
        ends: dict[str, _End] = {}
        for step in steps:
            path = _path(around.prefix, around.role, step.key)
            if any(ends[key].blocks for key in step.after):
                ends[step.key] = self._tell(path, _End("blocked", blocks=True))
            else:
                ends[step.key] = self._step(step, path, frame, around)
            if step.id is not None:
                frame.ended[step.id] = ends[step.key].status
        counted = [
            end
            for step, end in zip(steps, ends.values(), strict=True)
            if not (end.status == "failed" and step.continued)
        ]
        return _together(counted)

    def _step(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        """Return how a step ended, its handler included; what continues it is counted by the list."""
        end = self._loop(step, path, frame, around) if step.loop else self._once(step, path, frame, around)
        if end.status == "failed":
            if step.on_error is not None and step.on_error.steps is not None:
                self._list(step.on_error.steps, frame, _Around(path, "on_error", around.items, after=True))
            return _End("failed", blocks=end.blocks and not step.continued)
        return _End(end.status)

    def _loop(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        loop = step.loop
        assert loop is not None
        if frame.stopped and not around.after:
            return self._tell(path, _End("skipped"))
        if loop.wrong:
            return self._fails(path, step)
        groups = loop.groups()
        ends: list[_End] = []
        for at, item in enumerate(groups):
            part = f"{path}[{at}]"
            if part not in self.seen and self._may_end(loop, ends):
                break
            inside = _Around(around.prefix, around.role, {**around.items, loop.name: item}, around.after)
            ends.append(self._once(step, part, frame, inside))
        failed = sum(end.status in _ENDED_BADLY for end in ends)
        if not loop.too_many(failed, len(groups)):
            return self._tell(path, _End("succeeded"))
        return self._tell(path, _End("failed", any(end.blocks for end in ends)))

    def _may_end(self, loop: Loop, ends: list[_End]) -> bool:
        """Say whether a loop may leave its further items alone."""
        return loop.stop_after is not None and sum(end.status in _ENDED_BADLY for end in ends) >= loop.stop_after

    # --- one step, or one item of a loop ----------------------------------------------------------------------

    def _once(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        if frame.stopped and not around.after:
            return self._tell(path, _End("skipped"))
        runs = self._condition(step, frame)
        if runs is None:
            return self._fails(path, step)
        if not runs:
            return self._tell(path, _End("skipped"))
        match step.kind:
            case "steps" | "parallel":
                inside = _Around(path, "", around.items, around.after)
                return self._tell(path, self._list(step.children, frame, inside))
            case "playbook":
                tag = f"{step.names[0]}{_item_text(around.items)}-{frame.tag}"
                assert step.calls is not None
                return self._tell(path, self._playbook(self.playbooks[step.calls], path, tag))
            case "set":
                return self._fails(path, step) if step.refuses else self._tell(path, _End("succeeded"))
            case "stop":
                frame.stopped = step.stops
                self._failed = self._failed or step.stops == "failed"
                return self._tell(path, _End("succeeded"))
            case _:
                return self._call(step, path, frame, around)

    def _condition(self, step: WrittenStep, frame: _Frame) -> bool | None:
        when = step.when
        if when is None:
            return True
        if when.step is not None:
            name, status = when.step
            return frame.ended[name] == status
        return when.answer

    def _call(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        text = _item_text(around.items) + frame.tag
        if not step.instances:
            return self._answer(path, step, step.names, text)
        asked = {instance: step.names_at.get(instance, step.names) for instance in step.instances}
        ends = [self._answer(f"{path}[{instance}]", step, names, text) for instance, names in asked.items()]
        return self._tell(path, _together(ends))

    def _answer(self, path: str, step: WrittenStep, names: tuple[str, ...], text: str) -> _End:
        """Return how one call ended: as it had to, or as it did where products had trouble."""
        works = not any("bad" in name + text for name in names)
        if self.calls_work:
            return self._tell(path, _End("succeeded")) if works else self._fails(path, step)
        if self.seen.get(path) == "succeeded" and works:
            return self._tell(path, _End("succeeded"))
        return self._fails(path, step)

    def _fails(self, path: str, step: WrittenStep) -> _End:
        self._failed = True
        return self._tell(path, _End("failed", blocks=step.kind != "notify"))

    def _tell(self, path: str, end: _End) -> _End:
        self._told.add(path)
        seen = self.seen.get(path, "nowhere")
        if seen != end.status:
            self.wrong.append(f"{path} is {seen}, and should be {end.status}")
        return end


def _together(ends: list[_End]) -> _End:
    failed = any(end.status in _ENDED_BADLY for end in ends)
    return _End("failed" if failed else "succeeded", any(end.blocks for end in ends))


def _path(prefix: str, role: str, key: str) -> str:
    if role in _AFTER and not key.startswith(f"{role}["):
        key = f"{role}.{key}"
    return f"{prefix}.{key}" if prefix else key


def _item_text(items: Mapping[str, Any]) -> str:
    return "".join(f"-{'.'.join(item) if isinstance(item, list) else item}" for item in items.values())
