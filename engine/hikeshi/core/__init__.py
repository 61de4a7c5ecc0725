"""The run as a state machine, without I/O: what happened, what that means, what is to be done. Pure.

`decide` looks at a state and gives decisions as events; `evolve` folds an event into a state and evaluates nothing;
`outstanding` lists the commands that are still owed. There is no clock, no randomness and no I/O in here.
"""

from hikeshi.core.codec import decode_event, encode_event
from hikeshi.core.commands import AwaitSignal, Command, FindHolds, PlanCovered, StartAction, TakeKey, WaitUntil
from hikeshi.core.decide import decide, instead_of, key_of
from hikeshi.core.evolve import evolve
from hikeshi.core.folding import fold, is_only_noted, note
from hikeshi.core.program import Program, Routing
from hikeshi.core.state import Node, Question, RunState
from hikeshi.core.status import RunStatus, StepStatus

__all__ = [
    "AwaitSignal",
    "Command",
    "FindHolds",
    "Node",
    "PlanCovered",
    "Program",
    "Question",
    "Routing",
    "RunState",
    "RunStatus",
    "StartAction",
    "StepStatus",
    "TakeKey",
    "WaitUntil",
    "decide",
    "decode_event",
    "encode_event",
    "evolve",
    "fold",
    "instead_of",
    "is_only_noted",
    "key_of",
    "note",
    "outstanding",
]


def outstanding(state: RunState) -> list[Command]:
    """Return every command that is owed and not yet answered by an event, oldest first."""
    return list(state.owed.values())
