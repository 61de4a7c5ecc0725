"""Reading back the targets of a change: one state for each of them, of the declared type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hikeshi.capabilities import ActionSpec
from hikeshi.connector import Connector
from hikeshi.connector.errors import ConnectorError, Invalid
from hikeshi.runtime.reads import read_one
from hikeshi.runtime.standing import verb_of

__all__ = ["states_of"]


async def states_of(
    spec: ActionSpec,
    arguments: Mapping[str, Any],
    targets: Sequence[Any],
    connector: Connector,
    timeout_s: float | None,
) -> list[Any]:
    """Return the present state of each target of a change, which declares a read. `arguments` are the change's, typed.

    Raises ConnectorError, and Invalid for an answer that is not of the declared type.
    """
    assert spec.marks.verify is not None
    verify = verb_of(spec, spec.marks.verify)
    given = {name: arguments[name] for name in verify.by_name if name in arguments}
    if spec.batched:
        given[next(each.name for each in verify.parameters if each.is_list)] = list(targets)
    answer = await read_one(verify, verify.verb, given, connector, "live", timeout_s)
    try:
        checked = spec.output_adapter.validate_python(answer)
    except ValueError:  # pydantic's is one
        raise Invalid(f"{connector.name}: {verify.name} gave something else than it declares") from None
    states = list(checked) if spec.batched else [checked]
    if len(states) != len(targets):
        raise ConnectorError(f"{connector.name}: {verify.name} answered for {len(states)} of {len(targets)} targets")
    return states
