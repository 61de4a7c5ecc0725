"""A real homeserver, Synapse, on this machine: started for one test, with accounts and rooms that the test makes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

__all__ = ["PYTHON", "SERVER", "Homeserver", "homeserver_in"]

PYTHON = os.environ.get("HIKESHI_SYNAPSE_PYTHON", "")
"""An interpreter that has the package matrix-synapse. It brings half a hundred others, so it is not among ours."""

SERVER = "hikeshi.test"
_SHARED = "a-secret-of-this-test"
_NO_LIMIT = {"per_second": 1000, "burst_count": 1000}


class Homeserver:
    """A running homeserver. `tokens` are the access tokens of its accounts, by their name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tokens: dict[str, str] = {}

    def register(self, name: str) -> str:
        """Make an account, and return its access token."""
        where = "/_synapse/admin/v1/register"
        nonce = self.call("GET", where)["nonce"]
        mac = hmac.new(_SHARED.encode(), "\0".join([nonce, name, "pass-word", "notadmin"]).encode(), hashlib.sha1)
        body = {"nonce": nonce, "username": name, "password": "pass-word", "admin": False, "mac": mac.hexdigest()}
        self.tokens[name] = str(self.call("POST", where, body)["access_token"])
        return self.tokens[name]

    def call(self, method: str, path: str, body: Any = None, *, by: str | None = None) -> Any:
        """Make a request, and return its answer."""
        headers = {} if by is None else {"authorization": f"Bearer {self.tokens[by]}"}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create_room(self, alias: str, *, by: str, **more: Any) -> str:
        """Create a room that everybody may join, and return its ID."""
        body = {"preset": "public_chat", "room_alias_name": alias, **more}
        return str(self.call("POST", "/_matrix/client/v3/createRoom", body, by=by)["room_id"])

    def messages(self, room: str, *, by: str) -> list[dict[str, Any]]:
        """Return what was written in a room, oldest first."""
        path = f"/_matrix/client/v3/rooms/{quote(room)}/messages?dir=f&limit=1000"
        return [each for each in self.call("GET", path, by=by)["chunk"] if each["type"] == "m.room.message"]

    def reply(self, room: str, to: str, text: str, *, by: str) -> None:
        """Reply to a message."""
        content = {"msgtype": "m.text", "body": text, "m.relates_to": {"m.in_reply_to": {"event_id": to}}}
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/{time.monotonic_ns()}"
        self.call("PUT", path, content, by=by)


@contextmanager
def homeserver_in(folder: Path) -> Iterator[Homeserver]:
    """Run a homeserver while a test uses it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = _write_config(folder, port)
    command = [PYTHON, "-m", "synapse.app.homeserver", "--config-path", str(config)]
    subprocess.run([*command, "--generate-keys"], check=True, capture_output=True, cwd=folder)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_matrix/client/versions", process, folder)
        yield Homeserver(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def _write_config(folder: Path, port: int) -> Path:
    folder.mkdir(parents=True)
    log = {"version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}}}
    log["root"] = {"level": "WARNING", "handlers": ["console"]}
    (folder / "log.yaml").write_text(json.dumps(log))
    config = {
        "server_name": SERVER,
        "pid_file": str(folder / "pid"),
        "listeners": [
            {"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}
        ],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "log_config": str(folder / "log.yaml"),
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "registration_shared_secret": _SHARED,
        "macaroon_secret_key": _SHARED,
        "form_secret": _SHARED,
        "report_stats": False,
        "trusted_key_servers": [],
        "presence": {"enabled": False},
        "rc_message": _NO_LIMIT,
        "rc_registration": _NO_LIMIT,
        "rc_joins": {"local": _NO_LIMIT, "remote": _NO_LIMIT},
    }
    path = folder / "homeserver.yaml"
    path.write_text(json.dumps(config))
    return path


def _wait_for(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, (folder / "output").read_text()[-2000:]
        assert time.monotonic() < end, "the homeserver did not start"
        time.sleep(0.1)
