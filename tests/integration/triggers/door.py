"""A project behind a real HTTP server, with a journal in a file; and messages as vendors sign them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.loopback_server import QuickServer
from hikeshi.triggers import Triggers, hook_routes

__all__ = ["KEY", "SETTINGS", "Door", "serving", "signed_any", "signed_github", "signed_pagerduty", "signed_slack"]
__all__ += ["signed_standard"]

KEY = base64.b64encode(b"k" * 24).decode()
SETTINGS = """
connectors: {fake: {product: fake}}
people:
  mei: {login: mei, name: Mei, roles: [lead]}
webhooks:
  edr: {verify: standard-webhooks, secret: "${env:HOOK_KEY}"}
  small: {verify: standard-webhooks, secret: "${env:HOOK_KEY}", max_bytes: 2000}
  gh: {verify: github, secret: "${env:HOOK_TEXT}"}
  slack: {verify: slack, secret: "${env:HOOK_TEXT}"}
  pd: {verify: pagerduty, secret: ["${env:HOOK_TEXT}", "${env:HOOK_OLD}"]}
  own: {verify: hmac, secret: "${env:HOOK_TEXT}", header: X-Sig, prefix: "sha256=", timestamp_header: X-Time,
        id_header: X-Id}
  path: {verify: hmac, secret: "${env:HOOK_TEXT}", header: X-Sig, algorithm: sha512, encoding: base64, id_path: a.id}
  away: {verify: github, secret: "${env:HOOK_AWAY}"}
  sns: {verify: sns, topics: ["arn:aws:sns:eu-west-1:123456789012:alerts"]}
"""
SECRETS = {"HOOK_KEY": f"whsec_{KEY}", "HOOK_TEXT": "a secret text", "HOOK_OLD": "an old secret text"}
ON_EVENT = """
id: it
triggers:
TRIGGERSsteps:
  - {id: a, set: {x: "'1'"}}
"""


def write_project(folder: Path) -> None:
    """Write a project in which each webhook starts a run."""
    (folder / "playbooks").mkdir(parents=True, exist_ok=True)
    names = ("edr", "small", "gh", "slack", "pd", "own", "path", "away", "sns")
    lines = "".join(f"  - {{id: on_{name}, webhook: {name}}}\n" for name in names)
    (folder / "playbooks" / "it.yaml").write_text(ON_EVENT.replace("TRIGGERS", lines))
    (folder / "hikeshi.yaml").write_text(SETTINGS)


class Door:
    """One process of a project: its server, its triggers, and what people were told."""

    def __init__(self, folder: Path, http: str = "auto") -> None:
        self.folder = folder
        self.told: list[str] = []
        self._http = http
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.verifiers: dict[str, Any] = {}
        self.body_within_s = 30.0

    def start(self) -> Door:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001 - the test is told
            self._failure = exc
            self._ready.set()

    async def _main(self) -> None:
        registry = Registry()
        registry.add(fake_connector(FakeWorld()))
        app = Hikeshi(load_config(self.folder), registry=registry)
        self.triggers = Triggers(app, alert=self.told.append)
        working = asyncio.create_task(self.triggers.run())
        listener = socket.socket(proto=socket.IPPROTO_TCP)  # without it asyncio leaves small answers waiting
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        site = Starlette(routes=hook_routes(self.triggers, verifiers=self.verifiers, body_within_s=self.body_within_s))
        settings = uvicorn.Config(site, http=self._http, ws="none", lifespan="off", log_config=None, access_log=False)
        self._server = QuickServer(settings)
        await self.triggers.turn()
        serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.005)
        self._ready.set()
        try:
            await serving
        finally:
            self.triggers.stop()
            await working
            await app.aclose()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(folder: Path, http: str = "auto", body_within_s: float = 30.0, **verifiers: Any) -> Iterator[Door]:
    """Serve a project while a test asks it."""
    door = Door(folder, http)
    door.body_within_s = body_within_s
    door.verifiers = verifiers
    door.start()
    try:
        yield door
    finally:
        door.stop()


def runs_of(folder: Path) -> list[str]:
    """Return the runs that there are, from the file."""
    import sqlite3

    with sqlite3.connect(folder / ".hikeshi" / "journal.db") as tx:
        return [row[0] for row in tx.execute("SELECT run FROM runs ORDER BY started_at")]


def body_of(data: Any) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def signed_standard(data: Any, *, id_: str, at_s: float, key: bytes = b"k" * 24) -> tuple[bytes, dict[str, str]]:
    body, stamp = body_of(data), str(int(at_s))
    digest = hmac.new(key, f"{id_}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return body, {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }


def signed_github(data: Any, *, id_: str, secret: str = "a secret text") -> tuple[bytes, dict[str, str]]:
    body = body_of(data)
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {
        "X-GitHub-Delivery": id_,
        "X-Hub-Signature-256": f"sha256={digest}",
        "content-type": "application/json",
    }


def signed_slack(
    data: Any, *, at_s: float, secret: str = "a secret text", content_type: str = "application/json"
) -> tuple[bytes, dict[str, str]]:
    body, stamp = body_of(data), str(int(at_s))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return body, {
        "X-Slack-Signature": f"v0={digest}",
        "X-Slack-Request-Timestamp": stamp,
        "content-type": content_type,
    }


def signed_pagerduty(data: Any, *secrets: str) -> tuple[bytes, dict[str, str]]:
    body = body_of(data)
    given = [hmac.new(each.encode(), body, hashlib.sha256).hexdigest() for each in secrets or ("a secret text",)]
    return body, {
        "X-PagerDuty-Signature": ",".join(f"v1={each}" for each in given),
        "content-type": "application/json",
    }


def signed_any(data: Any, *, id_: str, at_s: float) -> tuple[bytes, dict[str, str]]:
    body, stamp = body_of(data), str(int(at_s))
    digest = hmac.new(b"a secret text", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"X-Sig": f"sha256={digest}", "X-Time": stamp, "X-Id": id_, "content-type": "application/json"}
