"""How soon `hikeshi serve` is ready, and what it takes while nothing happens, with many playbooks.

python tests/bench/serving.py [--playbooks 500] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_WITHIN_S = 3.0
IDLES_BELOW_MIB = 250.0
_SETTLE_S = 12.0

PLAYBOOK = """\
id: contain-{number}
name: Contain a host, variant {number}
description: Looks a host up, asks the lead, isolates it for a time and tells the people concerned.
phase: contain
severity: high
inputs:
  hostname: {{type: hostname, description: Name as the EDR knows it}}
  hours: {{type: integer, default: 8, minimum: 1, maximum: 72}}
triggers:
  - id: nightly
    schedule: "{minute} 3 * * *"
    inputs: {{hostname: pc{number}}}
steps:
  - {{id: find, action: edr.get_host, with: {{name: "{{{{ inputs.hostname }}}}"}}}}
  - id: agree
    approve: "Isolate {{{{ steps.find.name }}}} for {{{{ inputs.hours }}}} h?"
    when: "'server' in steps.find.tags"
    by: [role:soc_lead]
    within: 15m
  - id: isolate
    action: edr.isolate_host
    with: {{host: "{{{{ steps.find }}}}", reason: Suspected compromise}}
    hold: "{{{{ inputs.hours }}}}h"
  - parallel:
      - {{action: messaging.post, with: {{channel: "#incidents", text: "{{{{ inputs.hostname }}}} is isolated"}}}}
      - {{action: messaging.page, with: {{to: soc, text: "{{{{ inputs.hostname }}}} is isolated"}}}}
outputs: {{host: "{{{{ steps.find }}}}"}}
"""


def make_project(folder: Path, playbooks: int) -> None:
    """Write a project whose connectors exist, and are not reached."""
    (folder / "playbooks").mkdir(parents=True)
    for number in range(playbooks):
        text = PLAYBOOK.format(number=number, minute=number % 60)
        (folder / "playbooks" / f"contain-{number}.yaml").write_text(text, encoding="utf-8")
    connectors = {
        "falcon": {"product": "crowdstrike", "client_id": "x", "client_secret": "${env:NONE_A}"},
        "chat": {"product": "slack", "bot_token": "${env:NONE_B}", "on_call": {"soc": "#soc"}},
    }
    people = {"mei": {"name": "Mei", "roles": ["soc_lead"]}}
    (folder / "hikeshi.yaml").write_text(json.dumps({"connectors": connectors, "people": people}), encoding="utf-8")


def one_start(folder: Path) -> tuple[float, float, float]:
    """Return how long it took to be ready, in seconds, and its memory then and after a while, in MiB."""
    command = [
        sys.executable,
        "-m",
        "hikeshi.cli",
        "serve",
        "--project",
        str(folder),
        "--port",
        "0",
        "--log-level",
        "error",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        url = next(found[1] for line in process.stderr if (found := re.search(r"Serving at (\S+)", line)))
        while not _is_ready(url):
            time.sleep(0.01)
        ready_s = time.perf_counter() - began
        at_first = _memory_mib(process.pid)
        time.sleep(_SETTLE_S)
        return ready_s, at_first, _memory_mib(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no such process")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--playbooks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        make_project(folder, asked.playbooks)
        rounds = [one_start(folder) for _ in range(asked.rounds)]
    ready_s, first, later = (statistics.median(each) for each in zip(*rounds, strict=True))
    print(f"{asked.playbooks} playbooks, each with a trigger; median of {asked.rounds}")
    print(f"ready after          {ready_s:6.2f} s    goal {READY_WITHIN_S:g} s")
    print(f"memory when ready    {first:6.0f} MiB")
    print(f"memory {_SETTLE_S:g} s later   {later:6.0f} MiB  goal {IDLES_BELOW_MIB:g} MiB")
    met = ready_s <= READY_WITHIN_S and later <= IDLES_BELOW_MIB
    print("met" if met else "NOT MET")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
