"""Plans every playbook that ships, in a network of its own in which nothing but simulated products can be reached.

    unshare --net python namespaced_plans.py

Prints one JSON document: how many plans were made, what the products recorded, and whether anything else answers.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "acceptance"))  # tests are no package

from drill import Drill, served
from test_playbooks import CASES

_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP


def bring_loopback_up() -> None:
    """Let this network's own address work, which is down in a new one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))


def reaches_anybody_else() -> bool:
    """Say whether there is a way to an address that is not this machine's own."""
    try:
        with socket.create_connection(("192.0.2.1", 443), timeout=2):
            return True
    except OSError as exc:
        return "unreachable" not in str(exc)


async def plan_all() -> dict[str, Any]:
    """Plan everything, and isolate one host in the end, so that it is seen that changes would have been recorded."""
    with served() as place, tempfile.TemporaryDirectory() as name:
        drill = Drill(Path(name) / "project", Path(name) / "secrets")
        drill.configure(place.simulation.project_settings(place.url))
        before = place.estate.snapshot()
        plans = [(await drill.plan(playbook, inputs)).status for playbook, inputs in CASES.values()]
        found = {
            "plans": plans,
            "requests": sum(sum(place.requests(product).values()) for product in place.simulation.simulators),
            "changes": len(place.changes()),
            "as_before": place.estate.snapshot() == before,
        }
        await drill.run(*CASES["isolate"])
        await drill.aclose()
        return {**found, "changes_of_a_run": len(place.changes())}


def main() -> None:
    bring_loopback_up()
    print(json.dumps({"reaches_anybody_else": reaches_anybody_else(), **asyncio.run(plan_all())}))


if __name__ == "__main__":
    main()
