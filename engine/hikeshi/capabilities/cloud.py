"""Cloud accounts: their virtual machines and the keys that open them."""

from __future__ import annotations

from hikeshi.capabilities.action import change, read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.effect import Recovery
from hikeshi.capabilities.entities import AccessKey, ApiCall, InstanceNetwork, KeyState, VirtualMachine

__all__ = ["Cloud"]


def is_quarantined(state: InstanceNetwork, _prior: InstanceNetwork) -> bool:
    return state.quarantined


def is_connected(state: InstanceNetwork, _prior: InstanceNetwork) -> bool:
    return not state.quarantined


def is_inactive(state: KeyState, _prior: KeyState) -> bool:
    return not state.active


def is_active(state: KeyState, _prior: KeyState) -> bool:
    return state.active


class Cloud(Capability, name="cloud"):
    """Cloud providers. Quarantine acts on a virtual machine's network, from outside; an EDR isolates from inside."""

    @read
    async def find_machines(self, name: str) -> list[VirtualMachine]:
        """Find virtual machines by name, ID or IP address. An empty list means that the account has none."""
        raise NotImplementedError

    @read(one_of="find_machines")
    async def get_machine(self, name: str) -> VirtualMachine:
        """Get the one virtual machine of this name, ID or IP address. None or several are an error."""
        raise NotImplementedError

    @read
    async def network_of(self, machine: VirtualMachine) -> InstanceNetwork:
        """Read which security groups a virtual machine is in, and whether they are the quarantine's alone."""
        raise NotImplementedError

    @change(
        target="machine",
        undo="reconnect_machine",
        verify="network_of",
        done=is_quarantined,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def quarantine_machine(self, machine: VirtualMachine, reason: str) -> None:
        """Cut a virtual machine off by its network; where it was connected before is kept beside it, for the undo."""
        raise NotImplementedError

    @change(
        target="machine",
        undo="quarantine_machine",
        verify="network_of",
        done=is_connected,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def reconnect_machine(self, machine: VirtualMachine, reason: str) -> None:
        """Connect a virtual machine as it was before the quarantine."""
        raise NotImplementedError

    @read
    async def find_access_keys(self, name: str) -> list[AccessKey]:
        """Find access keys by their ID, or all keys of the account of this name."""
        raise NotImplementedError

    @read(one_of="find_access_keys")
    async def get_access_key(self, name: str) -> AccessKey:
        """Get the one access key of this ID, or the only one of an account. None or several are an error."""
        raise NotImplementedError

    @read
    async def key_state_of(self, key: AccessKey) -> KeyState:
        """Read whether an access key opens anything."""
        raise NotImplementedError

    @change(
        target="key",
        undo="activate_key",
        verify="key_state_of",
        done=is_inactive,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def deactivate_key(self, key: AccessKey, reason: str) -> None:
        """Keep an access key from opening anything. Sessions that were begun with it may live on."""
        raise NotImplementedError

    @change(
        target="key",
        undo="deactivate_key",
        verify="key_state_of",
        done=is_active,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def activate_key(self, key: AccessKey, reason: str) -> None:
        """Let an access key open what it opened before."""
        raise NotImplementedError

    @read
    async def search_api_calls(self, name: str, since_s: int = 86400) -> list[ApiCall]:
        """Find calls that an account or an access key made in the last `since_s` seconds; newest first."""
        raise NotImplementedError
