"""What follows when a step has ended: who becomes ready, who is blocked, which block, loop or playbook ends with it.

The rule: nothing in here recurses along the graph. Ended nodes go into a queue, and `settle` empties it.
"""

from __future__ import annotations

from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.core.state import Frame, ListRun, Node, Role, RunState, Todo
from hikeshi.core.status import StepStatus, check_move
from hikeshi.playbook.model import BlockStep, Playbook, StepList

__all__ = [
    "begin_body",
    "begin_list",
    "child_path",
    "end",
    "enter_frame",
    "goes_on_without",
    "settle",
    "start_parts",
    "start_pass",
]

# Unknown gets as far as this only in a run that is cancelled: any other waits for what people find out.
_UNSUCCESSFUL = frozenset({StepStatus.FAILED, StepStatus.BLOCKED, StepStatus.CANCELLED, StepStatus.UNKNOWN})


def child_path(prefix: str, role: Role, key: str) -> str:
    """Return the path of a step from the path its list belongs to."""
    if role in ("on_error", "on_failure", "finally") and not key.startswith(f"{role}["):
        key = f"{role}.{key}"
    return f"{prefix}.{key}" if prefix else key


def enter_frame(state: RunState, path: str, playbook: Playbook, inputs: dict[str, Any], owner: Node | None) -> Frame:
    """Begin a playbook."""
    frame = Frame(path, playbook, inputs, owner)
    if owner is not None:
        owner.inner = frame
    if playbook.vars:
        state.todo[Todo.VARIABLES, path] = None
    else:
        begin_body(state, frame)
    return frame


def begin_body(state: RunState, frame: Frame) -> None:
    """Begin a playbook's steps, once its variables are known."""
    frame.body = begin_list(state, "body", frame.playbook.steps, frame, None)


def begin_list(state: RunState, role: Role, steps: StepList, frame: Frame, owner: Node | None) -> ListRun:
    """Create the nodes of a list; those that wait for nothing are to be decided next."""
    prefix = owner.path if owner is not None else frame.path
    above = owner if owner is not None else frame.owner
    maybe = above is not None and above.maybe
    # A plan shows what a failure would set off, and can't know whether there will be one.
    if state.mode == "plan" and role in ("on_error", "on_failure"):
        maybe = True
    run = ListRun(role, steps, frame, owner, left=len(steps), maybe=maybe)
    for step in steps:
        node = Node(child_path(prefix, role, step.key), step, frame, siblings=run, maybe=maybe)
        node.needs_left = len(step.after)
        run.nodes[step.key] = node
        state.nodes[node.path] = node
        if node.needs_left == 0:
            state.todo[Todo.START, node.path] = None
    return run


def start_parts(state: RunState, loop: Node) -> None:
    """Begin as many further items of a loop as may run at once; end the loop if none is left."""
    declared = _loop_of(loop)
    items = loop.items
    assert items is not None
    running = len(loop.parts) - _settled_parts(loop)
    stopped = declared.stop_after is not None and loop.parts_failed >= declared.stop_after
    stopped = stopped or state.is_cancelled(loop)
    while running < declared.concurrency and len(loop.parts) < len(items) and not stopped:
        index = len(loop.parts)
        part = Node(f"{loop.path}[{index}]", loop.step, loop.frame, group=loop, maybe=loop.maybe)
        part.item, part.has_item = items[index], True
        if isinstance(part.step, BlockStep):
            part.vars = {}  # what is set inside is the item's own
        state.nodes[part.path] = part
        loop.add_part(part)
        state.todo[Todo.START, part.path] = None
        running += 1
    if running == 0:
        _end_group(state, loop)


def start_pass(state: RunState, node: Node) -> None:
    """Begin the next pass of a `while` block."""
    assert isinstance(node.step, BlockStep)
    part = Node(f"{node.path}[{len(node.parts)}]", node.step, node.frame, group=node, maybe=node.maybe)
    part.status, part.vars = StepStatus.RUNNING, {}
    state.nodes[part.path] = part
    node.add_part(part)
    node.parts_left += 1
    part.children = begin_list(state, "block", node.step.children, node.frame, part)


