"""The end of a run, for people: the tree, then what happened, what did not, what nobody knows, and what to do now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hikeshi.capabilities import Effect
from hikeshi.cli.output import Output
from hikeshi.cli.text import Styled, pad, width
from hikeshi.cli.tree_view import lines_of, tree_lines
from hikeshi.core import Node, RunState, StepStatus
from hikeshi.report import Change, tree

__all__ = ["candidate_text", "show_ending", "show_run"]

MOST = 20
"""So many targets are named; of more, so many and a count."""

_STYLES = {"succeeded": "green", "waiting": "yellow", "running": "yellow"}


def show_run(output: Output, state: RunState, changes: Sequence[Change]) -> None:
    """Write every step of a run, and how it ended."""
    output.line()
    for pieces in lines_of(tree_lines(state), output.columns if output.is_terminal else None):
        output.line(*pieces)
    output.line()
    show_ending(output, state, changes)
    output.line()
    output.line(f"Every event: hikeshi log {state.run}")


def show_ending(output: Output, state: RunState, changes: Sequence[Change]) -> None:
    """Write how a run ended: what happened, what did not, and what nobody knows."""
    status = "unknown" if state.unknown else state.status.value
    _headline(output, state, status)
    _happened(output, changes)
    _went_wrong(output, state, changes)
    _unknown(output, state, changes)


def _headline(output: Output, state: RunState, status: str) -> None:
    style = _STYLES.get(status, "red")
    took = ""
    if state.started_at is not None and state.now is not None:
        took = f" after {_duration((state.now - state.started_at).total_seconds())}"
    words = {"waiting": "WAITS FOR SOMEBODY", "unknown": "STOPPED: AN OUTCOME IS UNKNOWN"}
    ended = Styled(f"{words.get(status, status.upper())}{took}", style)
    output.line(ended, f"  run {state.run} of {state.program.main}")
    if state.error is not None:
        output.line(f"  {state.error.message}")


def _happened(output: Output, changes: Sequence[Change]) -> None:
    done = [each for each in changes if each.outcome == "done"]
    already = [each for each in changes if each.outcome == "already"]
    made = [each for each in done if each.effect is Effect.CHANGE]
    told = [each for each in done if each.effect is Effect.NOTIFY]
    _section(output, f"Done: {_count(len(made), 'change')}, {_count(len(told), 'message')}", done)
    if already:
        _section(output, f"It was so already, nothing was sent: {len(already)}", already)
    repeated = [each for each in done if each.possibly_repeated]
    if repeated:
        output.line(f"  {_count(len(repeated), 'of these was', 'of these were')} possibly sent twice")
    if made:
        output.line("  The journal holds what was there before. This version cannot undo a change yet: use the")
        output.line("  product itself; what was sent with a time ends by itself.")


def _went_wrong(output: Output, state: RunState, changes: Sequence[Change]) -> None:
    """Say what failed and what did not happen because of it. A change that failed provably had no effect."""
    failed = [each for each in changes if each.outcome == "failed"]
    elsewhere = {each.path for each in failed}
    other = [node for node in _failed_leaves(state) if node.path not in elsewhere]
    blocked = [node for _, node in tree(state) if node.status is StepStatus.BLOCKED]
    if failed:
        output.line()
        output.line(Styled(f"NOT done, it failed: {len(failed)}", "red"))
        for each in failed[:MOST]:
            _change_line(output, each, _wide(failed))
            output.line("      ", each.error or "no reason was given")
            output.line(Styled(f"      step {each.path}, {_count(each.attempts, 'attempt')}", "dim"))
        _more(output, failed)
    if other:
        output.line()
        output.line(Styled(f"Failed before anything was sent: {len(other)}", "red"))
        for node in other[:MOST]:
            _failed_step(output, node)
        _more(output, other)
    if blocked:
        output.line()
        output.line(Styled(f"NOT done, for something that it needs failed: {len(blocked)}", "red"))
        for node in blocked[:MOST]:
            output.line(f"  {node.step.label}", Styled(f"  step {node.path}", "dim"))
        _more(output, blocked)


def _unknown(output: Output, state: RunState, changes: Sequence[Change]) -> None:
    unknown = [each for each in changes if each.outcome == "unknown"]
    if not state.unknown:
        return
    output.line()
    output.line(Styled(f"UNKNOWN, it was sent and may or may not have happened: {len(unknown)}", "red"))
    for each in unknown[:MOST]:
        _change_line(output, each, _wide(unknown))
        output.line("      ", each.error or "no reason was given")
        output.line(Styled(f"      step {each.path}", "dim"))
    _more(output, unknown)
    where = ", ".join(sorted({each.connector for each in unknown})) or "the product"
    output.line(f"  What to do: look in {where} itself, then say what you found; it is never sent again by itself:")
    output.line(f"  hikeshi resolve {state.run} {sorted(state.unknown)[0]!r} --happened   (or --did-not-happen)")


def _failed_leaves(state: RunState) -> Iterator[Node]:
    """Give the steps that failed themselves, not those that failed because something inside of them did."""
    for _, node in tree(state):
        inside = node.parts or node.children is not None or node.inner is not None
        if node.status is StepStatus.FAILED and node.error is not None and not inside:
            yield node


def _failed_step(output: Output, node: Node) -> None:
    assert node.error is not None
    output.line(f"  {node.step.label}: ", node.error.message)
    attempts = f", {_count(node.attempts, 'attempt')}" if node.attempts else ""
    output.line(Styled(f"      step {node.path}{attempts}", "dim"))
    for candidate in node.error.candidates[:MOST]:
        output.line("      could be: ", candidate_text(candidate))
    if node.error.candidates:
        output.line("      Say which one, by its ID or address.")


def candidate_text(candidate: object) -> str:
    """Return one of the things that were found where one was meant, in words."""
    if not isinstance(candidate, dict):
        return str(candidate)
    return ", ".join(f"{key} {value}" for key, value in candidate.items() if value not in (None, "", []))


def _section(output: Output, title: str, changes: Sequence[Change]) -> None:
    output.line(title)
    for each in changes[:MOST]:
        _change_line(output, each, _wide(changes))
    _more(output, changes)


def _change_line(output: Output, change: Change, wide: int) -> None:
    output.line(f"  {pad(change.action, wide)}  {change.target}", Styled(f"  on {change.connector}", "dim"))


def _wide(changes: Sequence[Change]) -> int:
    return max((width(each.action) for each in changes), default=0)


def _more(output: Output, listed: Sequence[object]) -> None:
    if len(listed) > MOST:
        output.line(f"  and {len(listed) - MOST} more; --json names all")


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
