"""Directories: who may sign in, and what they may do."""

from __future__ import annotations

from hikeshi.capabilities.action import change, read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.effect import Recovery
from hikeshi.capabilities.entities import Account, Group, Membership, Sessions, User

__all__ = ["Identity"]


def is_disabled(state: Account, _prior: Account) -> bool:
    return not state.enabled


def is_enabled(state: Account, _prior: Account) -> bool:
    return state.enabled


def is_newer(state: Sessions, prior: Sessions) -> bool:
    """Judge a revocation: sign-ins count from a later moment than before."""
    if state.valid_from is None:
        return False
    return prior.valid_from is None or state.valid_from > prior.valid_from


def is_member(state: Membership, _prior: Membership) -> bool:
    return state.member


def is_no_member(state: Membership, _prior: Membership) -> bool:
    return not state.member


class Identity(Capability, name="identity"):
    """Directories and identity providers."""

    @read
    async def find_users(self, name: str) -> list[User]:
        """Find accounts by sign-in name, e-mail address or ID. An empty list means that the directory knows none."""
        raise NotImplementedError

    @read(one_of="find_users")
    async def get_user(self, name: str) -> User:
        """Get the one account of this sign-in name, e-mail address or ID. None or several are an error."""
        raise NotImplementedError

    @read
    async def account_of(self, user: User) -> Account:
        """Read whether an account may sign in."""
        raise NotImplementedError

    @change(
        target="user",
        undo="enable_user",
        verify="account_of",
        done=is_disabled,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def disable_user(self, user: User, reason: str) -> None:
        """Keep an account from signing in."""
        raise NotImplementedError

    @change(
        target="user",
        undo="disable_user",
        verify="account_of",
        done=is_enabled,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def enable_user(self, user: User, reason: str) -> None:
        """Let an account sign in again."""
        raise NotImplementedError

    @read
    async def sessions_of(self, user: User) -> Sessions:
        """Read from when on an account's sign-ins count."""
        raise NotImplementedError

    @change(
        target="user",
        undo=None,
        because="ended sessions cannot be given back; the person signs in again",
        verify="sessions_of",
        done=is_newer,
        settle_s=120,
        recovery=Recovery.VERIFIABLE,
    )
    async def revoke_sessions(self, user: User, reason: str) -> None:
        """End every session of an account. Access tokens already given out may live on for about an hour."""
        raise NotImplementedError

    @read
    async def groups_of(self, user: User) -> list[Group]:
        """List the groups and roles an account is a direct member of."""
        raise NotImplementedError

    @read
    async def membership_of(self, user: User, group: Group) -> Membership:
        """Read whether an account is a direct member of a group."""
        raise NotImplementedError

    @change(
        target="user",
        undo="add_to_group",
        verify="membership_of",
        done=is_no_member,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        """Take an account out of a group or role."""
        raise NotImplementedError

    @change(
        target="user",
        undo="remove_from_group",
        verify="membership_of",
        done=is_member,
        settle_s=60,
        recovery=Recovery.VERIFIABLE,
    )
    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        """Put an account into a group or role."""
        raise NotImplementedError
