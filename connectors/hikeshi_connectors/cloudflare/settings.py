"""The settings of a Cloudflare instance."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["CloudflareSettings"]

AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
ListId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$")]


class CloudflareSettings(ConnectorSettings):
    """What hikeshi.yaml says of one Cloudflare account. Lists are named by their IDs, which never change."""

    base_url: str = "https://api.cloudflare.com/client/v4"
    api_token: Secret
    account_id: AccountId
    # Gateway lists of the types DOMAIN, URL and IP.
    domain_list: ListId | None = None
    url_list: ListId | None = None
    ip_list: ListId | None = None
    # An account list of the kind ip, for rules of the web application firewall.
    rules_list: ListId | None = None
    # Which of them takes addresses and networks; the last needs no list.
    addresses: Literal["ip_list", "rules_list", "access_rules"] = "ip_list"
    # Access rules of one zone instead of the whole account.
    zone_id: AccountId | None = None
    # A Gateway list of the type DOMAIN for sinkholes; not the one for blocks.
    sinkhole_list: ListId | None = None

    @model_validator(mode="after")
    def _each_list_for_one_thing(self) -> Self:
        named = [self.domain_list, self.url_list, self.ip_list, self.rules_list, self.sinkhole_list]
        given = [each for each in named if each is not None]
        if len(set(given)) != len(given):
            raise ValueError(
                "each list is for one thing: a domain that one action releases would be free for the other"
            )
        return self
