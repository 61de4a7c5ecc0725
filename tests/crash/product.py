"""The connector of a small product that has an action of every recovery class, so that each can be killed."""

from __future__ import annotations

from typing import Any

from hikeshi.capabilities import (
    Block,
    Edr,
    Firewall,
    Host,
    Indicator,
    Isolation,
    Message,
    Messaging,
    Model,
    Recovery,
    Severity,
    change,
    read,
)
from hikeshi.connector import Connector, Route
from hikeshi.connector.door import current_door

__all__ = ["CLASSES", "Box", "Tag"]

# What the product is asked to do, and how the engine recovers it.
CLASSES = {
    "isolate": "verifiable",
    "release": "verifiable",
    "block": "verifiable",
    "unblock": "verifiable",
    "tag": "idempotent",
    "wipe": "manual",
    "shred": "manual",
    "post": "notification",
}


class Tag(Model):
    """Whether a tag is there."""

    connector: str
    name: str
    there: bool


def is_there(state: Tag, _prior: Tag) -> bool:
    return state.there


class Box(Connector, Edr, Firewall, Messaging, product="box"):
    """One instance of the product. Every action has an address of its own, so that a request tells what it is for."""

    read_routes = (Route("GET", "/**"),)

    async def find_hosts(self, name: str) -> list[Host]:
        found = await self._read("hosts", [name])
        return [Host(connector=self.name, id=entry["name"], name=entry["name"]) for entry in found]

    async def isolation_of(self, host: Host) -> Isolation:
        (entry,) = await self._read("isolate", [host.id])
        return Isolation(connector=self.name, host_id=host.id, state=entry["state"])

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._send("isolate", [host.id])

    async def release_host(self, host: Host, reason: str) -> None:
        await self._send("release", [host.id])

    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        found = await self._read("block", [each.value for each in indicators])
        return [
            Block(connector=self.name, kind=each.kind, value=each.value, blocked=entry["state"] == "done")
            for each, entry in zip(indicators, found, strict=True)
        ]

    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        await self._send("block", [each.value for each in indicators])

    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        await self._send("unblock", [each.value for each in indicators])

    @read
    async def tags_of(self, names: list[str]) -> list[Tag]:
        """Read which tags are there."""
        found = await self._read("tag", names)
        return [Tag(connector=self.name, name=entry["name"], there=entry["state"] == "done") for entry in found]

    @change(
        target="names", undo=None, because="of the test", verify="tags_of", done=is_there, recovery=Recovery.IDEMPOTENT
    )
    async def tag(self, names: list[str]) -> None:
        """Put tags. The product knows a repetition by its key."""
        await self._send("tag", names)

    @change(target="name", undo=None, because="it cannot be taken back", recovery=Recovery.MANUAL)
    async def wipe(self, name: str) -> None:
        """Wipe something."""
        await self._send("wipe", [name])

    @change(target="names", undo=None, because="it cannot be taken back", recovery=Recovery.MANUAL)
    async def shred(self, names: list[str]) -> None:
        """Shred several things."""
        await self._send("shred", names)

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        await self._send("post", [text])
        return Message(connector=self.name, id=text, channel=channel)

    async def _read(self, what: str, names: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.http.get(f"/{what}", params={"name": names})).json()
        return found

    async def _send(self, what: str, names: list[str]) -> None:
        door = current_door()
        assert door is not None
        headers = {"idempotency-key": door.key}
        await self.http.post(f"/{what}", json={"names": names}, headers=headers, last=True)
