"""The pages of the console, one a module. Each has a function that builds it for one reader."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any

__all__ = ["PAGES", "load"]

# The path, which place of the navigation it belongs to, and the module.
PAGES = (
    ("/", "waiting", "waiting"),
    ("/playbooks", "playbooks", "playbooks"),
    ("/playbooks/{playbook}", "playbooks", "playbook"),
    ("/plans/{run}", "runs", "plan"),
    ("/runs", "runs", "runs"),
    ("/runs/{run}", "runs", "run"),
    ("/holds", "holds", "holds"),
    ("/stop", "stop", "stop"),
    ("/triggers", "triggers", "triggers"),
    ("/audit", "audit", "audit"),
    ("/connectors", "connectors", "connectors"),
    ("/{rest:path}", "", "nowhere"),
)


def load(name: str, values: Mapping[str, str]) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Return what builds a page, with the values of its path."""
    build = getattr(import_module(f"hikeshi.console.pages.{name}"), f"{name}_page")

    async def built(page: Any) -> None:
        await build(page, **values)

    return built
