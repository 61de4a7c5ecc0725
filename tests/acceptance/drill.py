"""A drill: a project on disk whose connectors talk to running simulations, and what came of its runs.

Everything goes over real HTTP on the loopback interface, and through the application service alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Effect
from hikeshi.connector.registry import Registry
from hikeshi.core import RunState
from hikeshi.core.events import ActionIntended, Event, FannedOut
from hikeshi.report import plan_report, run_report, timeline
from hikeshi.runtime.driver import Watcher
from hikeshi.secrets import Secret
from hikeshi.testing.estate import Estate, Host, User
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.crowdstrike.simulator import CrowdStrikeSimulator
from hikeshi_connectors.entra.simulator import EntraSimulator
from hikeshi_connectors.panos.simulator import PanOsSimulator
from hikeshi_connectors.slack.simulator import SlackSimulator

ALL = (CrowdStrikeSimulator, PanOsSimulator, EntraSimulator, SlackSimulator)
ACTOR = "mei.kobayashi"


@dataclass(slots=True)
class Place:
    """One simulation that is being served, and the door for the person in control."""

    simulation: Simulation
    url: str
    control: httpx.Client

    @property
    def estate(self) -> Estate:
        return self.simulation.estate

    def order(self, **fault: Any) -> None:
        """Order a fault."""
        answer = self.control.post("/_estate/faults", json=fault)
        assert answer.status_code == 201, answer.text

    def order_when(self, action: str, *faults: Mapping[str, Any]) -> Watcher:
        """Return a watcher that orders faults at the moment the first intent of an action is recorded, so that they
        hit the change and what follows, and none of the reads before. A notification's request is its intent."""
        left = list(faults)

        def watch(event: Event, state: RunState) -> None:
            intended = isinstance(event, (ActionIntended, FannedOut)) and event.action == action
            if intended and (isinstance(event, ActionIntended) or state.routes[action].effect is Effect.NOTIFY):
                while left:
                    self.order(**left.pop(0))

        return watch

    def changes(self, product: str | None = None) -> list[dict[str, Any]]:
        """Return the changes that arrived, as the simulation tells them to anybody."""
        found: list[dict[str, Any]] = self.control.get("/_estate/changes").json()
        return [change for change in found if product in (None, change["product"])]

    def forget_changes(self) -> None:
        assert self.control.delete("/_estate/changes").status_code == 204

    def requests(self, product: str) -> Counter[str]:
        """Return how often each route of a product was asked for."""
        return Counter(self.control.get("/_estate/requests").json()["counts"].get(product, {}))

    def host(self, name: str) -> Host:
        (host,) = self.estate.hosts_named(name)
        return host

    def user(self, sam: str) -> User:
        return next(user for user in self.estate.users.values() if user.sam == sam)

    def isolated(self) -> list[str]:
        """Return the names of the hosts that are not connected as usual."""
        self.estate.settle()
        return sorted(host.name for host in self.estate.hosts.values() if host.isolation != "normal")

    def tagged(self) -> set[str]:
        """Return the addresses that the firewall blocks."""
        self.estate.settle()
        return {ip for ip, tags in self.estate.firewall.registered_tags.items() if "hikeshi-blocked" in tags}

    def listed(self) -> set[str]:
        """Return the domains and URLs that the firewall's running configuration blocks."""
        self.estate.settle()
        return set(self.estate.firewall.running.url_categories.get("hikeshi-blocked", set()))

    def prevented(self) -> set[str]:
        """Return the hashes that the EDR blocks."""
        return {ioc.value for ioc in self.estate.iocs.values() if ioc.action == "prevent"}

    def said(self) -> list[tuple[str, str]]:
        """Return the messages that people got, each with its channel, in order."""
        names = {channel.id: channel.name for channel in self.estate.channels.values()}
        return [(names.get(message.channel, message.channel), message.text) for message in self.estate.messages]


