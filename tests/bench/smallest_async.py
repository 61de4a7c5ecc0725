"""The same as smallest.py over asyncio, which an engine needs."""

import asyncio
import sys

import httpx


async def main() -> None:
    async with httpx.AsyncClient() as client:
        await client.post(sys.argv[1], json={"channel": "soc", "text": "hello"})


asyncio.run(main())
