"""How the contract kit calls VirusTotal."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import EstateState
from hikeshi_connectors.virustotal import VirusTotal
from hikeshi_connectors.virustotal.simulator import VirusTotalSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHA256 = "a" * 64
KNOWN = {
    "ip_addresses": {"203.0.113.9": {"malicious": 9, "harmless": 81}},
    "domains": {"evil.example": {"malicious": 1, "undetected": 89}},
    "urls": {"https://evil.example/a?b=c": {"harmless": 90}},
    "files": {SHA256: {"malicious": 60, "undetected": 10}},
}


def estate() -> EstateState:
    return EstateState("small", BASE, product_state={"virustotal": KNOWN})


CONTRACT = Contract(
    connector=VirusTotal,
    simulator=VirusTotalSimulator,
    estate=estate,
    settings={"requests_per_minute": 60_000},
    cases=[
        Case("intel.opinions_on", {"indicator": Indicator(kind=kind, value=value)})
        for kind, value in (
            ("ipv4", "203.0.113.9"),
            ("domain", "evil.example"),
            ("url", "https://evil.example/a?b=c"),
            ("sha256", SHA256),
        )
    ],
    exempt={
        "rate_limit_hint": "VirusTotal names no delay; that it is RateLimited has a test of its own",
        "pages_are_complete": "one object is asked for, and it has no pages",
    },
)
