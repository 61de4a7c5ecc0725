"""How the contract kit calls AWS IAM."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_iam.simulated_state import new_group, new_user
from hikeshi_connectors.aws_iam.simulator import AwsIamSimulator

# The event history is asked up to the present, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
OPS = "arn:aws:iam::123456789012:policy/ops"
ALL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
USER = one("identity.find_users", name="mei")
GROUP = one("identity.groups_of", user=USER)
KEY = one("cloud.find_access_keys", name="mei")


def event(n: int) -> dict[str, Any]:
    at = (BASE - timedelta(seconds=60 + n)).timestamp()
    detail = json.dumps({"sourceIPAddress": "198.51.100.7", "errorCode": "AccessDenied"})
    shown = {"EventId": f"e-{n}", "EventName": "GetObject", "EventSource": "s3.amazonaws.com", "EventTime": at}
    return {**shown, "Username": "mei", "CloudTrailEvent": detail}


def estate() -> EstateState:
    state = {
        "users": {"mei": new_user("mei", 1, created=BASE.isoformat(), keys=1)},
        "groups": {"ops": new_group("mei", attached=(OPS,))},
        "policies": {OPS: ALL},
        "events": [event(0)],
    }
    state["groups"]["ops"]["policies"] = {"own": ALL}
    return EstateState("small", BASE, product_state={"aws_iam": state})


def of(estate: Estate) -> Any:
    return estate.product_state["aws_iam"]


def only_own_policy(estate: Estate) -> None:
    of(estate)["groups"]["ops"]["attached"] = []


def many_users(estate: Estate) -> int:
    of(estate)["users"].update({f"u{n}": new_user(f"u{n}", n, created=BASE.isoformat()) for n in range(2, 250)})
    return 1


def many_events(estate: Estate) -> int:
    of(estate)["events"] = [event(n) for n in range(70)]
    return 70


def status(estate: Estate) -> str:
    return str(next(iter(of(estate)["users"]["mei"]["keys"].values())))


def policies(estate: Estate) -> set[str]:
    return set(of(estate)["users"]["mei"]["policies"])


CHANGE = {"user": USER, "reason": "r"}
CONTRACT = Contract(
    connector=AwsIam,
    simulator=AwsIamSimulator,
    settings={"role_arn": "arn:aws:iam::123456789012:role/hikeshi", "requests_per_minute": 60_000},
    estate=estate,
    cases=[
        Case("identity.find_users", {"name": "MEI"}, fill=many_users),
        Case("identity.account_of", {"user": USER}),
        Case("identity.sessions_of", {"user": USER}),
        Case("identity.groups_of", {"user": USER}),
        Case("identity.groups_of", {"user": USER}, arrange=only_own_policy),
        Case("identity.membership_of", {"user": USER, "group": GROUP}),
        Case("identity.disable_user", CHANGE, expect=lambda e: policies(e) == {"HikeshiDenyAll"}),
        Case("identity.enable_user", CHANGE, after="identity.disable_user", expect=lambda e: not policies(e)),
        Case("identity.revoke_sessions", CHANGE, expect=lambda e: policies(e) == {"AWSRevokeOlderSessions"}),
        Case(
            "identity.remove_from_group",
            {**CHANGE, "group": GROUP},
            expect=lambda e: not of(e)["groups"]["ops"]["members"],
        ),
        Case(
            "identity.add_to_group",
            {**CHANGE, "group": GROUP},
            after="identity.remove_from_group",
            expect=lambda e: of(e)["groups"]["ops"]["members"] == ["mei"],
        ),
        Case("cloud.find_access_keys", {"name": "mei"}),
        Case("cloud.find_access_keys", {"name": "AKIA00000001KEY00000"}),
        Case("cloud.key_state_of", {"key": KEY}),
        Case("cloud.deactivate_key", {"key": KEY, "reason": "r"}, expect=lambda e: status(e) == "Inactive"),
        Case(
            "cloud.activate_key",
            {"key": KEY, "reason": "r"},
            after="cloud.deactivate_key",
            expect=lambda e: status(e) == "Active",
        ),
        Case("cloud.search_api_calls", {"name": "mei"}, fill=many_events),
    ],
    exempt={
        "rate_limit_hint": "AWS does not say for how long to wait; that it is RateLimited has a test of its own",
        "secrets_are_never_shown": "each request has a signature of its own in a header, good for nothing else and "
        "not to be masked; that keys and tokens are shown nowhere has a test of its own",
    },
)
