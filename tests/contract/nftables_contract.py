"""How the contract kit calls nftables."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.nftables import Nftables
from hikeshi_connectors.nftables.simulator import NftablesSimulator

# The connector says when a block ends by its own clock, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
MIXED = [ADDRESS, Indicator(kind="ipv6", value="2001:db8::9"), Indicator(kind="cidr", value="198.51.100.0/24")]
NO_HTTP = "a read here is the run of a command, and the kit looks for an HTTP request of the connector's"


def estate() -> EstateState:
    return EstateState("small", BASE, settle_s=0.05)


def sets(estate: Estate) -> dict[str, dict[str, int | None]]:
    found: dict[str, dict[str, int | None]] = estate.product_state["nftables"]["elements"]
    return found


CONTRACT = Contract(
    connector=Nftables,
    simulator=NftablesSimulator,
    estate=estate,
    cases=[
        Case(
            "firewall.block_indicators",
            {"indicators": [ADDRESS], "reason": "r", "expires_in_s": 3600},
            expect=lambda estate: sets(estate)["blocked4"] == {"203.0.113.9": 3600},
        ),
        Case(
            "firewall.block_indicators",
            {"indicators": MIXED, "reason": "r"},
            expect=lambda estate: sets(estate)["networks4"] == {"198.51.100.0/24": None},
        ),
        Case("firewall.unblock_indicators", {"indicators": MIXED, "reason": "r"}, after="firewall.block_indicators"),
    ],
    volatile=("product_state.nftables.ends",),
    exempt={
        "actions_run:firewall.blocks_of": NO_HTTP,
        "pages_are_complete": "nft lists a set whole",
        "rate_limit_hint": "nft has no rate limit",
        "wrong_credentials": "nft has no credentials of its own; whom ssh or sudo lets in is theirs to say",
        "secrets_are_never_shown": "there is no secret in the settings",
    },
)
