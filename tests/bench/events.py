"""How many events a service takes: signed webhooks over HTTP, each stored, judged and begun as a run of its own.

    python tests/bench/events.py                       200 events a second for 20 s
    python tests/bench/events.py --rate 400 --seconds 10
    python tests/bench/events.py --kill                the service is killed in the middle, and started again

Every event that was answered with 202 has to have exactly one run or a recorded reason; after a kill those that got no
answer are sent again, as vendors do. Exits with 1 if one is missing, or has two.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

KEY = b"k" * 24
SETTINGS = """
connectors: {}
webhooks:
  edr: {verify: standard-webhooks, secret: "${env:BENCH_HOOK}"}
"""
PLAYBOOK = """
id: triage
inputs:
  host: {type: string}
triggers:
  - id: alert
    webhook: edr
    when: event.severity == 'high'
    inputs: {host: "{{ event.host }}"}
steps:
  - {id: note, set: {host: inputs.host}}
"""


def main() -> int:
    """Measure, or serve if another one of these asks for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kill", action="store_true", help="kill the service in the middle, and start it again")
    parser.add_argument("--no-work", action="store_true", help="begin the runs, and don't go on with them meanwhile")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve, works=not options.no_work))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(Bench(Path(folder), options).run())


# --- the service --------------------------------------------------------------------------------------------------


async def serve(folder: Path, *, works: bool) -> None:
    """Serve a project until it is killed or told to stop."""
    import uvicorn
    from starlette.applications import Starlette

    from hikeshi.app import Hikeshi
    from hikeshi.runtime.worker import Worker
    from hikeshi.triggers import Triggers, hook_routes

    app = Hikeshi.open(folder)
    app.park_after_s = 1.0
    worker = Worker(app, app.clock)
    triggers = Triggers(app, alert=lambda text: print("told:", text, flush=True), wake=worker.wake)
    await triggers.turn()
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    site = Starlette(routes=hook_routes(triggers))
    server = uvicorn.Server(uvicorn.Config(site, log_config=None, access_log=False, lifespan="off"))
    (folder / "port").write_text(str(listener.getsockname()[1]))
    jobs = [asyncio.create_task(triggers.run())]
    if works:
        jobs.append(asyncio.create_task(worker.run(stay=True)))
    await server.serve(sockets=[listener])
    triggers.stop()
    worker.stop()
    await asyncio.gather(*jobs)
    await app.aclose()


# --- the senders --------------------------------------------------------------------------------------------------


