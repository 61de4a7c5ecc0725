"""The settings of an nftables instance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hikeshi.connector import ConnectorSettings

__all__ = ["NftablesSettings"]

# Narrower than nft's own identifiers: the names also pass through the shell at the other end of an ssh.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,30}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$")]


class NftablesSettings(ConnectorSettings):
    """What hikeshi.yaml says of one firewall."""

    # Where the firewall is, for the list of what no playbook may cut off; nothing is sent there.
    base_url: str = "nft://localhost"
    # The words before "-j": nft itself, or what reaches it.
    command: Annotated[tuple[Word, ...], Field(min_length=1)] = ("nft",)
    family: Literal["inet", "ip", "ip6", "bridge", "netdev"] = "inet"
    table: Name = "hikeshi"
    # Null for a set that the firewall does not have: what would go there is then refused.
    addresses4: Name | None = "blocked4"
    addresses6: Name | None = "blocked6"
    networks4: Name | None = "networks4"
    networks6: Name | None = "networks6"
