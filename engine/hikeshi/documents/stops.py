"""Kill switches as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.runtime.stops import EngagedStop

__all__ = ["stop_document"]


def stop_document(each: EngagedStop) -> dict[str, Any]:
    """Return one engaged stop, with who wants it released and how many have to."""
    return {
        "stop": each.stop,
        "by": each.by,
        "why": each.why,
        "at": each.at.isoformat(),
        "people": each.people,
        "released_by": list(each.released_by),
    }
