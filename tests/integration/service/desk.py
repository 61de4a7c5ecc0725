"""A project that is served by a process of its own, the simulators of its products, and a token for each role."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

from hikeshi.access.roles import Role
from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.secrets import Secret
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running

__all__ = ["PEOPLE", "Desk", "Served", "desk_in", "wait_until"]

PEOPLE = {
    "mei": {"login": "mkobayashi", "name": "Mei Kobayashi", "roles": ["soc"]},
    "ken": {"login": "ksato", "name": "Ken Sato", "roles": ["soc", "soc_lead"]},
    "aya": {"login": "amori", "name": "Aya Mori", "roles": ["soc_lead"]},
}
_SERVING = re.compile(r"Serving at (\S+)")


def wait_until(look: Any, *, within_s: float = 15.0) -> Any:
    """Return what `look` gives as soon as it gives something true. Fails when it does not in time."""
    end = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "this did not come about in time"
        time.sleep(0.05)


@dataclass
class Served:
    """A running `hikeshi serve`."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]
    """The lines of its standard error, as they come."""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(40)


@dataclass
class Desk:
    """A project in a folder."""

    folder: Path
    simulation: Simulation
    tokens: dict[str, str] = field(default_factory=dict)

    def write(self, connectors: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        """Write hikeshi.yaml; plain values of secret settings become files with references to them."""
        secrets = self.folder.parent / "secrets"
        secrets.mkdir(parents=True, exist_ok=True)
        written: dict[str, Any] = {}
        for name, settings in connectors.items():
            fields = Registry().load(settings["product"]).Settings.model_fields
            written[name] = dict(settings)
            for key, value in settings.items():
                if key in fields and fields[key].annotation is Secret:
                    (secrets / f"{name}-{key}").write_text(value, encoding="utf-8")
                    written[name][key] = f"${{file:{secrets / f'{name}-{key}'}}}"
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {"people": PEOPLE, "connectors": written, **more}
        (self.folder / "hikeshi.yaml").write_text(json.dumps(document), encoding="utf-8")

    def add_playbook(self, name: str, text: str) -> None:
        """Write a playbook of the project's own."""
        (self.folder / "playbooks").mkdir(exist_ok=True)
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def make_tokens(self) -> None:
        """Make a token for each role; those of an approver and of a responder are people's."""

        async def make() -> None:
            app = Hikeshi.open(self.folder)
            people = {Role.RESPONDER: "mei", Role.APPROVER: "ken"}
            for role in Role:
                made = await app.tokens.make(role, [role], good_for_s=3600, by="test", person=people.get(role))
                self.tokens[role.value] = made[1]
            await app.aclose()

        asyncio.run(make())

    @contextlib.contextmanager
    def served(self, *options: str, trust: Path | None = None, **environment: str) -> Iterator[Served]:
        """Serve the project for the time of the block. `trust` is the certificate that it shows."""
        command = [sys.executable, "-m", "hikeshi.cli", "serve", "--project", str(self.folder), "--port", "0", *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        try:
            said: list[str] = []
            yield Served(process, self._url(process, said, trust), said)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()

    def _url(self, process: subprocess.Popen[str], said: list[str], trust: Path | None) -> str:
        """Return where it serves, and read on what it logs, so that it never waits for us."""
        assert process.stderr is not None
        found = next((found for line in process.stderr if (found := _SERVING.search(line))), None)
        assert found is not None, "it ended before it served"
        threading.Thread(target=_read_on, args=(process.stderr, said), daemon=True).start()
        wait_until(lambda: _answers(found[1], trust))
        return found[1]

    def client(self, served: Served, role: str | None) -> httpx.Client:
        """Return a client with the token of a role, or without any."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx.Client(base_url=f"{served.url}/api/v1", headers=headers, timeout=20)


def _read_on(stream: IO[str], said: list[str]) -> None:
    with contextlib.suppress(ValueError):  # closed
        for line in stream:
            said.append(line)


def _answers(url: str, trust: Path | None) -> bool:
    try:
        if trust is not None:
            context = ssl.create_default_context(cafile=str(trust))
            return httpx.get(f"{url}/ready".replace("127.0.0.1", "localhost"), verify=context).status_code == 200
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def desk_in(folder: Path, **more: Any) -> Iterator[Desk]:
    """Serve an estate, and give a project that is bound to all its products, with tokens."""
    from datetime import UTC, datetime

    base = datetime.now(UTC).replace(microsecond=0)
    estate = make_estate(7, hosts=40, users=20, connections=30, base=base, settle_s=0.03)
    simulation = Simulation(estate)
    with running(simulation) as url:
        desk = Desk(folder / "project", simulation)
        desk.write(simulation.project_settings(url), **more)
        desk.make_tokens()
        yield desk
