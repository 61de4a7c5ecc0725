"""The end of a run, for people: the tree, then what happened, what did not, what nobody knows, and what to do now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.cli.ending import Ending
from hikeshi.cli.exit_codes import ExitCode, of_run
from hikeshi.cli.moments import deadline, duration
from hikeshi.cli.output import Output
from hikeshi.cli.text import Piece, Styled, pad, width
from hikeshi.cli.tree_view import lines_of, tree_lines
from hikeshi.cli.waits_view import wait_lines
from hikeshi.core import Node, RunState, StepStatus
from hikeshi.report import Change, run_report, tree, waits_of

__all__ = ["candidate_text", "conclude", "headline", "show_ending", "show_run", "summary_pieces"]

MOST = 20
"""So many targets are named; of more, so many and a count."""

_STYLES = {"succeeded": "green", "waiting": "yellow", "pending": "yellow", "running": "yellow"}


def conclude(output: Output, ending: Ending, more: Mapping[str, Any] | None = None) -> ExitCode:
    """Write how a run ended, for programs (with `more`) or for people, and return the exit code."""
    report = run_report(ending.state)
    if output.as_json:
        output.document({**report, **(more or {})})
    else:
        show_run(output, ending)
    return of_run(report)


def show_run(output: Output, ending: Ending) -> None:
    """Write every step of a run, and how it ended."""
    state = ending.state
    output.line()
    rows = tree_lines(state, ending.times, ending.now)
    for pieces in lines_of(rows, output.columns if output.is_terminal else None):
        output.line(*pieces)
    output.line()
    show_ending(output, ending)
    output.line()
    output.line(f"Every event: hikeshi log {state.run}")
    if state.finished is None:
        output.line(f"Follow it: hikeshi watch {state.run}   When it is due, 'hikeshi work' goes on with it")


def show_ending(output: Output, ending: Ending) -> None:
    """Write how a run ended: what happened, what did not, and what nobody knows."""
    state, changes = ending.state, ending.changes
    now = ending.now or datetime.now(UTC)
    headline(output, state)
    waits = [wait for wait in waits_of(state) if wait.kind != "resolve"]
    output.lines(list(wait_lines(state.run, waits, now)))
    _happened(output, changes)
    _held(output, ending, now)
    _went_wrong(output, state, changes)
    _unknown(output, state, changes)


def headline(output: Output, state: RunState) -> None:
    """Write in one line what became of a run, and why if it is over."""
    output.line(*_status_pieces(state))
    if state.error is not None:
        output.line(f"  {state.error.message}")


def summary_pieces(state: RunState, changes: Sequence[Change]) -> list[Piece]:
    """Return what became of a run, and what it did, as one line."""
    done = [each for each in changes if each.outcome == "done"]
    counts = Counter("change" if each.effect is Effect.CHANGE else "message" for each in done)
    words = [_count(counts[one], one) for one in ("change", "message") if counts[one]]
    failed = sum(each.outcome == "failed" for each in changes)
    words += [f"{failed} NOT done"] if failed else []
    words += [state.error.message] if state.error is not None else []
    if state.failures and not failed:
        words.append(f"failed: {', '.join(state.failures[:3])}" + (" ..." if len(state.failures) > 3 else ""))
    return [*_status_pieces(state), ": " if words else "", ", ".join(words)]


def _status_pieces(state: RunState) -> list[Piece]:
    status = "unknown" if state.unknown and state.finished is None else state.status.value
    took = ""
    if state.started_at is not None and state.now is not None:
        took = f" after {duration((state.now - state.started_at).total_seconds())}"
    word = _headword(state, status)
    return [Styled(f"{word}{took}", _STYLES.get(status, "red")), f"  run {state.run} of {state.program.main}"]


def _headword(state: RunState, status: str) -> str:
    if status == "unknown":
        return "STOPPED: AN OUTCOME IS UNKNOWN"
    if status not in ("waiting", "pending"):
        return status.upper()
    if state.paused:
        return "PAUSED"
    return "WAITS FOR SOMEBODY" if any(wait.needs_people for wait in waits_of(state)) else "WAITS"


def _happened(output: Output, changes: Sequence[Change]) -> None:
    done = [each for each in changes if each.outcome == "done"]
    already = [each for each in changes if each.outcome == "already"]
    made = [each for each in done if each.effect is Effect.CHANGE]
    told = [each for each in done if each.effect is Effect.NOTIFY]
    _section(output, f"Done: {_count(len(made), 'change')}, {_count(len(told), 'message')}", done)
    if already:
        _section(output, f"It was so already, nothing was sent: {len(already)}", already)
    carried = [each for each in changes if each.outcome == "carried"]
    if carried:
        _section(output, f"Done by the run before, and taken over: {len(carried)}", carried)
    repeated = [each for each in done if each.possibly_repeated]
    if repeated:
        output.line(f"  {_count(len(repeated), 'of these was', 'of these were')} possibly sent twice")


def _held(output: Output, ending: Ending, now: datetime) -> None:
    """Say what stays as it is now, and for how long. Cancelling a run ends none of it."""
    holds = ending.holds
    if not holds:
        return
    if ending.state.finished == "cancelled":
        output.line(Styled(f"What was contained stays so: {len(holds)}", "yellow"))
        wide = max(width(hold.action) for hold in holds)
        for hold in holds[:MOST]:
            until = "without end" if hold.expires_at is None else f"until {deadline(hold.expires_at, now)}"
            output.line(f"  {pad(hold.action, wide)}  {hold.label}", Styled(f"  on {hold.connector}  {until}", "dim"))
        _more(output, holds)
        return
    ends = sorted(hold.expires_at for hold in holds if hold.expires_at is not None)
    first = f"; the first ends at {deadline(ends[0], now)}" if ends else ""
    output.line(f"Held now: {len(holds)}{first}. 'hikeshi holds' lists what is contained")


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
