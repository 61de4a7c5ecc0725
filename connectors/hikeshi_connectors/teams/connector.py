"""Microsoft Teams, by workflows "Post to a channel when a webhook request is received".

The rule: the address of a workflow is its only credential. It is kept out of every request that the engine can show,
and put in when the request leaves.
Source: https://support.microsoft.com/office/8ae491c7-0394-4861-ba59-055e33f75498 (workflows),
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using (what they take).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import Connector, ConnectorSettings, NotFound, Pace, Response, Secret, Unsupported
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.teams.address import whole_address
from hikeshi_connectors.teams.answers import check_answer
from hikeshi_connectors.teams.cards import fitting, page_card, post_card, question_card

__all__ = ["Teams"]

_CHANNELS: Final = "/channels/"
_CHANNEL = re.compile(r"[^/\\;%?#\x00-\x1f\x7f]{1,100}")
_IN_TEXT = re.compile(r"[^<>\x00-\x1f\x7f]{1,100}")


class OnCall(BaseModel):
    """Whom an on-call name mentions, and in which of the channels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: str
    # The person's sign-in name or object ID in Entra ID, and the name that the message shows.
    user: str
    name: str

    @field_validator("user", "name")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        if not _IN_TEXT.fullmatch(value):
            raise ValueError("1 to 100 characters, without < and >")
        return value


class Teams(Connector, Messaging, product="teams"):
    """Posts cards into channels, each by the workflow whose address the settings give for it."""

    class Settings(ConnectorSettings):
        # The address of the workflow for every channel below that has none of its own.
        secret_url: Secret
        channels: dict[str, Secret | None] = Field(min_length=1)
        on_call: dict[str, OnCall] = Field(default_factory=dict)

        @field_validator("channels")
        @classmethod
        def _are_names(cls, value: dict[str, Any]) -> dict[str, Any]:
            wrong = [name for name in value if not _CHANNEL.fullmatch(name.removeprefix("#")) or ".." in name]
            if wrong:
                raise ValueError(f"{wrong[0][:100]!r} is no name of a channel: no slashes, signs of addresses or '..'")
            return value

    # The old connectors took four in a second; nothing is documented for workflows.
    pace = Pace(4, 1.0)
    least_privileges = (
        "a workflow 'Post to a channel when a webhook request is received' for each channel, owned by two people",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.seal = self._to_address

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Post a card to a channel of the settings. A workflow answers in no thread: raises Unsupported for one."""
        if thread is not None:
            raise Unsupported(f"{self.name}: a workflow can't answer in a thread; leave 'thread' out")
        return await self._send(channel, text, lambda shown: post_card(shown, severity))

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Mention whoever `to` stands for in the setting `on_call`, in the channel that it says there.

        Raises NotFound, naming those that are known, for another name.
        """
        found = {name.casefold(): each for name, each in self.settings.on_call.items()}.get(to.casefold())
        if found is None:
            known = ", ".join(sorted(self.settings.on_call)) or "none"
            raise NotFound(f"{self.name}: nobody is on call as {to[:100]!r} (known: {known}); see on_call")
        return await self._send(
            found.channel, text, lambda shown: page_card(shown, severity, user=found.user, name=found.name)
        )

    async def ask(
        self,
        channel: str,
        question: str,
        run: str,  # noqa: ARG002 - nothing is answered to a card
        path: str,  # noqa: ARG002
        digest: str,  # noqa: ARG002
        due_at: datetime,
        facts: list[str] | None = None,
        targets: list[str] | None = None,
        more_targets: int = 0,
        link: str = "",
    ) -> Message:
        """Post what is asked and a button that opens `link`, where it is decided after signing in.

        Nothing is decided in Teams: a card that came by a workflow can't answer.
        """
        return await self._send(
            channel,
            question,
            lambda shown: question_card(shown, facts or [], targets or [], more_targets, due_at, link),
        )

    def check(self, response: Response) -> None:
        check_answer(response)

    async def _send(self, channel: str, text: str, card: Callable[[str], dict[str, Any]]) -> Message:
        name = self._known(channel)
        path = _CHANNELS + quote(name.removeprefix("#"), safe="")
        answer = await self.http.post(path, json=fitting(text, card), last=True)
        sent = answer.headers.get("x-ms-workflow-run-id") or self.own_id(32)
        return Message(connector=self.name, id=sent[:200], channel=channel)

    def _known(self, asked: str) -> str:
        wanted = asked.removeprefix("#").casefold()
        for name in self.settings.channels:
            if name.removeprefix("#").casefold() == wanted:
                return name
        known = ", ".join(sorted(self.settings.channels))
        raise NotFound(f"{self.name}: there is no channel {asked[:100]!r} in hikeshi.yaml (known: {known})")

    async def _to_address(self, seen: SeenRequest) -> SeenRequest:
        """Return a request to the address of the channel that it names. Raises SecretUnavailable, Unauthorized."""
        name = self._known(unquote(urlsplit(seen.url).path.rpartition("/")[2]))
        address = self._revealed(self.settings.channels[name] or self.settings.secret_url)
        return replace(seen, url=whole_address(address, self.settings.base_url, f"{self.name}: the address of {name}"))

    def _revealed(self, secret: Secret) -> str:
        """Return an address; each part of it that would open the workflow is masked on its own as well."""
        value = self.reveal(secret).strip()
        path, _, query = value.partition("?")
        path = "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
        fields = [field.partition("=")[2] for field in query.split("&")]
        for part in (value, path, query, *path.split("/"), *fields):
            if len(part) >= _SECRET_FROM:
                self.redactor.add(part)
        return value


_SECRET_FROM: Final = 20  # shorter parts are versions and names of the kind "1.0", which everybody knows
