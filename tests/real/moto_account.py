"""An AWS account that moto simulates: its server as a process, and how a test arranges and looks at the account.

moto is not ours, so that it understands a request says something. It checks no signatures and no permissions.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx

REGION = "us-east-1"
ACCOUNT = "123456789012"
SETTINGS = {"region": REGION, "access_key_id": "AKIAINVENTEDKEY00001", "secret_access_key": "an-invented-secret"}
_VERSIONS = {"iam": "2010-05-08", "ec2": "2016-11-15", "sts": "2011-06-15"}
_START_MOST_S = 60.0


def command() -> str | None:
    """Return the command of moto's server: HIKESHI_MOTO_SERVER, or the one that is installed here."""
    beside = Path(sys.executable).parent / "moto_server"
    return os.environ.get("HIKESHI_MOTO_SERVER") or (str(beside) if beside.exists() else shutil.which("moto_server"))


def why_not() -> str | None:
    """Return why nothing can be tried against moto here, or None."""
    if importlib.util.find_spec("botocore") is None:
        return "botocore is not installed: pip install 'hikeshi[aws]'"
    if command() is None:
        return "moto is not installed: see tests/real/requirements.txt; HIKESHI_MOTO_SERVER may name its command"
    return None


@dataclass(frozen=True, slots=True)
class MotoAccount:
    """A running server. Requests name their service in a signature that nobody checks."""

    url: str

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connector instance for this account, secrets as plain texts."""
        return {**SETTINGS, "base_url": self.url}

    def reset(self) -> None:
        """Forget everything."""
        httpx.post(f"{self.url}/moto-api/reset", timeout=30).raise_for_status()

    def form(self, service: str, action: str, **fields: Any) -> ET.Element:
        """Make a call in the query protocol and return its answer, without name spaces."""
        data = {"Action": action, "Version": _VERSIONS[service], **fields}
        answer = httpx.post(self.url, data=data, headers=self._headers(service), timeout=30)
        assert answer.status_code == 200, answer.text
        root = ET.fromstring(answer.content)
        for each in root.iter():
            each.tag = each.tag.rpartition("}")[2]
        return root

    def texts(self, service: str, action: str, path: str, **fields: Any) -> list[str]:
        """Return the texts at a path of an answer, in order."""
        return sorted(each.text or "" for each in self.form(service, action, **fields).iterfind(path))

    def json(self, service: str, target: str, body: Any) -> Any:
        """Make a call in the JSON protocol."""
        headers = {**self._headers(service), "x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        answer = httpx.post(self.url, content=json.dumps(body), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else {}

    def rest(self, service: str, path: str, body: Any) -> Any:
        """Make a call to a service that has a path for each operation."""
        answer = httpx.post(f"{self.url}{path}", json=body, headers=self._headers(service), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @staticmethod
    def _headers(service: str) -> dict[str, str]:
        scope = f"AKIAINVENTEDKEY00001/20260101/{REGION}/{service}/aws4_request"
        return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"}


@contextmanager
def moto_account() -> Iterator[MotoAccount]:
    """Serve an account for the time of the block."""
    found = command()
    assert found is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [found, "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        account = MotoAccount(f"http://127.0.0.1:{port}")
        _wait_for(account, process)
        yield account
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(account: MotoAccount, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_MOST_S
    while time.monotonic() < until:
        assert process.poll() is None, "moto's server ended at once"
        try:
            account.reset()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("moto's server does not answer")
