"""The playbook language: types, loading, checks, expressions, the library of files. Pure but for reading those files.

The public names are imported when first used: a command that needs one part does not pay for the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.playbook.check import check_bindings, check_playbook
    from hikeshi.playbook.check_voters import check_people
    from hikeshi.playbook.graph import mermaid
    from hikeshi.playbook.library import Library, NotLoadable, UnknownPlaybook, check_folder
    from hikeshi.playbook.model import Playbook, Position
    from hikeshi.playbook.parse import load_playbook
    from hikeshi.playbook.problem import Problem
    from hikeshi.playbook.schema import playbook_schema

__all__ = [
    "Library",
    "NotLoadable",
    "Playbook",
    "Position",
    "Problem",
    "UnknownPlaybook",
    "check_bindings",
    "check_folder",
    "check_people",
    "check_playbook",
    "load_playbook",
    "mermaid",
    "playbook_schema",
]

_HOMES = {
    "check": ("check_bindings", "check_playbook"),
    "check_voters": ("check_people",),
    "graph": ("mermaid",),
    "library": ("Library", "NotLoadable", "UnknownPlaybook", "check_folder"),
    "model": ("Playbook", "Position"),
    "parse": ("load_playbook",),
    "problem": ("Problem",),
    "schema": ("playbook_schema",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
