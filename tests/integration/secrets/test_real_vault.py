"""Vault references against the real server, where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hikeshi.secrets import Secret, SecretUnavailable

PROGRAM = shutil.which("bao") or shutil.which("vault")
TOKEN = "canary-root-token"
VALUE = "canary-value-5f1d"

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="neither bao (OpenBao) nor vault is installed")


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A server in its development mode, whose mount `secret` is a key-value engine of version 2."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["-dev", "-dev-no-store-token", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address={address}"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    process = subprocess.Popen(
        [str(PROGRAM), "server", *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    monkeypatch.setenv("VAULT_ADDR", f"http://{address}")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    try:
        with httpx.Client(base_url=f"http://{address}/v1/", headers={"x-vault-token": TOKEN}) as client:
            _wait_for(client)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client) -> None:
    for _ in range(200):
        try:
            if client.get("sys/health").status_code == 200 and client.get("secret/config").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    pytest.fail("the server did not come up within 20 s")


def why_not(reference: str) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        Secret.parse(reference).reveal()
    assert VALUE not in str(caught.value)
    return str(caught.value)


def test_the_real_server_answers_as_ours_does(real: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, a missing key, deletion, destruction, no entry, a wrong token and the seal."""

    def write(values: dict[str, Any]) -> None:
        assert real.post("secret/data/soc/falcon", json={"data": values}).status_code == 200

    write({"key": VALUE})
    write({"key": f"{VALUE}-2"})
    assert Secret.parse("${vault:secret/soc/falcon#key}").reveal() == f"{VALUE}-2"
    assert Secret.parse("${vault:secret/soc/falcon#key@1}").reveal() == VALUE
    assert "has no key 'other'" in why_not("${vault:secret/soc/falcon#other}")
    assert "no version 9" in why_not("${vault:secret/soc/falcon#key@9}")
    assert "no such entry" in why_not("${vault:secret/soc/none#key}")
    assert real.delete("secret/data/soc/falcon").status_code == 204
    assert "was deleted" in why_not("${vault:secret/soc/falcon#key}")
    assert real.put("secret/destroy/soc/falcon", json={"versions": [1]}).status_code == 204
    assert "version 1 was destroyed" in why_not("${vault:secret/soc/falcon#key@1}")
    monkeypatch.setenv("VAULT_TOKEN", "canary-wrong-token")
    assert "(403)" in why_not("${vault:secret/soc/falcon#key}")
    assert real.put("sys/seal").status_code == 204
    assert "sealed" in why_not("${vault:secret/soc/falcon#key}")
