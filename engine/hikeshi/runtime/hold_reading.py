"""Reading back what is held, from the products themselves. Nothing in here changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from hikeshi.capabilities import ActionSpec, Catalogue, UnknownAction
from hikeshi.connector.errors import ConnectorError
from hikeshi.connector.registry import ConnectorNotUsable
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.arguments import typed_arguments
from hikeshi.runtime.errors import error_record
from hikeshi.runtime.instances import Instances
from hikeshi.runtime.ledger import Hold
from hikeshi.runtime.standing import Standing, standing_of
from hikeshi.runtime.states import states_of
from hikeshi.runtime.targets import targets_of
from hikeshi.secrets import Redactor, SecretUnavailable

__all__ = ["HoldReader", "Reading"]

# Most products list all that they block for each reading, so few readings of many; some are asked for each entry.
_AT_ONCE, _IN_ONE_READ, _TIMEOUT_S = 8, 2000, 300.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How a held target stands now.

    `unreadable`: it could not be read, which says nothing of how it is. `no_read`: no action reads it. `state` is what
    was read, as plain data, and `why` says what kept it from being read.
    """

    standing: Literal["held", "released", "changed", "unreadable", "no_read"]
    state: Any = None
    why: str | None = None


class HoldReader:
    """Reads what is held. `arguments_of` gives the arguments of the change that opened a hold, as plain data."""

    def __init__(
        self,
        catalogue: Catalogue,
        instances: Instances,
        redactor: Redactor,
        arguments_of: Callable[[Hold], Mapping[str, Any]],
    ) -> None:
        self._catalogue = catalogue
        self._instances = instances
        self._redactor = redactor
        self._arguments_of = arguments_of
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._changes: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}

    async def read(self, holds: Sequence[Hold]) -> dict[str, Reading]:
        """Return how the target of each hold stands, by the hold's ID. Raises nothing that a product causes."""
        found = await asyncio.gather(*(self._read(group) for group in _groups(holds)))
        return {name: reading for readings in found for name, reading in readings.items()}

    async def _read(self, holds: Sequence[Hold]) -> dict[str, Reading]:
        async with self._turns:
            try:
                return await self._read_back(holds)
            except (ConnectorError, ConnectorNotUsable, SecretUnavailable) as exc:
                unread = Reading("unreadable", why=error_record(exc, self._redactor).message)
            except UnknownAction as exc:
                unread = Reading("unreadable", why=str(exc))
            return {hold.hold: unread for hold in holds}

    async def _read_back(self, holds: Sequence[Hold]) -> dict[str, Reading]:
        """Read the targets of one change on one instance. Raises ConnectorError and the like."""
        spec = self._catalogue.spec(holds[0].action)
        if spec.marks.verify is None:
            return {hold.hold: Reading("no_read", why=f"no action reads back what {spec.name} did") for hold in holds}
        typed, values = self._change_of(spec, holds[0])
        lost = {hold.hold: Reading("unreadable", why="its run no longer says what was changed") for hold in holds}
        there = [hold for hold in holds if hold.target in values]
        if not there:
            return lost
        targets, connector = [values[hold.target] for hold in there], self._instances.get(holds[0].connector)
        states = await states_of(spec, typed, targets, connector, _TIMEOUT_S)
        return {
            **lost,
            **{hold.hold: self._judge(spec, hold, state) for hold, state in zip(there, states, strict=True)},
        }

    def _change_of(self, spec: ActionSpec, hold: Hold) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the arguments of the change that opened a hold, typed, and its targets by their identity."""
        key = hold.run, hold.path
        if key not in self._changes:  # a list of thousands is read in several readings
            typed = typed_arguments(spec, self._arguments_of(hold))
            self._changes[key] = typed, {target.identity: target.value for target in targets_of(spec, typed)}
        return self._changes[key]

    def _judge(self, spec: ActionSpec, hold: Hold, state: Any) -> Reading:
        plain = self._redactor.data(state.model_dump(mode="json"))
        standing = standing_of(hold, spec, state, plain)
        why = _why(hold, standing)
        return Reading(standing.value, plain, why)


def _why(hold: Hold, standing: Standing) -> str | None:
    if hold.status != "active":
        return f"whether it was made is not known; say so: hikeshi resolve {hold.run} '{hold.path}'"
    match standing:
        case Standing.HELD:
            return None
        case Standing.RELEASED if hold.lifted_at is not None:
            return f"it is as it was before; the product was to lift it by itself at {hold.lifted_at.isoformat()}"
        case Standing.RELEASED:
            return "it is as it was before: somebody else released it"
        case Standing.CHANGED:
            return "it is neither as the change left it nor as it was before: somebody else changed it"


def _groups(holds: Sequence[Hold]) -> list[list[Hold]]:
    """Return holds that one read can answer for: of the same step on the same instance."""
    groups: dict[tuple[str, str, str], list[Hold]] = {}
    for hold in holds:
        groups.setdefault((hold.run, hold.path, hold.connector), []).append(hold)
    return [group[at : at + _IN_ONE_READ] for group in groups.values() for at in range(0, len(group), _IN_ONE_READ)]