@contextlib.contextmanager
def served(
    simulators: Sequence[type[Simulator]] = ALL, *, seed: int = 7, settle_s: float = 0.03, hosts: int = 60
) -> Iterator[Place]:
    """Serve an estate of the present moment for the time of the block."""
    base = datetime.now(UTC).replace(microsecond=0)
    estate = make_estate(seed, hosts=hosts, users=30, connections=50, base=base, settle_s=settle_s)
    simulation = Simulation(estate, simulators)
    with running(simulation) as url, httpx.Client(base_url=url, timeout=10) as control:
        yield Place(simulation, url, control)


class HurriedClock:
    """The machine's time, but every wait is over after `longest_s`; what was asked for is kept, in seconds."""

    def __init__(self, longest_s: float = 0.02) -> None:
        self.longest_s = longest_s
        self.waits: list[float] = []
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        waited = min(seconds, self.longest_s)
        await asyncio.sleep(waited)
        self._ahead += timedelta(seconds=seconds - waited)

    async def sleep_until(self, at: datetime) -> None:
        await self.sleep(max(0.0, (at - self.now()).total_seconds()))


@dataclass(slots=True)
class Outcome:
    """A run that is over, or waits, with all that can be read of it."""

    hikeshi: Hikeshi
    state: RunState
    report: dict[str, Any]

    @property
    def status(self) -> str:
        return self.state.status.value

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return dict(self.report["steps"])

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """Return the actions of a plan by their path."""
        return {action["path"]: action for action in self.report["actions"]}

    @property
    def events(self) -> list[dict[str, Any]]:
        records = self.hikeshi.records(self.state.run)
        return [{"kind": each.kind, "path": each.path, "at": each.at, **each.data} for each in records]

    @property
    def told(self) -> str:
        """Return the timeline as text."""
        return "\n".join(f"{each.path} {each.text}" for each in timeline(self.hikeshi.records(self.state.run)))

    @property
    def holds(self) -> list[sqlite3.Row]:
        rows = self.hikeshi.journal.query("SELECT * FROM holds WHERE run = ? ORDER BY target", (self.state.run,))
        return list(rows)


@dataclass(slots=True)
class Drill:
    """A project in `folder`; its secrets are files in `secrets`, as the project's file may not hold them."""

    folder: Path
    secrets: Path
    clock: HurriedClock = field(default_factory=HurriedClock)
    _opened: Hikeshi | None = None

    def configure(self, connectors: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        """Write hikeshi.yaml. Plain values of secret settings become files with references to them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(parents=True, exist_ok=True)
        written = {name: self._with_references(name, settings) for name, settings in connectors.items()}
        document = {"connectors": written, **more}
        # JSON is YAML.
        (self.folder / "hikeshi.yaml").write_text(json.dumps(document, indent=1), encoding="utf-8")

    def _with_references(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        fields = Registry().load(settings["product"]).Settings.model_fields
        written = dict(settings)
        for key, value in settings.items():
            if key in fields and Secret.__name__ in str(fields[key].annotation):
                written[key] = self._reference(f"{name}-{key}", value)
        return written

    def _reference(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._reference(f"{name}-{key.strip('#')}", entry) for key, entry in value.items()}
        if not isinstance(value, str) or value.startswith("${"):
            return value
        path = self.secrets / name
        path.write_text(value, encoding="utf-8")
        return f"${{file:{path}}}"

    def add_playbook(self, name: str, text: str) -> None:
        """Write a playbook of the project's own."""
        folder = self.folder / "playbooks"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    @property
    def hikeshi(self) -> Hikeshi:
        if self._opened is None:
            self._opened = Hikeshi.open(self.folder)
            self._opened.clock = self.clock
        return self._opened

    async def run(self, playbook: str, inputs: Mapping[str, Any], **options: Any) -> Outcome:
        """Run a playbook live and return what came of it."""
        state = await self.hikeshi.start_run(playbook, inputs, actor=ACTOR, mode="live", **options)
        return Outcome(self.hikeshi, state, run_report(state))

    async def plan(self, playbook: str, inputs: Mapping[str, Any], **options: Any) -> Outcome:
        """Plan a playbook."""
        state = await self.hikeshi.start_run(playbook, inputs, actor=ACTOR, mode="plan", **options)
        return Outcome(self.hikeshi, state, plan_report(state))

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = None
