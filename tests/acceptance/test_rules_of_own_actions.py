"""Guardrails hold for the actions that only one product has, as for those that all have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Recovery, change
from hikeshi.connector import Connector
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config

SETTINGS = """
connectors: {tool: {product: tool, base_url: "http://127.0.0.1:1"}}
guardrails:
  protected:
    - {hosts: [dc01.corp.example, 10.0.0.5], users: [breakglass], why: it keeps us alive}
"""
PLAYBOOK = """
id: t
inputs: {what: {type: string}}
steps:
  - {id: wipe, action: tool.wipe, with: {what: "{{ inputs.what }}", reason: test}}
"""


class Tool(Connector, product="tool"):
    """A product with an action of its own, whose target is a text."""

    @change(target="what", undo=None, because="what is wiped is gone", recovery=Recovery.MANUAL)
    async def wipe(self, what: str, reason: str) -> None:
        await self.http.post("/wipe", json={"what": what}, last=True)


async def refusals(folder: Path, what: str) -> Sequence[str]:
    """Run the playbook and return the codes with which rules refused it."""
    (folder / "playbooks").mkdir(exist_ok=True)
    (folder / "playbooks" / "t.yaml").write_text(PLAYBOOK, encoding="utf-8")
    (folder / "hikeshi.yaml").write_text(SETTINGS, encoding="utf-8")
    registry = Registry()
    registry.add(Tool)
    app = Hikeshi(load_config(folder), registry=registry)
    try:
        state = await app.start_run("t", {"what": what}, actor="ana", mode="live")
        assert state.finished == "failed"
        return [str(each.data["code"]) for each in app.records(state.run) if each.kind == "ChangeRefused"]
    finally:
        await app.aclose()


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    "what", ["dc01.corp.example", "DC01.CORP.EXAMPLE.", "dc01", "10.0.0.5", "::ffff:10.0.0.5", "CORP\\breakglass"]
)
async def test_an_action_of_one_product_alone_is_refused_as_well(tmp_path: Path, what: str) -> None:
    """Its target is a text, which may be any name of what is protected."""
    assert await refusals(tmp_path, what) == ["protected"]


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("what", "code"), [("*", "wildcard_target"), ("all", "wildcard_target"), ("null", "empty_target")]
)
async def test_a_text_that_may_mean_everything_is_refused(tmp_path: Path, what: str, code: str) -> None:
    """Nobody has to put that on a list."""
    assert await refusals(tmp_path, what) == [code]


async def test_another_target_is_none_of_its_business(tmp_path: Path) -> None:
    """It fails only because nobody answers there."""
    assert await refusals(tmp_path, "pc7") == []
