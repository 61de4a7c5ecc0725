"""Connectors as plain data: the products that are installed, and the instances of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.connector import Connector

__all__ = ["instances_of", "product_document"]


def instances_of(app: Hikeshi) -> list[dict[str, Any]]:
    """Return the connectors of a project: `{name, product, bound_to}`."""
    return [
        {
            "name": name,
            "product": product,
            "bound_to": sorted(each for each, names in app.config.bindings.items() if name in names),
        }
        for name, product in app.config.products.items()
    ]


def product_document(app: Hikeshi, name: str) -> dict[str, Any]:
    """Return what an installed product can do and needs, and how far its connector is tried.

    `error` says why it can't be used, or is None. `quality` maps each rule to its status and reason, and is None for a
    connector without a checklist; `unverified` are the facts that are assumed of the product.
    """
    from hikeshi.connector.registry import ConnectorNotUsable

    try:
        connector = app.registry.load(name)
    except ConnectorNotUsable as exc:
        nothing: dict[str, Any] = {
            "capabilities": {},
            "actions": [],
            "least_privileges": [],
            "quality": None,
            "unverified": [],
        }
        return {"product": name, **nothing, "error": str(exc)}
    capabilities: dict[str, list[dict[str, Any]]] = {}
    for action, kinds in connector.supported().items():
        capability, _, verb = action.partition(".")
        taken = None if kinds is None else sorted(kinds)
        capabilities.setdefault(capability, []).append({"verb": verb, "kinds": taken})
    return {
        "product": name,
        "capabilities": capabilities,
        "actions": sorted(connector.supported()),
        "least_privileges": list(connector.least_privileges),
        **_quality(connector),
        "error": None,
    }


def _quality(connector: type[Connector]) -> dict[str, Any]:
    from hikeshi.connector.quality import ChecklistError, checklist_of

    try:
        checklist = checklist_of(connector)
    except ChecklistError:  # a third party's; its own tests say what is wrong with it
        checklist = None
    if checklist is None:
        return {"quality": None, "unverified": []}
    rules = {each.rule.name: {"status": each.status, "reason": each.reason} for each in checklist.standings}
    return {"quality": rules, "unverified": [{"fact": each.fact, "effect": each.effect} for each in checklist.facts]}
