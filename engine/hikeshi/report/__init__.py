"""What people read afterwards: the result of a run, a plan, a timeline. Folded from events, never from memory."""

from hikeshi.report.changes import Change, changes, targets
from hikeshi.report.plan import plan_report
from hikeshi.report.result import run_report
from hikeshi.report.timeline import TimelineEntry, timeline
from hikeshi.report.times import Times
from hikeshi.report.tree import tree
from hikeshi.report.waits import Wait, waits_of

__all__ = [
    "Change",
    "TimelineEntry",
    "Times",
    "Wait",
    "changes",
    "plan_report",
    "run_report",
    "targets",
    "timeline",
    "tree",
    "waits_of",
]
