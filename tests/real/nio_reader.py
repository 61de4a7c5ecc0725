"""Somebody else's client, matrix-nio: reads an encrypted room, and prints what it reads.

Run by an interpreter that has the package: `python nio_reader.py URL USER DEVICE STORE`, the access token as the first
line of its standard input. It prints "ready", then a line of JSON for each message, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def read(url: str, user: str, device: str, store: str, token: str) -> None:
    from nio import AsyncClient, AsyncClientConfig, MegolmEvent, RoomMessageText, SyncResponse

    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
    client = AsyncClient(url, user, device_id=device, store_path=store, config=config)
    client.restore_login(user, device, token)

    async def tell(_room: Any, event: Any) -> None:
        is_read = isinstance(event, RoomMessageText)
        told = {"body": event.body if is_read else None, "decrypted": event.decrypted, "sender": event.sender}
        print(json.dumps({**told, "relation": event.source["content"].get("m.relates_to")}), flush=True)

    client.add_event_callback(tell, (RoomMessageText, MegolmEvent))
    if client.should_upload_keys:
        await client.keys_upload()
    print("ready", flush=True)
    try:
        while True:
            answer = await client.sync(timeout=1000)
            assert isinstance(answer, SyncResponse), answer
            if client.should_query_keys:
                await client.keys_query()
    finally:
        await client.close()


async def main() -> None:
    token = sys.stdin.readline().strip()
    reading = asyncio.create_task(read(*sys.argv[1:5], token))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([reading, ended], return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        reading.result()
    reading.cancel()


if __name__ == "__main__":
    asyncio.run(main())
