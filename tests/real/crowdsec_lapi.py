"""CrowdSec's own Local API as a process: a machine, a bouncer, and everything of it in one folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}
_START_S = 20
MACHINE = "hikeshi"
_CONFIG = """
common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: {folder}}}
config_paths:
  config_dir: {folder}
  data_dir: {folder}/data
  simulation_path: {folder}/simulation.yaml
  hub_dir: {folder}/hub
  index_path: {folder}/hub/.index.json
  notification_dir: {folder}/notifications
  plugin_dir: {folder}/plugins
db_config: {{log_level: info, type: sqlite, db_path: {folder}/data/crowdsec.db, use_wal: true}}
plugin_config: {{user: nobody, group: nogroup}}
cscli: {{output: human}}
api:
  client: {{insecure_skip_verify: false, credentials_path: {folder}/lapi.yaml}}
  server:
    log_level: info
    listen_uri: "127.0.0.1:{port}"
    profiles_path: {folder}/profiles.yaml
    console_path: {folder}/console.yaml
prometheus: {{enabled: false}}
"""
_PROFILES = """
name: nothing
filters: ["false"]
decisions: [{type: ban, duration: 4h}]
on_success: break
"""


def why_not() -> str | None:
    """Return why it cannot be tried on this machine, or None."""
    missing = [each for each in ("crowdsec", "cscli") if shutil.which(each, path=_PATH) is None]
    return f"not installed: {', '.join(missing)} (see tests/real/packages.txt)" if missing else None


@dataclass(frozen=True, slots=True)
class Lapi:
    """A Local API that runs, and how to get in."""

    folder: Path
    url: str
    password: str
    bouncer_key: str

    def cscli(self, *words: str) -> str:
        """Say something by hand, as the administrator."""
        return _run("cscli", "-c", str(self.folder / "config.yaml"), *words)


@contextlib.contextmanager
def lapi(folder: Path) -> Iterator[Lapi]:
    """Run a Local API in this folder for the time of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("data", "hub", "notifications", "plugins"):
        (folder / name).mkdir()
    files = {"config.yaml": _CONFIG.format(folder=folder, port=port), "profiles.yaml": _PROFILES}
    for name, text in {**files, "simulation.yaml": "{}", "console.yaml": "{}"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    cscli = ("cscli", "-c", str(folder / "config.yaml"))
    password = secrets.token_hex(16)
    _run(*cscli, "machines", "add", MACHINE, "--password", password, "-f", str(folder / "lapi.yaml"))
    key = _run(*cscli, "bouncers", "add", "hikeshi", "-o", "raw").strip()
    with (folder / "log").open("wb") as log, _server(folder, log) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/v1/decisions", server, folder / "log")
            yield Lapi(folder, f"http://127.0.0.1:{port}", password, key)
        finally:
            server.kill()


def _server(folder: Path, log: object) -> subprocess.Popen[bytes]:
    words = ["crowdsec", "-c", str(folder / "config.yaml"), "-no-cs"]
    return subprocess.Popen(words, env=_ENVIRONMENT, cwd=folder, stdout=log, stderr=log)  # type: ignore[call-overload, no-any-return]  # a file


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return  # it lets nobody in without a key, and so it is there
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)


def _run(*words: str) -> str:
    done = subprocess.run(words, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stderr}"
    return done.stdout
