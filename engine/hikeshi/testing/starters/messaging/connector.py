"""Acme: messages to rooms and to whoever is on call."""

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import Field

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    NotFound,
    Response,
    Secret,
    error_of_status,
    json_object,
    said_in,
    understood,
)


class Acme(Connector, Messaging, product="acme"):
    """One Acme workspace."""

    class Settings(ConnectorSettings):
        api_key: Secret
        on_call: dict[str, str] = Field(default_factory=dict)  # on-call name -> room

    least_privileges = ("an API key that may post to the rooms concerned",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        """Judge every answer, before anything else sees it."""
        if response.status >= 400:
            raise error_of_status(response, said_in(response, "error"))
        json_object(response)

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        room = channel.lstrip("#")
        body = {"text": f"[{severity.upper()}] {text}" if severity else text, "answers": thread}
        # The same key for each repetition: a product that knows it posts once.
        headers = {"idempotency-key": self.key}
        answer = await self.http.post(f"/rooms/{quote(room, safe='')}/messages", json=body, headers=headers, last=True)
        with understood(answer.where):
            return Message(connector=self.name, id=str(json_object(answer)["id"]), channel=channel)

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        if to not in self.settings.on_call:
            known = ", ".join(self.settings.on_call) or "none"
            raise NotFound(f"{self.name}: nobody is on call as {to!r} (known: {known}); see on_call in hikeshi.yaml")
        return await self.post(self.settings.on_call[to], f"@everybody {text}", severity)

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}
