"""Reading from a connector for chat: through the gate as in a plan, so that nothing it does can change anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hikeshi.capabilities import UnknownAction
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.project import ProjectError
from hikeshi.runtime.gate import Gate

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["NotRead", "read_from"]

_TIMEOUT_S: Final = 60.0


class NotRead(Exception):
    """A read gave nothing; `kind` is that of the connector's error."""

    def __init__(self, text: str, kind: str = "error", retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.retry_after_s = retry_after_s


async def read_from(app: Hikeshi, connector: str, verb: str, arguments: Mapping[str, Any]) -> Any:
    """Return what a read of a connector gives, as plain data. Raises NotRead."""
    action = f"{connector}.{verb}"
    try:
        route = app.catalogue.route(action)
    except (UnknownAction, ProjectError) as exc:
        raise NotRead(str(exc)) from exc
    gate = Gate(f"chat-{connector}", "plan", app.catalogue, app.instances, app.redactor, app.clock)
    start = StartAction(verb, 1, action, route.instances, dict(arguments), _TIMEOUT_S, maybe=False)
    answer = (await gate.perform(start, _nobody))[-1]
    if isinstance(answer, ev.ActionFailed):
        raise NotRead(answer.error.message, answer.error.kind, answer.error.retry_after_s)
    if not isinstance(answer, ev.ActionSucceeded):
        raise NotRead(f"{action} gave nothing")
    return answer.output


async def _nobody(_: Sequence[ev.Event]) -> None:
    """Record nothing: a read has no intent."""
