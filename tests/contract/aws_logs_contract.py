"""How the contract kit calls AWS's logs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.aws_logs import AwsLogs
from hikeshi_connectors.aws_logs.simulated_state import LOG_GROUP, guardduty_finding, hub_finding, log_entry
from hikeshi_connectors.aws_logs.simulator import AwsLogsSimulator

# Searches reach up to the present, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
QUERY = "fields @timestamp, @message | filter @message like /REJECT/"


def before(minutes: float) -> datetime:
    return BASE - timedelta(minutes=minutes)


def estate() -> EstateState:
    state: Any = {
        "logs": {LOG_GROUP: [log_entry(before(9), "10.0.0.7 203.0.113.9 443 REJECT")]},
        "guardduty": [guardduty_finding("f-0", before(5), 8.0)],
        "hub": [hub_finding("h-0", before(6), "HIGH"), hub_finding("h-1", before(6), "HIGH", product="GuardDuty")],
        "hub_enabled": True,
    }
    return EstateState("small", BASE, settle_s=0.05, product_state={"aws_logs": state})


def many_entries(estate: Estate) -> int:
    entries = [log_entry(before(1 + n / 100), f"10.0.0.7 203.0.113.9 {n} REJECT") for n in range(250)]
    estate.product_state["aws_logs"]["logs"][LOG_GROUP] = entries
    return len(entries)


def many_findings(estate: Estate) -> int:
    state = estate.product_state["aws_logs"]
    state["guardduty"] += [guardduty_finding(f"f-{n}", before(1 + n / 100), 9.0) for n in range(1, 120)]
    state["hub"] += [hub_finding(f"h-{n}", before(1 + n / 100), "LOW") for n in range(2, 130)]
    return len(state["guardduty"]) + len(state["hub"]) - 1


CONTRACT = Contract(
    connector=AwsLogs,
    simulator=AwsLogsSimulator,
    settings={"role_arn": "arn:aws:iam::123456789012:role/hikeshi", "requests_per_minute": 60_000},
    estate=estate,
    cases=[
        Case("siem.search_logs", {"query": QUERY}, fill=many_entries),
        Case("siem.search_logs_for", {"indicator": ADDRESS}),
        Case("siem.list_detections", {}, fill=many_findings),
        Case("siem.list_detections", {"severity": "high"}),
    ],
    exempt={
        "rate_limit_hint": "AWS does not say for how long to wait; that it is RateLimited has a test of its own",
        "secrets_are_never_shown": "each request has a signature of its own in a header, good for nothing else and "
        "not to be masked; that keys and tokens are shown nowhere has a test of its own",
    },
)
