"""What a connector's author says for the contract kit: the estate, and how to call each action."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hikeshi.connector import Connector
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulator import Simulator

__all__ = ["Case", "Contract", "One", "Problem", "one"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a check is not kept; `action` is empty where it is about the connector as a whole."""

    text: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class One:
    """Stands for the one entity that a read finds."""

    action: str
    arguments: Mapping[str, Any]


def one(action: str, **arguments: Any) -> One:
    """Use, as an argument, the only thing that a read finds: `one("edr.find_hosts", name="PC-7")`."""
    return One(action, arguments)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to call an action.

    `arguments` are values, or `one(...)` for an entity. `arrange` changes the estate first, so that a change has
    something to do; so does `after`, a change that is made first, with the same arguments. `expect` says whether the
    estate then looks as it should. `fill`, for reads, puts more entries into the estate than fit on a page and returns
    how many of them this call has to give.
    """

    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    arrange: Callable[[Estate], None] | None = None
    after: str | None = None
    expect: Callable[[Estate], object] | None = None
    fill: Callable[[Estate], int] | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """A connector, its simulator and what the kit has to know to check the one against the other.

    `estate` gives a fresh, small state. `settings` are added to those that the simulator proposes. `volatile` names
    parts of the estate's snapshot that an undo does not bring back, as dotted paths ("firewall.jobs"); messages are
    always among them. `plain_headers` are long headers that are no credentials. `exempt` maps a check, or
    `check:action`, to the reason why it does not apply.
    """

    connector: type[Connector]
    simulator: type[Simulator]
    estate: Callable[[], EstateState]
    cases: Sequence[Case]
    settings: Mapping[str, Any] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    plain_headers: tuple[str, ...] = ()
    exempt: Mapping[str, str] = field(default_factory=dict)
