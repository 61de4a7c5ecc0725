"""Telling chat something: a run of one of our playbooks, begun once whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.app.failure import failure_of
from hikeshi.journal import JournalError
from hikeshi.quick_dataclass import dataclass

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["Telling"]


@dataclass(frozen=True, slots=True)
class Telling:
    """Begins such runs. `alert` is told what people have to know; `wake` is called when a run was begun."""

    app: Hikeshi
    alert: Callable[[str], None]
    wake: Callable[[], None]

    async def begin(self, run: str, playbook: str, text: str, inputs: Mapping[str, Any], about: str) -> bool:
        """Begin a run, or find that it is there. False says that it could not be begun, of which people are told.

        Raises JournalError.
        """
        try:
            if await self.app.begin_own(run, playbook, text, inputs, reason=about):
                self.wake()
        except JournalError:
            raise
        except Exception as exc:
            failure = failure_of(exc)
            if failure is None:
                raise
            why = "; ".join([failure.message, *(each["message"] for each in failure.problems)])
            self.alert(f"chat is not told of the {about}: {why}")
            return False
        return True