class Bench:
    """One measurement."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._answers: dict[str, int] = {}
        self._took_s: list[float] = []
        self._service: subprocess.Popen[bytes] | None = None
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "triage.yaml").write_text(PLAYBOOK)
        (folder / "hikeshi.yaml").write_text(SETTINGS)

    async def run(self) -> int:
        total = round(self._options.rate * self._options.seconds)
        self._start()
        began = time.perf_counter()
        sending = [asyncio.create_task(self._send_at(began, number)) for number in range(total)]
        if self._options.kill:
            await asyncio.sleep(self._options.seconds / 2)
            await asyncio.to_thread(self._kill)
        await asyncio.gather(*sending)
        sent_s = time.perf_counter() - began
        lost = [name for name, status in self._answers.items() if status not in (202, 409)]
        if self._options.kill:
            print(f"killed in the middle: {len(lost)} events got no answer and are sent again")
            for name in lost:
                await self._send(name)
        settled_s = await self._settled(total) - began
        self._stop()
        return self._report(total, sent_s, settled_s)

    def _start(self) -> None:
        port = self._folder / "port"
        port.unlink(missing_ok=True)
        environment = {**os.environ, "BENCH_HOOK": f"whsec_{base64.b64encode(KEY).decode()}"}
        command = [sys.executable, __file__, "--serve", str(self._folder)]
        command += ["--no-work"] if self._options.no_work else []
        self._service = subprocess.Popen(command, env=environment)
        while not port.exists() or not port.read_text():
            time.sleep(0.02)
        self._port = int(port.read_text())
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def _kill(self) -> None:
        assert self._service is not None
        self._service.send_signal(signal.SIGKILL)
        self._service.wait()
        self._start()

    def _stop(self) -> None:
        assert self._service is not None
        self._service.send_signal(signal.SIGTERM)
        self._service.wait(60)

    async def _send_at(self, began: float, number: int) -> None:
        await asyncio.sleep(max(0.0, began + number / self._options.rate - time.perf_counter()))
        await self._send(f"e{number}")

    async def _send(self, name: str) -> None:
        severity = "low" if name.endswith("7") else "high"  # one of ten is not wanted, with a recorded reason
        body = json.dumps({"severity": severity, "host": f"pc-{name}", "detail": "x" * 500}).encode()
        stamp = str(int(time.time()))
        digest = hmac.new(KEY, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
        headers = {
            "webhook-id": name,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
            "content-type": "application/json",
        }
        began = time.perf_counter()
        try:
            self._answers[name] = await self._post(body, headers)
        except (OSError, EOFError, ValueError):
            self._answers[name] = 0
            return
        self._took_s.append(time.perf_counter() - began)

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """Return the status. The machine is shared with what is measured, so the client is as light as can be."""
        line = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = line
        if reader.at_eof():  # the server closes what was idle for a while
            return await self._post(body, headers)
        head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        asked = f"POST /hooks/edr HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n{head}\r\n"
        writer.write(asked.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        length = next(each for each in answer.lower().split(b"\r\n") if each.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        self._idle.append(line)
        return status

    # --- what became of it ----------------------------------------------------------------------------------------

    def _rows(self, sql: str) -> list[Any]:
        with sqlite3.connect(self._folder / ".hikeshi" / "journal.db", timeout=30) as tx:
            return tx.execute(sql).fetchall()

    async def _settled(self, total: int) -> float:
        """Return when every event was judged and begun, or when that had long been due."""
        until = time.perf_counter() + 60 + total / 50
        while time.perf_counter() < until:
            (judged,) = self._rows("SELECT COUNT(*) FROM trigger_events WHERE judged = 1")[0]
            (waiting,) = self._rows("SELECT COUNT(*) FROM trigger_starts")[0]
            if judged >= total and not waiting:
                break
            await asyncio.sleep(0.1)
        return time.perf_counter()

    def _report(self, total: int, sent_s: float, settled_s: float) -> int:
        outcomes = Counter(row[0] for row in self._rows("SELECT outcome FROM trigger_fires"))
        runs = self._rows("SELECT run, finished_at FROM runs")
        found = dict(self._rows("SELECT id, COUNT(*) FROM trigger_fires JOIN trigger_events USING (event) GROUP BY id"))
        wrong = [f"e{number}" for number in range(total) if found.get(f"e{number}") != 1]
        took = sorted(self._took_s)
        print(f"events         {total} in {sent_s:.1f} s ({total / sent_s:.0f} a second)")
        print(f"answers        {dict(Counter(self._answers.values()))}")
        print(f"answer         p50 {_ms(took, 0.5)}, p99 {_ms(took, 0.99)}, longest {_ms(took, 1)}")
        print(f"outcomes       {dict(outcomes)}")
        print(f"runs           {len(runs)} begun, {sum(row[1] is not None for row in runs)} over by now")
        print(f"all begun      {settled_s:.1f} s after the first was sent ({settled_s - sent_s:.1f} s after the last)")
        print(f"missing/twice  {len(wrong)} {wrong[:5]}")
        is_right = not wrong and len(runs) == outcomes["started"] == total - outcomes["not_wanted"]
        print("every event has one run or a recorded reason" if is_right else "NOT every event has what it should")
        return 0 if is_right else 1


def _ms(values: list[float], share: float) -> str:
    return f"{values[min(len(values) - 1, int(len(values) * share))] * 1000:.1f} ms" if values else "none"


if __name__ == "__main__":
    sys.exit(main())
