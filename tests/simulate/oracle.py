"""What the language says must become of every step: an interpreter of a few rules that shares nothing with the engine.

It is told how the calls to products ended and what people decided, since that is theirs, and works out everything else:
what runs, what is skipped, what is blocked, which handlers run, what an approval keeps back, and how the run ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from written import Condition, Loop, Written, WrittenStep

__all__ = ["Oracle"]

Status = str
_AFTER = ("on_error", "on_failure", "finally")
_ENDED_BADLY = ("failed", "blocked")
_COVERED = ("change", "release")


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
    approvals: tuple[str, ...] = ()  # the paths of those that cover it


@dataclass
class _End:
    """How something ended: whether what needs it is blocked, and whether people said no, which nothing continues."""

    status: Status
    blocks: bool = False
    rejected: bool = False


@dataclass
class Oracle:
    """Works out one run. `seen` maps the path of each step that the engine knows to its status, `errors` to its error's
    kind.

    With `calls_work` no product had any trouble, so even the end of each call is known. Afterwards `covered` maps each
    path that may change something to the approvals that it has to wait for.
    """

    playbooks: Mapping[str, Written]
    seen: Mapping[str, Status]
    errors: Mapping[str, str]
    calls_work: bool
    wrong: list[str] = field(default_factory=list)
    covered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _open: list[str] = field(default_factory=list)  # prefixes below which anything may stand
    _given: dict[str, bool] = field(default_factory=dict)  # of each approval: it was given, or needless
    _failed: bool = False

    def judge(self, tag: str, ended: Status) -> list[str]:
        """Return what is wrong with the statuses of a run that began with this tag and ended so."""
        end = self._playbook(self.playbooks["main"], _Around("", "", {}, after=False), tag)
        expected = "failed" if self._failed or end.status == "failed" else "succeeded"
        if ended != expected:
            self.wrong.append(f"the run is {ended}, and should be {expected}")
        self.wrong += [f"{path} is {self.seen[path]}, and should not exist" for path in sorted(self._strangers())]
        return self.wrong

    def _strangers(self) -> Iterator[str]:
        for path in self.seen:
            if path not in self._told and not path.startswith(tuple(self._open)):
                yield path

    # --- playbooks and lists ----------------------------------------------------------------------------------

    def _playbook(self, written: Written, around: _Around, tag: str) -> _End:
        frame = _Frame(written, around.prefix, tag)
        if written.vars_fail:
            frame.stopped, self._failed = "failed", True
        inside = replace(around, role="", items={}, after=False)
        body = self._list(written.steps, frame, inside)
        ends = [body]
        # The documentation leaves open whether variables that can't be computed call `on_failure`.
        told = written.vars_fail and self._exists(written.on_failure, around.prefix, "on_failure")
        if body.status == "failed" or told:
            ends.append(self._list(written.on_failure, frame, replace(inside, role="on_failure", after=True)))
        ends.append(self._list(written.finally_, frame, replace(inside, role="finally", after=True)))
        if frame.stopped == "failed":
            ends.append(_End("failed", blocks=True))
        return _together(ends)

    def _exists(self, steps: list[WrittenStep], prefix: str, role: str) -> bool:
        return any(_path(prefix, role, step.key) in self.seen for step in steps)

    def _list(self, steps: list[WrittenStep], frame: _Frame, around: _Around) -> _End:
        ends: dict[str, _End] = {}
        for step in steps:
            path = _path(around.prefix, around.role, step.key)
            here = replace(around, approvals=(*around.approvals, *_covering(steps, step, around)))
            if any(ends[key].blocks for key in step.after):
                ends[step.key] = self._tell(path, _End("blocked", blocks=True))
                self._given[path] = False
            else:
                ends[step.key] = self._step(step, path, frame, here)
            if step.id is not None:
                frame.ended[step.id] = ends[step.key].status
        return _together([end for step, end in zip(steps, ends.values(), strict=True) if not _is_continued(step, end)])

    def _step(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        """Return how a step ended, its handler included; what continues it is counted by the list."""
        end = self._loop(step, path, frame, around) if step.loop else self._once(step, path, frame, around)
        if end.status == "failed":
            if step.on_error is not None and step.on_error.steps is not None:
                approvals = (*around.approvals, path) if step.kind == "approve" else around.approvals
                inside = _Around(path, "on_error", around.items, after=True, approvals=approvals)
                self._list(step.on_error.steps, frame, inside)
            return _End("failed", end.blocks and not _is_continued(step, end), end.rejected)
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
            inside = replace(around, items={**around.items, loop.name: item})
            ends.append(self._once(step, part, frame, inside))
        failed = [end for end in ends if end.status in _ENDED_BADLY]
        rejected = any(end.rejected for end in failed)
        if len(ends) == len(groups) and not rejected and not loop.too_many(len(failed), len(groups)):
            return self._tell(path, _End("succeeded"))
        return self._tell(path, _End("failed", any(end.blocks for end in ends), rejected))

    def _may_end(self, loop: Loop, ends: list[_End]) -> bool:
        """Say whether a loop may leave its further items alone."""
        return loop.stop_after is not None and sum(end.status in _ENDED_BADLY for end in ends) >= loop.stop_after

    # --- one step, or one item of a loop ----------------------------------------------------------------------

    def _once(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        self._given[path] = False
        if frame.stopped and not around.after:
            return self._tell(path, _End("skipped"))
        runs = self._holds(step.when, frame)
        if runs is None:
            return self._fails(path, step)
        if not runs:
            self._given[path] = True  # an approval that its own condition makes needless
            return self._tell(path, _End("skipped"))
        if step.repeat is not None:
            return self._passes(step, path, frame, around)
        match step.kind:
            case "steps" | "parallel":
                inside = replace(around, prefix=path, role="")
                return self._tell(path, self._list(step.children, frame, inside))
            case "playbook":
                return self._called(step, path, frame, around)
            case "set":
                return self._fails(path, step) if step.refuses else self._tell(path, _End("succeeded"))
            case "stop":
                frame.stopped = step.stops
                self._failed = self._failed or step.stops == "failed"
                return self._tell(path, _End("succeeded"))
            case "approve" | "ask" | "wait":
                return self._waits(step, path)
            case _:
                return self._call(step, path, frame, around)

    def _holds(self, condition: Condition | None, frame: _Frame) -> bool | None:
        if condition is None:
            return True
        if condition.step is not None:
            name, status = condition.step
            return frame.ended[name] == status
        return condition.answer

    def _passes(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        assert step.repeat is not None
        for number in range(step.repeat.at_most):
            part = f"{path}[{number}]"
            end = self._tell(part, self._list(step.children, frame, replace(around, prefix=part, role="")))
            if end.status == "failed":
                return self._tell(path, end)
            again = self._holds(step.repeat.condition, frame)
            if again is None:
                return self._fails(path, step)
            if not again:
                return self._tell(path, _End("succeeded"))
        return self._fails(path, step)  # it would go on for ever

    def _called(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        assert step.calls is not None
        called = self.playbooks[step.calls]
        if called.refuses_second and self.errors.get(path) == "conflict":
            return self._fails(path, step)
        tag = f"{step.names[0]}{_item_text(around.items)}-{frame.tag}"
        return self._tell(path, self._playbook(called, replace(around, prefix=path), tag))

    def _waits(self, step: WrittenStep, path: str) -> _End:
        """Return how something ended that people, time or the outside decide."""
        if step.waits == "time" or self.seen.get(path) == "succeeded":
            self._given[path] = True
            return self._tell(path, _End("succeeded"))
        return self._fails(path, step, rejected=step.kind == "approve")

    # --- calls ------------------------------------------------------------------------------------------------

    def _call(self, step: WrittenStep, path: str, frame: _Frame, around: _Around) -> _End:
        paths = [f"{path}[{instance}]" for instance in step.instances] or [path]
        if step.kind in _COVERED:
            self.covered.update(dict.fromkeys(paths, around.approvals))
            if not all(self._given.get(approval, False) for approval in around.approvals):
                return self._fails(path, step, rejected=True)
        if step.kind == "release":
            return self._release(path, step)
        text = _item_text(around.items) + frame.tag
        if not step.instances:
            return self._answer(path, step, step.names, text)
        asked = {instance: step.names_at.get(instance, step.names) for instance in step.instances}
        ends = [self._answer(f"{path}[{instance}]", step, names, text) for instance, names in asked.items()]
        return self._tell(path, _together(ends))

    def _release(self, path: str, step: WrittenStep) -> _End:
        """Return how a release ended: what it releases is for the ledger to say, so it may fail or not."""
        self._open.append(f"{path}[")
        if self.seen.get(path) == "succeeded":
            return self._tell(path, _End("succeeded"))
        parts = [kind for part, kind in self.errors.items() if part.startswith(f"{path}[")]
        return self._fails(path, step, rejected="rejected" in parts)

    def _answer(self, path: str, step: WrittenStep, names: tuple[str, ...], text: str) -> _End:
        """Return how one call ended: as it had to, or as it did where products had trouble."""
        works = not any("bad" in name + text for name in names)
        if self.covered.get(path) and self.errors.get(path) == "rejected":
            return self._fails(path, step, rejected=True)  # a target that was not shown was asked for again
        if self.calls_work:
            return self._tell(path, _End("succeeded")) if works else self._fails(path, step)
        if self.seen.get(path) == "succeeded" and works:
            return self._tell(path, _End("succeeded"))
        return self._fails(path, step)

    def _fails(self, path: str, step: WrittenStep, *, rejected: bool = False) -> _End:
        self._failed = True
        return self._tell(path, _End("failed", step.kind != "notify", rejected))

    def _tell(self, path: str, end: _End) -> _End:
        self._told.add(path)
        seen = self.seen.get(path, "nowhere")
        if seen != end.status:
            self.wrong.append(f"{path} is {seen}, and should be {end.status}")
        return end


def _covering(steps: list[WrittenStep], step: WrittenStep, around: _Around) -> Iterator[str]:
    """Give the approvals of a list that cover one of its steps: those before it, or those that name it."""
    before = True
    for other in steps:
        before = before and other is not step
        covers = before if other.covers is None else step.key in other.covers
        if other.kind == "approve" and other is not step and covers:
            yield _path(around.prefix, around.role, other.key)


def _is_continued(step: WrittenStep, end: _End) -> bool:
    return end.status == "failed" and step.continued and not end.rejected


def _together(ends: list[_End]) -> _End:
    bad = [end for end in ends if end.status in _ENDED_BADLY]
    return _End("failed" if bad else "succeeded", any(end.blocks for end in ends), any(end.rejected for end in bad))


def _path(prefix: str, role: str, key: str) -> str:
    if role in _AFTER and not key.startswith(f"{role}["):
        key = f"{role}.{key}"
    return f"{prefix}.{key}" if prefix else key


def _item_text(items: Mapping[str, Any]) -> str:
    return "".join(f"-{'.'.join(item) if isinstance(item, list) else item}" for item in items.values())
