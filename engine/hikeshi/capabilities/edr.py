"""Endpoint detection and response: what runs on hosts, and cutting one off."""

from __future__ import annotations

from hikeshi.capabilities.action import change, read
from hikeshi.capabilities.blocking import is_blocked, is_not_blocked
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.effect import Recovery
from hikeshi.capabilities.entities import Activity, Alert, Block, Host, HostUser, Indicator, Isolation, Severity

__all__ = ["Edr"]


def is_isolated(state: Isolation, _prior: Isolation) -> bool:
    return state.state == "isolated"


def is_normal(state: Isolation, _prior: Isolation) -> bool:
    return state.state == "normal"


class Edr(Capability, name="edr"):
    """Endpoint detection and response."""

    @read
    async def find_hosts(self, name: str) -> list[Host]:
        """Find hosts by name, ID or IP address. An empty list means that the product knows none."""
        raise NotImplementedError

    @read(one_of="find_hosts")
    async def get_host(self, name: str) -> Host:
        """Get the one host of this name, ID or IP address. None or several are an error; several are listed."""
        raise NotImplementedError

    @read
    async def isolation_of(self, host: Host) -> Isolation:
        """Read whether a host is isolated."""
        raise NotImplementedError

    @change(
        target="host",
        undo="release_host",
        verify="isolation_of",
        done=is_isolated,
        settle_s=300,
        recovery=Recovery.VERIFIABLE,
    )
    async def isolate_host(self, host: Host, reason: str) -> None:
        """Cut a host off the network; it stays reachable for the EDR alone."""
        raise NotImplementedError

    @change(
        target="host",
        undo="isolate_host",
        verify="isolation_of",
        done=is_normal,
        settle_s=300,
        recovery=Recovery.VERIFIABLE,
    )
    async def release_host(self, host: Host, reason: str) -> None:
        """Lift the isolation of a host."""
        raise NotImplementedError

    @read
    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List alerts of the last `since_s` seconds, newest first, at least as severe as `severity`."""
        raise NotImplementedError

    @read
    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts that talked to an address or domain in the last `since_s` seconds."""
        raise NotImplementedError

    @read
    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts on which a file with this SHA-256 was seen in the last `since_s` seconds."""
        raise NotImplementedError

    @read
    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        """List the accounts that signed in to a host in the last `since_s` seconds."""
        raise NotImplementedError

    @read
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which of these hashes are blocked; one answer for each, in the same order."""
        raise NotImplementedError

    @change(
        target="hashes",
        undo="unblock_hashes",
        verify="hash_blocks_of",
        done=is_blocked,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Keep files with these hashes from running on every host."""
        raise NotImplementedError

    @change(
        target="hashes",
        undo="block_hashes",
        verify="hash_blocks_of",
        done=is_not_blocked,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:
        """Let files with these hashes run again."""
        raise NotImplementedError
