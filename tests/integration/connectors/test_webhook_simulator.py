"""Signed webhooks, checked by who checks them in earnest: Hikeshi's own receiver, and the contract kit's eye."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect
from hikeshi.connector import Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.contract_bench import Bench
from hikeshi.testing.contract_case import Case, Contract
from hikeshi.testing.contract_secrets import secrets_are_never_shown
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi.triggers.verify.delivery import Delivery
from hikeshi.triggers.verify.signing_secret import SigningSecret
from hikeshi.triggers.verify.standard_webhooks import StandardWebhooks
from hikeshi_connectors.webhook import Webhook
from hikeshi_connectors.webhook.simulator import WebhookSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = WebhookSimulator.demo_settings["signing_key"]


def opened(key: str = "run/1") -> Door:
    return Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True, key=key)


def hook(base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> Webhook:
    settings = {"base_url": base_url, "signing_key": Secret.of_value(KEY)}
    connector = build(Webhook, "hook", settings, Redactor(), transport=transport)
    assert isinstance(connector, Webhook)
    return connector


async def test_our_own_receiver_takes_what_we_send(tmp_path: Path):
    """The signature is good, and one changed byte of the body makes it a bad one."""
    router = respx.MockRouter()
    router.post("https://hook.example/").respond(204)
    with through(opened()):
        message = await hook("https://hook.example/", httpx.MockTransport(router.async_handler)).post("soc", "grüß")
    request = router.calls.last.request
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    secret = SigningSecret([f"${{file:{tmp_path / 'key'}}}"], Redactor())
    await secret.ready()
    headers = {name: [value] for name, value in request.headers.items()}
    verifier = StandardWebhooks(secret, 300)
    verified = await verifier.verify(Delivery(headers, "application/json", request.content, datetime.now(UTC)))
    assert verified.id == message.id
    changed = Delivery(headers, "application/json", request.content + b" ", datetime.now(UTC))
    with pytest.raises(Exception, match="signature"):
        await verifier.verify(changed)


async def test_a_message_that_comes_twice_is_taken_once():
    """By its ID, which is the same for the same step of a run."""
    simulation = Simulation(Estate(EstateState("small", BASE)), [WebhookSimulator])
    with running(simulation) as url:
        connector = hook(f"{url}/webhook/hooks")
        for key in ("run/1", "run/1", "run/2"):
            with through(opened(key)):
                await connector.post("soc", "hello")
        await connector.http.aclose()
    assert len(simulation.estate.messages) == 2
    assert len(simulation.log.changes) == 3


@pytest.mark.safety(26)
async def test_the_kit_sees_nothing_but_signatures():
    """It takes each for a credential that it was not told of; the key itself is nowhere, not even on the wire."""
    cases = [
        Case("messaging.post", {"channel": "soc", "text": "hello"}),
        Case("messaging.page", {"to": "soc", "text": "hello"}),
    ]
    simulation = Simulation(Estate(EstateState("small", BASE)), [WebhookSimulator])
    with running(simulation) as url:
        contract = Contract(Webhook, WebhookSimulator, lambda: EstateState("small", BASE), cases)
        problems = [each.text async for each in secrets_are_never_shown(Bench(contract, simulation, url))]
    assert set(problems) == {"a credential was sent that the redactor does not know (use reveal or TokenCache)"}
