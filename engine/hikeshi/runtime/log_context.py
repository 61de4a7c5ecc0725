"""Of which run and step the code that runs now is, for whoever writes logs: ours, and those of libraries beneath it."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["WORKS_FOR"]

WORKS_FOR: ContextVar[tuple[str, str] | None] = ContextVar("hikeshi_works_for", default=None)
"""The run and the path of the step, or None outside of any. Each task has its own."""
