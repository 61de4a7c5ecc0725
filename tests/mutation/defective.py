"""Loads one module with a defect: `HIKESHI_MUTANT=hikeshi.guardrails.limit:12`."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from mutants import code_of

__all__ = ["MUTANT", "install"]

MUTANT = "HIKESHI_MUTANT"


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the source with its defect, and never from a cache."""

    def __init__(self, name: str, path: str, at: int) -> None:
        super().__init__(name, path)
        self._at_place = at

    def get_code(self, fullname: str) -> CodeType | None:
        return code_of(Path(self.path).read_text(encoding="utf-8"), self._at_place, str(self.path))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, at: int) -> None:
        self._module = module
        self._at = at

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, found.origin, loader=_Loader(fullname, found.origin, self._at)
        )


def install() -> None:
    """Load the module that the environment names with its defect, from now on."""
    module, _, place = os.environ.get(MUTANT, "").partition(":")
    already = any(isinstance(each, _Finder) for each in sys.meta_path)
    if module and not already:
        sys.meta_path.insert(0, _Finder(module, int(place)))