def _settled_parts(loop: Node) -> int:
    assert loop.items is not None
    return len(loop.items) - loop.parts_left


def _loop_of(node: Node) -> Any:
    return getattr(node.step, "loop")  # noqa: B009 - every step that can be a loop has it


def end(state: RunState, node: Node, status: StepStatus) -> None:
    """Give a node its last status. Its handler runs before anything that needs it goes on."""
    check_move(node.path, node.status, status)
    node.status = status
    state.unknown.discard(node.path)
    if status is StepStatus.FAILED:
        _note_own_failure(state, node)
    # A plan shows what a failure would set off; what is surely skipped can't fail.
    if (
        _has_handler(node)
        and (status is StepStatus.FAILED or (state.mode == "plan" and status is StepStatus.SUCCEEDED))
        and not state.is_cancelled(node)
    ):
        state.todo[Todo.HANDLER, node.path] = None
    else:
        state.settling.append(node)


def _note_own_failure(state: RunState, node: Node) -> None:
    if node.error is None:
        return  # a container: what failed inside it is on the list already
    state.failures.append(node.path)
    routing = state.routes.get(getattr(node.step, "action", ""))
    # People who were not told do not stop a containment.
    node.blocks = node.blocks or routing is None or routing.effect is not Effect.NOTIFY


def _has_handler(node: Node) -> bool:
    return node.group is None and node.step.on_error is not None and node.step.on_error.steps is not None


def _is_continued(node: Node) -> bool:
    """Say whether a failure of this step blocks nothing. Being blocked is no failure of its own: it is passed on.

    What people said no to is continued by nothing.
    """
    on_error = node.step.on_error
    return node.group is None and on_error is not None and on_error.then_continue and not node.rejected


def goes_on_without(state: RunState) -> None:
    """In a run that is cancelled, let nothing wait any more for handlers, or for what people have to find out."""
    for todo, path in list(state.todo):
        if todo is Todo.HANDLER and state.is_cancelled(state.nodes[path]):
            del state.todo[todo, path]
            state.settling.append(state.nodes[path])
        elif todo is Todo.ON_FAILURE:
            frame = state.root if path == "" else state.nodes[path].inner
            assert frame is not None
            if state.is_cancelled(frame.owner):
                del state.todo[todo, path]
                _frame_goes_on(state, frame)
    for path in sorted(state.unknown):
        node = state.nodes[path]
        if not node.settled and state.is_cancelled(node):
            node.blocks = True
            state.settling.append(node)


def settle(state: RunState) -> None:
    """Let everything follow that follows from the nodes that ended."""
    while state.settling:
        node = state.settling.popleft()
        node.settled = True
        continued = node.status is StepStatus.FAILED and _is_continued(node)
        if continued or node.status not in _UNSUCCESSFUL:
            node.blocks = False
        failed = node.status in _UNSUCCESSFUL and not continued
        if state.held:
            _wake_held(state, node)
        if node.group is not None:
            _settle_part(state, node.group, node, failed)
        else:
            assert node.siblings is not None
            _settle_child(state, node.siblings, node, failed)


def _wake_held(state: RunState, ended: Node) -> None:
    """Let the changes go on that waited for an approval which is decided now, or is never asked for."""
    inside = (f"{ended.path}.", f"{ended.path}[")
    for approval in [each for each in state.held if each == ended.path or each.startswith(inside)]:
        for path in state.held.pop(approval):
            if state.nodes[path].status is StepStatus.WAITING:
                state.nodes[path].reason = None
                state.todo[Todo.START, path] = None


def _settle_part(state: RunState, group: Node, part: Node, failed: bool) -> None:
    group.parts_left -= 1
    group.parts_failed += failed
    group.blocks = group.blocks or part.blocks
    group.rejected = group.rejected or (failed and part.rejected)
    if failed and group.cause is None:
        group.cause = part
    if group.is_loop:
        start_parts(state, group)
    elif group.parts_left == 0:
        if getattr(group.step, "repeat", None) is not None and not failed:
            state.todo[Todo.WHILE, group.path] = None
        else:
            _end_group(state, group)


