"""What went wrong, for people: what, why, and what to do now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hikeshi.console.elements import button, tag
from hikeshi.console.words import Words, has_words

if TYPE_CHECKING:
    from hikeshi.app.failure import Failure

__all__ = ["show_failure"]

_MOST = 20


def show_failure(say: Words, failure: Failure, dismiss: Callable[[], None] | None = None) -> None:
    """Show a failure. The words of its kind are ours, those of the reason are the engine's."""
    kind = failure.code if has_words(f"failure.{failure.code}.what") else "other"
    with tag("section", "", "notice bad", data_code=failure.code):
        tag("h2", say(f"failure.{kind}.what"))
        if failure.message:
            tag("p", failure.message, "why")
        if failure.problems:
            with tag("ul", "", "problems"):
                for each in failure.problems[:_MOST]:
                    tag("li", _text(each))
                if len(failure.problems) > _MOST:
                    tag("li", say("common.more", count=len(failure.problems) - _MOST))
        tag("p", say(f"failure.{kind}.do"), "to-do")
        if dismiss is not None:

            async def away() -> None:
                dismiss()

            button(say("common.close"), away, "quiet")


def _text(problem: dict[str, object]) -> str:
    place = f"{problem['file']}:{problem['line']}: " if "line" in problem else ""
    suggestion = f" ({problem['suggestion']})" if problem.get("suggestion") else ""
    return f"{place}{problem['message']}{suggestion}"
