"""Connectors are found by entry point, like any third party's, and loaded only when a project uses them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from hikeshi.capabilities import BUILT_IN, Catalogue, Instance
from hikeshi.connector.connector import Connector
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    import httpx

__all__ = ["GROUP", "ConnectorNotUsable", "Registry", "fill_catalogue"]

GROUP = "hikeshi.connectors"


class ConnectorNotUsable(Exception):
    """A product has no connector here, or its connector or settings do not load. The operator is to mend it."""


class Registry:
    """The connector classes that are installed, by product."""

    def __init__(self) -> None:
        self._points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
        self._classes: dict[str, type[Connector]] = {}

    def products(self) -> list[str]:
        """Return the installed products, without loading any of them."""
        return sorted({*self._points, *self._classes})

    def add(self, connector: type[Connector]) -> None:
        """Make a connector class known that no entry point names."""
        self._classes[connector.product] = connector

    def load(self, product: str) -> type[Connector]:
        """Return the connector class of a product. Raises ConnectorNotUsable."""
        if product not in self._classes:
            point = self._points.get(product)
            if point is None:
                near = difflib.get_close_matches(product, self.products(), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(self.products()) or "none"
                raise ConnectorNotUsable(f"no connector for the product {product!r}{hint} (installed: {known})")
            self._classes[product] = _load(point)
        return self._classes[product]


def build(
    connector: type[Connector],
    name: str,
    settings: Mapping[str, Any],
    redactor: Redactor,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Connector:
    """Return a ready instance with its guarded client. Raises pydantic.ValidationError for wrong settings."""
    from hikeshi.connector.http import HttpClient

    parsed = connector.Settings.model_validate(dict(settings))
    http = HttpClient(
        name=name,
        bases=connector.bases(parsed),
        read_routes=connector.routes_of(parsed),
        timeout_s=parsed.timeout_s,
        ca_file=parsed.ca_file,
        volatile=connector.volatile,
        pace=connector.pace_of(parsed),
        public_only=connector.public_only(parsed),
        never=connector.never,
        transport=transport,
    )
    http.mask = redactor.text
    instance = connector(name, parsed, http, redactor)
    http.check = instance.check
    return instance


def fill_catalogue(registry: Registry, products: Mapping[str, str]) -> Catalogue:
    """Return the catalogue of a project: every built-in action, those of its connectors, and its instances by name."""
    catalogue = Catalogue()
    for capability in BUILT_IN:
        catalogue.add(capability.specs())
    for name, product in products.items():
        connector = registry.load(product)
        for further in connector.capabilities():
            if further not in BUILT_IN:
                catalogue.add(further.specs())
        catalogue.add(connector.own_actions())
        catalogue.instances[name] = Instance(name, product, connector.supported())
    return catalogue


def _load(point: EntryPoint) -> type[Connector]:
    try:
        found = point.load()
    except Exception as exc:  # a third party's module may raise anything while it is imported
        raise ConnectorNotUsable(f"the connector {point.value} does not load: {type(exc).__name__}: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise ConnectorNotUsable(f"{point.value} is not a connector class")
    return found
