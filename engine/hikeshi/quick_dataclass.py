"""`dataclass` for modules with many classes that every start of the command has to build.

To a type checker this is the standard decorator, so `frozen` is enforced where code is checked. At run time it leaves
out what is dear to generate and catches nothing that the checker has not caught: with `frozen` and a `repr` of its own,
a class takes 0.35 ms to build, without them 0.15, and the language and the events have seventy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(**options):
        options.pop("frozen", None)

        def decorate(cls):
            own_repr = "__repr__" in vars(cls)
            built = dataclasses.dataclass(cls, repr=False, **options)
            if not own_repr:
                built.__repr__ = _repr
            return built

        return decorate

    def _repr(self):
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        return f"{type(self).__name__}({shown})"
