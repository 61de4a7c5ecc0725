"""The door of chat in the process that `hikeshi serve` is: open without a session, and to nothing unsigned."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading

import httpx
import pytest
from chat_place import Place, signed

CLICK = {
    "type": "block_actions",
    "user": {"id": "U0NOBODY01"},
    "trigger_id": "1.2.3",
    "actions": [
        {
            "type": "button",
            "action_id": "hikeshi_approve",
            "value": '{"run": "r-1", "path": "sure", "digest": "' + "0" * 64 + '"}',
        }
    ],
}


@pytest.mark.safety(28)
def test_a_service_takes_clicks_that_are_signed_and_nothing_else(place: Place) -> None:
    """Over the guards of API and console: no session is asked for, and nothing is let in for having one."""
    settings = place.folder / "hikeshi.yaml"
    place.write({"announce": ["#approvals"], "slack": {"signing_secret": "${env:CHAT_SIGNING_SECRET}"}})
    document = json.loads(settings.read_text())
    document["connectors"] = {"slack": document["connectors"]["slack"]}
    settings.write_text(json.dumps(document))
    command = [sys.executable, "-m", "hikeshi.cli", "serve", "--project", str(place.folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    reading = threading.Thread(target=process.stderr.read, daemon=True)
    try:
        found = next((found for line in process.stderr if (found := re.search(r"Serving at (\S+)", line))), None)
        assert found is not None, "it ended before it served"
        reading.start()  # so that it never waits for us
        door = f"{found[1]}/chat/slack"
        body, headers = signed(CLICK)
        with httpx.Client(transport=httpx.HTTPTransport(retries=20), timeout=20) as client:
            assert client.post(door, content=body).status_code == 415
            wrong = {**headers, "x-slack-signature": "v0=" + "0" * 64}
            assert client.post(door, content=body, headers=wrong).status_code == 401
            assert client.get(door, headers=headers).status_code == 405
            assert client.post(door, content=b"x" * (10 << 20), headers=headers).status_code == 413
            assert client.post(door, content=body, headers=headers).status_code == 200
            assert client.post(door, content=body, headers=headers).status_code == 409
    finally:
        process.terminate()
        process.wait(40)
        if reading.is_alive():
            reading.join(10)
        process.stderr.close()
