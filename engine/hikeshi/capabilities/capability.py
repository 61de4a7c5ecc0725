"""The base of every capability: a named family of verbs."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from hikeshi.capabilities.action import ActionSpec, build_spec, marks_of

__all__ = ["Capability"]


class Capability:
    """A vendor-neutral family of actions. A connector supports those it overrides."""

    capability_name: ClassVar[str]

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            cls.capability_name = name

    @classmethod
    def verbs(cls) -> tuple[str, ...]:
        """Return the names of this capability's actions, in the order they are written."""
        return tuple(name for name, value in vars(cls).items() if marks_of(value) is not None)

    @classmethod
    @cache  # signatures do not change, and reading one costs more than all that is done with it
    def specs(cls) -> tuple[ActionSpec, ...]:
        return tuple(build_spec(cls.capability_name, cls, verb) for verb in cls.verbs())
