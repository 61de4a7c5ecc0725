"""A real TAXII 2.1 server, OASIS's medallion, as a process of its own with two collections in memory."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

USER, PASSWORD = "hikeshi", "an-invented-password"
SHARED, SECTOR = "91a7b528-80eb-42ed-a74d-c6fbd5a26116", "52892447-4d7e-4f70-b94d-d7f22742ff63"
MEDIA_TYPE = "application/taxii+json;version=2.1"
PAGE = 20
_START_MOST_S = 30.0


def why_not() -> str | None:
    """Return why no server can be started here, or None."""
    if shutil.which("medallion") is None:
        return "medallion is not installed: see tests/real/requirements.txt; make test-real installs it"
    return None


def _collection(name: str, title: str, *, writable: bool) -> dict[str, Any]:
    about = {"id": name, "title": title, "can_read": True, "can_write": writable, "media_types": [MEDIA_TYPE]}
    return {**about, "objects": [], "manifest": []}


def _data() -> dict[str, Any]:
    root = {"title": "Sector", "versions": [MEDIA_TYPE], "max_content_length": 9_765_625}
    collections = [
        _collection(SHARED, "Shared with partners", writable=True),
        _collection(SECTOR, "From the sector", writable=True),
    ]
    return {
        "/discovery": {"title": "T", "default": "http://127.0.0.1/api1/", "api_roots": ["http://127.0.0.1/api1/"]},
        "api1": {"information": root, "status": [], "collections": collections},
    }


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run the server for the time of the block; gives the address of its API root."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "data.json").write_text(json.dumps(_data()))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(folder / "data.json"),
    }
    config = {"backend": backend, "users": {USER: PASSWORD}, "taxii": {"max_page_size": PAGE}}
    (folder / "config.json").write_text(json.dumps(config))
    command = [str(shutil.which("medallion")), "--host", "127.0.0.1", "--port", str(port), str(folder / "config.json")]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ)) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/taxii2/", process, folder / "log")
            yield f"http://127.0.0.1:{port}/api1"
        finally:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_MOST_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, auth=(USER, PASSWORD), headers={"accept": MEDIA_TYPE}).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"medallion did not start: {log.read_text()}")
