"""Assets: what there is, what runs on it, who answers for it, and what can be reached from outside."""

from __future__ import annotations

from hikeshi.capabilities.action import read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.entities import Asset

__all__ = ["Assets"]


class Assets(Capability, name="assets"):
    """Inventories. What an inventory does not say of an asset is None, never False."""

    @read
    async def find_assets(self, name: str) -> list[Asset]:
        """Find assets by name, ID or IP address. An empty list means that the inventory has none."""
        raise NotImplementedError

    @read(one_of="find_assets")
    async def get_asset(self, name: str) -> Asset:
        """Get the one asset of this name, ID or IP address. None or several are an error; several are listed."""
        raise NotImplementedError

    @read
    async def search_assets(
        self, software: str, versions: list[str] | None = None, exposed: bool | None = None
    ) -> list[Asset]:
        """Find assets that run a software, by its name; of these versions, and exposed to the internet, if asked."""
        raise NotImplementedError
