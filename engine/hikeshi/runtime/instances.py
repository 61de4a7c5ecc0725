"""The configured connectors of a project, built when an action first needs them. One client each, never one a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.connector.registry import ConnectorNotUsable, Registry, build
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    from hikeshi.connector import Connector

__all__ = ["Instances"]


class Instances:
    """Connector instances by name."""

    def __init__(self, registry: Registry, configured: Mapping[str, Mapping[str, Any]], redactor: Redactor) -> None:
        self._registry = registry
        self._configured = configured
        self._redactor = redactor
        self._built: dict[str, Connector] = {}

    def get(self, name: str) -> Connector:
        """Return an instance, built once. Raises ConnectorNotUsable for one that is not configured, or wrongly."""
        if name not in self._built:
            settings = self._configured.get(name)
            if settings is None:
                known = ", ".join(self._configured) or "none"
                raise ConnectorNotUsable(f"the connector {name!r} is not in hikeshi.yaml (there: {known})")
            self._built[name] = self._build(name, dict(settings))
        return self._built[name]

    def _build(self, name: str, settings: dict[str, Any]) -> Connector:
        from pydantic import ValidationError

        product = self._registry.load(str(settings.pop("product", "")))
        try:
            return build(product, name, settings, self._redactor)
        except ValidationError as exc:
            problems = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
            raise ConnectorNotUsable(f"the settings of {name!r} are wrong: {problems}") from None

    async def aclose(self) -> None:
        """Close every client."""
        while self._built:
            _, connector = self._built.popitem()
            await connector.http.aclose()
