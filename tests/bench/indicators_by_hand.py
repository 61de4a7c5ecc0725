"""The hand-written clients of the indicator benchmark: what a careful script does with each product, for one batch.

Each reads what is blocked, sends what is not, and reads again, as Hikeshi does. `turn` is for what a product does one
at a time, should several batches be under way.
"""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from typing import Any
from xml.etree import ElementTree as ET

import httpx

__all__ = ["cloudflare", "fortigate", "nftables", "panos"]


async def fortigate(client: httpx.AsyncClient, settings: dict[str, Any], batch: list[str], _: asyncio.Lock) -> None:
    """What a careful script does: who is banned, ban the rest, see that they are."""

    async def banned() -> set[str]:
        answer = await client.get("/api/v2/monitor/user/banned", params={"vdom": "root"})
        answer.raise_for_status()
        return {str(ip_address(each["ip_address"])) for each in answer.json()["results"]}

    client.headers["authorization"] = f"Bearer {settings['token']}"
    new = sorted(set(batch) - await banned())
    body = {"ip_addresses": new, "expiry": 28800}
    answer = await client.post("/api/v2/monitor/user/banned/add_users", params={"vdom": "root"}, json=body)
    answer.raise_for_status()
    if answer.json()["status"] != "success" or not (await banned()).issuperset(new):
        raise RuntimeError(answer.text)


async def panos(client: httpx.AsyncClient, settings: dict[str, Any], batch: list[str], _: asyncio.Lock) -> None:
    """The same with tags, five hundred to a page."""
    client.headers["x-pan-key"] = settings["api_key"]

    async def post(form: dict[str, str]) -> ET.Element:
        answer = await client.post("/api/", data=form)
        answer.raise_for_status()
        root = ET.fromstring(answer.content)
        if root.get("status") != "success":
            raise RuntimeError(answer.text)
        return root

    async def tagged() -> set[str]:
        found: set[str] = set()
        while True:
            command = (
                "<show><object><registered-ip><tag><entry name='hikeshi-blocked'/></tag><limit>500</limit>"
                f"<start-point>{len(found) + 1}</start-point></registered-ip></object></show>"
            )
            entries = (await post({"type": "op", "vsys": "vsys1", "cmd": command})).findall("result/entry")
            found |= {str(ip_address(entry.get("ip", ""))) for entry in entries}
            if len(entries) < 500:
                return found

    new = sorted(set(batch) - await tagged())
    member = '<tag><member timeout="28800">hikeshi-blocked</member></tag>'
    entries = "".join(f'<entry ip="{address}">{member}</entry>' for address in new)
    head = "<uid-message><version>1.0</version><type>update</type><payload><register>"
    message = f"{head}{entries}</register></payload></uid-message>"
    await post({"type": "user-id", "vsys": "vsys1", "cmd": message})
    if not (await tagged()).issuperset(new):
        raise RuntimeError("not all of them were tagged")


async def cloudflare(client: httpx.AsyncClient, settings: dict[str, Any], batch: list[str], turn: asyncio.Lock) -> None:
    """The same with a list of the account, whose changes are jobs."""
    client.headers["authorization"] = f"Bearer {settings['api_token']}"
    lists = f"/accounts/{settings['account_id']}/rules/lists"
    items = f"{lists}/{settings['rules_list']}/items"

    async def result(method: str, path: str, **given: Any) -> dict[str, Any]:
        answer = await client.request(method, path, **given)
        if answer.status_code == 429:
            await asyncio.sleep(int(answer.headers["retry-after"]))
            return await result(method, path, **given)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        if not body["success"]:
            raise RuntimeError(answer.text)
        return body

    async def listed() -> set[str]:
        found: set[str] = set()
        cursor: dict[str, str] = {}
        while True:
            body = await result("GET", items, params={"per_page": 500, **cursor})
            found |= {str(ip_address(each["ip"])) for each in body["result"]}
            after = (body.get("result_info") or {}).get("cursors", {}).get("after")
            if not after:
                return found
            cursor = {"cursor": after}

    new = sorted(set(batch) - await listed())
    async with turn:
        body = await result("POST", items, json=[{"ip": address, "comment": "bench"} for address in new])
        job, wait_s = f"{lists}/bulk_operations/{body['result']['operation_id']}", 0.2
        while (await result("GET", job))["result"]["status"] != "completed":
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 2.0)
    if not (await listed()).issuperset(new):
        raise RuntimeError("not all of them were listed")


async def nftables(_: httpx.AsyncClient, settings: dict[str, Any], batch: list[str], __: asyncio.Lock) -> None:
    """The same with a set of the kernel: a script has no HTTP here either, but a process for each call."""

    async def nft(*words: str, given: bytes = b"") -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*settings["command"], *words, stdin=pipe, stdout=pipe)
        told, _ = await process.communicate(given)
        if process.returncode != 0:
            raise RuntimeError(f"nft ended with {process.returncode}")
        return told

    async def elements() -> set[str]:
        told = json.loads(await nft("-j", "list", "set", "inet", "hikeshi", "blocked4"))
        [found] = [each["set"] for each in told["nftables"] if "set" in each]
        return {str(ip_address(each["elem"]["val"])) for each in found.get("elem", [])}

    new = sorted(set(batch) - await elements())
    elem = [{"elem": {"val": address, "timeout": 28800}} for address in new]
    place = {"family": "inet", "table": "hikeshi", "name": "blocked4", "elem": elem}
    await nft("-j", "-f", "-", given=json.dumps({"nftables": [{"add": {"element": place}}]}).encode())
    if not (await elements()).issuperset(new):
        raise RuntimeError("not all of them are in the set")
