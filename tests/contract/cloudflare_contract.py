"""How the contract kit calls Cloudflare."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.cloudflare import Cloudflare
from hikeshi_connectors.cloudflare.simulator import GATEWAY_LISTS, CloudflareSimulator

DOMAINS = [Indicator(kind="domain", value="evil.example")]
SITES = [*DOMAINS, Indicator(kind="url", value="https://evil.example/a?b=c")]
ADDRESSES = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="cidr", value="2001:db8:1::/48")]


def estate() -> EstateState:
    return EstateState("small", datetime.now(UTC).replace(microsecond=0), settle_s=0.05)


def fill(estate: Estate) -> int:
    state = estate.product_state["cloudflare"]
    state["gateway"][GATEWAY_LISTS["DOMAIN"]] = {f"n{n}.example": {"description": ""} for n in range(1_100)}
    state["rules"] = {f"10.0.{n >> 8}.{n & 255}": {"id": f"{n:032x}", "comment": ""} for n in range(600)}
    return len(SITES) + len(ADDRESSES)


CONTRACT = Contract(
    connector=Cloudflare,
    simulator=CloudflareSimulator,
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": [*SITES, *ADDRESSES]}, fill=fill),
        Case("firewall.block_indicators", {"indicators": SITES[:1], "reason": "r"}),
        Case(
            "firewall.block_indicators",
            {"indicators": ADDRESSES, "reason": "r"},
            expect=lambda estate: "203.0.113.9" in estate.product_state["cloudflare"]["rules"],
        ),
        Case(
            "firewall.unblock_indicators",
            {"indicators": ADDRESSES, "reason": "r"},
            after="firewall.block_indicators",
        ),
        Case(
            "firewall.unblock_indicators", {"indicators": SITES[1:], "reason": "r"}, after="firewall.block_indicators"
        ),
        Case("dns.sinkholes_of", {"domains": DOMAINS}),
        Case("dns.sinkhole_domains", {"domains": DOMAINS, "reason": "r"}),
        Case("dns.unsinkhole_domains", {"domains": DOMAINS, "reason": "r"}, after="dns.sinkhole_domains"),
    ],
    volatile=("product_state.cloudflare.jobs",),
    exempt={
        "native_expiry_ends_a_change": "entries of lists and access rules have no end; the hold ends them",
        **{
            f"read_routes_are_minimal:GET /{scope}/*/firewall/access_rules/rules": "used with another setting"
            for scope in ("accounts", "zones")
        },
    },
)