def _end_group(state: RunState, group: Node) -> None:
    failed = group.parts_failed > 0
    if group.is_loop:
        assert group.items is not None
        # Items that were never begun are no success, however many failures are allowed.
        missing = len(group.parts) < len(group.items)
        failed = missing or group.rejected
        failed = failed or _loop_of(group).max_failures.exceeded_by(group.parts_failed, len(group.items))
        if missing and state.is_cancelled(group) and group.cause is None:
            end(state, group, StepStatus.CANCELLED)
            return
    group.blocks = group.blocks and failed
    end(state, group, _ending(group.cause, failed=failed))


def _ending(cause: Node | None, *, failed: bool) -> StepStatus:
    """Return how a container ends, by what failed first inside it."""
    if not failed:
        return StepStatus.SUCCEEDED
    return StepStatus.CANCELLED if cause is not None and cause.status is StepStatus.CANCELLED else StepStatus.FAILED


def _settle_child(state: RunState, siblings: ListRun, node: Node, failed: bool) -> None:
    siblings.failed = siblings.failed or failed
    siblings.blocks = siblings.blocks or node.blocks
    siblings.rejected = siblings.rejected or (failed and node.rejected)
    if failed and siblings.cause is None:
        siblings.cause = node
    for key in siblings.steps.dependents[node.step.key]:
        _one_need_less(state, siblings.nodes[key], node)
    siblings.left -= 1
    if failed:
        _failure_escapes(state, siblings, rejected=node.rejected)
    if siblings.left == 0:
        _list_ended(state, siblings)


def _one_need_less(state: RunState, waiting: Node, ended: Node) -> None:
    if waiting.status is not StepStatus.WAITING:
        return
    if ended.blocks:
        waiting.status, waiting.blocks = StepStatus.BLOCKED, True
        waiting.reason = f"needs {ended.step.label!r}, which {ended.status}"
        state.settling.append(waiting)
        return
    waiting.needs_left -= 1
    if waiting.needs_left == 0:
        state.todo[Todo.START, waiting.path] = None


def _failure_escapes(state: RunState, siblings: ListRun, *, rejected: bool) -> None:
    """Carry a failure that nothing continued upwards, and begin `on_failure` where it reaches a playbook."""
    at: ListRun | None = siblings
    while at is not None and at.role in ("body", "block"):
        if at.role == "body":
            _failure_reaches(state, at.frame)
        node = at.owner if at.role == "block" else at.frame.owner
        if node is None or node.group is not None:
            return  # a loop decides at its end whether it has failed
        if node.step.on_error is not None and node.step.on_error.then_continue and not rejected:
            return
        at = node.siblings


def _failure_reaches(state: RunState, frame: Frame) -> None:
    wanted = len(frame.playbook.on_failure) and not state.is_cancelled(frame.owner)
    if state.mode == "live" and not frame.failure_seen and wanted:
        state.todo[Todo.ON_FAILURE, frame.path] = None
    frame.failure_seen = True


def _list_ended(state: RunState, ended: ListRun) -> None:
    if ended.role == "block":
        assert ended.owner is not None
        ended.owner.blocks, ended.owner.cause = ended.blocks, ended.cause
        ended.owner.rejected = ended.rejected
        end(state, ended.owner, _ending(ended.cause, failed=ended.failed))
    elif ended.role == "on_error":
        assert ended.owner is not None
        state.settling.append(ended.owner)
    elif ended.role == "finally":
        state.todo[Todo.OUTPUTS, ended.frame.path] = None
    else:
        ended.frame.body_ended = ended.frame.body_ended or ended.role == "body"
        _frame_goes_on(state, ended.frame)


def _frame_goes_on(state: RunState, frame: Frame) -> None:
    """Begin what comes after a playbook's steps, once they and its `on_failure` are over."""
    if not frame.body_ended:
        return
    playbook = frame.playbook
    if state.mode == "plan" and len(playbook.on_failure) and frame.on_failure is None:
        state.todo[Todo.ON_FAILURE, frame.path] = None
    if (Todo.ON_FAILURE, frame.path) in state.todo or (frame.on_failure is not None and frame.on_failure.left):
        return
    state.todo[Todo.FINALLY if len(playbook.finally_) else Todo.OUTPUTS, frame.path] = None
