"""The rules of a project as its runs meet them: guardrails with the engine's own lifeline, and the kill switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from hikeshi.app.errors import NothingToRelease
from hikeshi.app.programs import Programs

if TYPE_CHECKING:
    from hikeshi.guardrails import Guardrails, Stop, Stops
    from hikeshi.project import Config
    from hikeshi.runtime.rules import Rules
    from hikeshi.runtime.stops import EngagedStop, KillSwitch

__all__ = ["Guarding"]


class Guarding(Programs):
    """What holds for every change, whatever a playbook says."""

    people_to_release = 1
    """How many it takes to release a stop, where the guardrails do not say. A service asks for two."""

    _guardrails: tuple[object, Guardrails] | None = None

    @property
    def guardrails(self) -> Guardrails:
        """The guardrails as hikeshi.yaml says them now, with the lifeline. What can't be read refuses every change."""
        from hikeshi.project.guardrails import stamp_of

        known = self._guardrails
        if known is None or known[0] != stamp_of(known[1]):
            read = self._read_guardrails()
            known = self._guardrails = (stamp_of(read), read)
        return known[1]

    def guardrails_digest(self) -> str:
        """Return what changes when a guardrail does."""
        return self.guardrails.digest

    @cached_property
    def kill_switch(self) -> KillSwitch:
        from hikeshi.runtime.stops import KillSwitch

        return KillSwitch(self.journal)

    async def stop(self, stop: Stop) -> None:
        """Engage the kill switch. One person does. Raises JournalError."""
        people = self.guardrails.release_people or self.people_to_release
        await self.kill_switch.engage(stop, people=people, at=self.clock.now())

    async def release_stop(self, stop: str, *, by: str, why: str = "") -> EngagedStop | None:
        """Say that somebody wants a stop released. Return it if more people have to, None if it is released now.

        Raises NothingToRelease, JournalError.
        """
        engaged = {each.stop: each for each in self.kill_switch.engaged()}
        if stop not in engaged:
            known = ", ".join(engaged) or "nothing is"
            raise NothingToRelease(f"the kill switch {stop!r} is not engaged (engaged: {known})")
        await self.kill_switch.want_released(stop, by=self._person_id(by), why=why, at=self.clock.now())
        return next((each for each in self.kill_switch.engaged() if each.stop == stop), None)

    def take_config(self, config: Config) -> None:
        """Use another configuration; what the lifeline protects follows it."""
        super().take_config(config)
        self._guardrails = None

    def _rules(self, playbook: str) -> Rules:
        from hikeshi.runtime.rules import Rules

        return Rules(lambda: self.guardrails, self._stops, playbook, tuple(self.config.people))

    def _stops(self) -> Stops:
        return self.kill_switch.stops()

    def _person_id(self, name: str) -> str:
        person = self.config.person_of(name)
        return name if person is None else person.id

    def _read_guardrails(self) -> Guardrails:
        from hikeshi.guardrails import lifeline
        from hikeshi.project.guardrails import load_guardrails
        from hikeshi.project.machine import this_machine

        machine = this_machine()
        own = lifeline(
            hosts=machine.hosts, addresses=machine.addresses, accounts=machine.accounts, base_urls=self._base_urls()
        )
        return load_guardrails(self.config.folder).with_lifeline(own)

    def _base_urls(self) -> Mapping[str, Sequence[str]]:
        """Return where each connector is reached; one that can't be used reaches nothing."""
        from hikeshi.connector.registry import ConnectorNotUsable

        found: dict[str, Sequence[str]] = {}
        for name in self.config.connectors:
            try:
                connector = self.instances.get(name)
            except ConnectorNotUsable:
                continue
            found[name] = list(type(connector).bases(connector.settings).values())
        return found
