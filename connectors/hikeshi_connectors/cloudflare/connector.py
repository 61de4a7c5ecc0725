"""Cloudflare: what people behind Gateway may reach, and who may reach what stands behind Cloudflare.

Domains and URLs go into Gateway lists; addresses into a Gateway list, a list of the account or access rules, as the
settings say. Lists block nothing by themselves: policies and rules name them. Sources: see `stores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hikeshi.capabilities import Block, Dns, Firewall, Indicator, supports
from hikeshi.connector import Connector, ConnectorError, Pace, PartialFailure, Response, Route, Unsupported
from hikeshi_connectors.cloudflare.answers import check_answer
from hikeshi_connectors.cloudflare.settings import CloudflareSettings
from hikeshi_connectors.cloudflare.stores import AccessRules, GatewayList, RulesList, Store
from hikeshi_connectors.cloudflare.values import access_target, domain_of, list_address, shown_address, url_of

__all__ = ["Cloudflare"]

KINDS = {"ipv4", "ipv6", "cidr", "domain", "url"}
_COMMENT_MOST = 250


@dataclass(slots=True)
class _Batch:
    """Values by the place they go to, each with the indicators that mean it; and what is refused, with the reason."""

    values: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    refused: dict[str, ConnectorError] = field(default_factory=dict)

    def refuse(self, indicators: Sequence[str], error: ConnectorError) -> None:
        self.refused.update(dict.fromkeys(indicators, error))


class Cloudflare(Connector, Firewall, Dns, product="cloudflare"):
    """One Cloudflare account."""

    Settings = CloudflareSettings
    read_routes = (
        Route("GET", "/accounts/*/gateway/lists/*/items"),
        Route("GET", "/accounts/*/rules/lists/*/items"),
        Route("GET", "/accounts/*/rules/lists/bulk_operations/*"),
        Route("GET", "/accounts/*/firewall/access_rules/rules"),
        Route("GET", "/zones/*/firewall/access_rules/rules"),
    )
    # 1,200 requests in five minutes, those of the dashboard among them; over it everything is refused for five more.
    # A shorter span would let one request wait less after a long push, and a push of 100,000 take a third longer.
    pace = Pace(requests=1100, per_s=300.0)
    least_privileges = (
        "Account > Zero Trust > Edit, for Gateway lists",
        "Account > Account Filter Lists > Edit, for rules_list only",
        "Account > Account Firewall Access Rules > Edit, or Zone > Firewall Services > Edit, for access_rules only",
    )

    settings: CloudflareSettings

    def set_up(self) -> None:
        self.http.authorize = self._token
        account = self.settings.account_id
        self._stores: dict[str, Store] = {}
        for name, canonical in (
            ("domain_list", str.lower),
            ("url_list", str),
            ("ip_list", shown_address),
            ("sinkhole_list", str.lower),
        ):
            list_id = getattr(self.settings, name)
            if list_id is not None:
                self._stores[name] = GatewayList(self.http, account, list_id, canonical)
        if self.settings.rules_list is not None:
            self._stores["rules_list"] = RulesList(self.http, account, self.settings.rules_list)
        zone = self.settings.zone_id
        self._stores["access_rules"] = AccessRules(self.http, f"zones/{zone}" if zone else f"accounts/{account}")

    def check(self, response: Response) -> None:
        """Judge an answer by its envelope."""
        check_answer(response)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read the lists or access rules. Only exact entries count; whether a policy names a list is not read."""
        return await self._read(indicators, sinkhole=False)

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - Cloudflare knows no end: the hold ends it
        """Add the indicators to their lists, one request for each list, or one for each access rule.

        Raises PartialFailure for what is refused, Unsupported for a kind for which no list is configured.
        """
        await self._change(indicators, reason, sinkhole=False)

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - nothing keeps it
        """Take the indicators out of their lists, or delete their access rules. Raises as blocking does."""
        await self._change(indicators, None, sinkhole=False)

    @supports(kinds={"domain"})
    async def sinkholes_of(self, domains: list[Indicator]) -> list[Block]:
        """Read the list of sinkholes."""
        return await self._read(domains, sinkhole=True)

    @supports(kinds={"domain"})
    async def sinkhole_domains(self, domains: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - see block_indicators
        """Add domains to the list of sinkholes. A DNS policy that names it answers for the names below as well."""
        await self._change(domains, reason, sinkhole=True)

    @supports(kinds={"domain"})
    async def unsinkhole_domains(self, domains: list[Indicator], reason: str) -> None:  # noqa: ARG002 - nothing keeps it
        """Take domains out of the list of sinkholes."""
        await self._change(domains, None, sinkhole=True)

    # --- requests

    async def _token(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_token)}"}

    async def _read(self, indicators: Sequence[Indicator], *, sinkhole: bool) -> list[Block]:
        batch = self._sorted(indicators, sinkhole=sinkhole)
        blocked: set[str] = set()
        for name, values in batch.values.items():
            there = await self._stores[name].entries(values)
            blocked |= {each for value, meant in values.items() if value in there for each in meant}
        return [
            Block(connector=self.name, kind=each.kind, value=each.value, blocked=each.value in blocked)
            for each in indicators
        ]

    async def _change(self, indicators: Sequence[Indicator], reason: str | None, *, sinkhole: bool) -> None:
        """Add values with a reason, or remove them without one, place by place; raise what was refused.

        The list of the account comes last: it is a job, and its answer has to be read.
        """
        batch = self._sorted(indicators, sinkhole=sinkhole)
        sent = False
        for name in sorted(batch.values, key=lambda name: name == "rules_list"):
            values, store = batch.values[name], self._stores[name]
            try:
                if reason is None:
                    await store.remove(list(values))
                else:
                    await store.add(list(values), reason[:_COMMENT_MOST])
                sent = True
            except PartialFailure as exc:
                sent = True
                for value, error in exc.failures.items():
                    batch.refuse(values[value], error)
            except ConnectorError as exc:
                if len(batch.values) == 1 and not batch.refused:
                    raise
                batch.refuse([each for meant in values.values() for each in meant], exc)
        if len(batch.refused) == 1 and not sent:
            raise next(iter(batch.refused.values()))
        if batch.refused:
            raise PartialFailure(batch.refused)

    # --- decisions

    def _sorted(self, indicators: Sequence[Indicator], *, sinkhole: bool) -> _Batch:
        batch = _Batch()
        for indicator in indicators:
            try:
                name, value = self._place(indicator, sinkhole=sinkhole)
            except ConnectorError as exc:
                batch.refuse([indicator.value], exc)
                continue
            batch.values.setdefault(name, {}).setdefault(value, []).append(indicator.value)
        return batch

    def _place(self, indicator: Indicator, *, sinkhole: bool) -> tuple[str, str]:
        """Return where an indicator is kept, and in which form. Raises Unsupported where there is no list for it."""
        if indicator.kind == "domain":
            name, value = ("sinkhole_list" if sinkhole else "domain_list"), domain_of(indicator.value)
        elif indicator.kind == "url":
            name, value = "url_list", url_of(indicator.value)
        elif self.settings.addresses == "access_rules":
            name, value = "access_rules", access_target(indicator.value)[1]
        else:
            name, value = self.settings.addresses, list_address(indicator.value)
        if name not in self._stores:
            raise Unsupported(f"{self.name}: no list for {indicator.kind} indicators: set `{name}` in hikeshi.yaml")
        return name, value
