"""What Deskline says of an error is what people read: the contract knows only which error it is."""

import httpx
import pytest
from hikeshi_deskline import Deskline

from hikeshi.capabilities import Effect, Ticket
from hikeshi.connector import Conflict, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor

TICKET = Ticket(connector="desk", id="7", name="DL-7", title="Mail from a stranger", status="open")


async def test_why_a_ticket_is_not_closed_is_told() -> None:
    answer = httpx.Response(409, json={"error": "somebody else has locked it"})
    settings = {"base_url": "https://acme.deskline.example/api/v1", "api_key": Secret.of_value("key")}
    desk = build(Deskline, "desk", settings, Redactor(), transport=httpx.MockTransport(lambda _: answer))
    door = Door(mode="live", effect=Effect.CHANGE, action="deskline.close_ticket", intended=True)
    with pytest.raises(Conflict, match="somebody else has locked it"), through(door):
        await desk.close_ticket(TICKET, "done")
