"""Traces: a span for each run, step and attempt, sent over OTLP; nothing in them that is nobody's business."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs hikeshi[otel]")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs hikeshi[otel]")
sys.path.append(str(Path(__file__).parents[1] / "service"))

from desk import desk_in, wait_until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import ProjectError, load_config
from hikeshi.serving.tracing import Tracing, trace_id_of, tracing_from_environment
from hikeshi.testing.fake_connector import FakeWorld, fake_connector

PLAYBOOK = """\
id: sweep
inputs: {names: {type: list, items: {type: hostname}}}
steps:
  - id: each
    for_each: inputs.names
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - id: isolate
        action: edr.isolate_host
        with: {host: "{{ steps.find }}", reason: very-private-reason}
        hold: 2h
  - {id: wrong, action: edr.get_host, with: {name: no-such-host}, on_error: continue}
  - {id: nap, wait: 20m, needs: [each]}
"""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keeps spans."""
    return InMemorySpanExporter()


async def sweep(folder: Path, traces: Tracing, names: list[str]) -> str:
    """Run the playbook until it waits, and return the ID of the run."""
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "sweep.yaml").write_text(PLAYBOOK, encoding="utf-8")
    (folder / "hikeshi.yaml").write_text("connectors: {fake: {product: fake}}\n", encoding="utf-8")
    world, registry = FakeWorld(), Registry()
    for name in names:
        world.add_host(name)
    registry.add(fake_connector(world))
    app = Hikeshi(load_config(folder), registry=registry)
    app.park_after_s = 60.0
    try:
        state = await app.start_run("sweep", {"names": names}, actor="mei", mode="live", watchers=[traces])
    finally:
        await app.aclose()
    return state.run


async def test_a_run_its_steps_and_their_attempts_are_spans_of_one_trace(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    """Each step is below the one that it is in, and each attempt below its step."""
    run = await sweep(tmp_path, Tracing.sending_to(exporter, at_once=True), ["pc1", "pc2"])
    spans = {span.name: span for span in exporter.get_finished_spans()}
    ids = {span.context.span_id: span.name for span in spans.values()}

    assert {span.context.trace_id for span in spans.values()} == {trace_id_of(run)}
    assert spans["run sweep"].parent is None
    above = {name: ids[span.parent.span_id] for name, span in spans.items() if span.parent is not None}
    assert above["step each"] == "run sweep"
    assert above["step each[0]"] == "step each"
    assert above["step each[0].isolate"] == "step each[0]"
    assert above["attempt 1 of each[0].isolate"] == "step each[0].isolate"
    assert above["attempt 1 of each[1].find"] == "step each[1].find"
    assert above["step nap"] == "run sweep"
    isolate = spans["attempt 1 of each[1].isolate"]
    assert dict(isolate.attributes) == {
        "hikeshi.run": run,
        "hikeshi.step": "each[1].isolate",
        "hikeshi.action": "edr.isolate_host",
        "hikeshi.connector": "fake",
        "hikeshi.attempt": 1,
        "hikeshi.status": "succeeded",
    }
    for span in spans.values():
        assert span.start_time <= span.end_time
    assert spans["run sweep"].attributes["hikeshi.status"] == "waiting"


async def test_what_fails_is_marked_with_the_kind_of_its_error(tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    """Never with its message: that may hold anything."""
    await sweep(tmp_path, Tracing.sending_to(exporter, at_once=True), ["pc1"])
    spans = {span.name: span for span in exporter.get_finished_spans()}

    for name in ("attempt 1 of wrong", "step wrong"):
        assert spans[name].attributes["error.type"] == "not_found"
        assert spans[name].status.status_code.name == "ERROR"
        assert spans[name].status.description is None


@pytest.mark.safety(26)
async def test_no_argument_and_no_output_is_in_a_span(tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    """Names of hosts, texts of playbooks and what products say stay where they are."""
    await sweep(tmp_path, Tracing.sending_to(exporter, at_once=True), ["pc1", "secret-lab-host"])
    written = "".join(span.to_json() for span in exporter.get_finished_spans())

    assert "hikeshi.action" in written
    for text in ("very-private-reason", "secret-lab-host", "no-such-host", "mei"):
        assert text not in written


async def test_a_defect_in_a_trace_ends_no_run(tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    """It is logged once, and the run does what it does."""
    traces = Tracing.sending_to(exporter, at_once=True)
    traces._tracer = None  # type: ignore[assignment]

    assert await sweep(tmp_path, traces, ["pc1"])


def test_nothing_is_traced_or_imported_unless_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries are not even looked for."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert tracing_from_environment() is None
    program = (
        "import sys; from hikeshi.serving.tracing import tracing_from_environment as t; assert t() is None;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_is_missing_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is served."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(ProjectError, match=r"pip install 'hikeshi\[otel\]'"):
        tracing_from_environment()


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Receive traces over OTLP/HTTP on the loopback interface."""
    got: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


NOTE = "id: note\nsteps:\n  - {id: one, wait: 1s}\n"


def test_a_served_run_arrives_at_a_collector(tmp_path: Path) -> None:
    """Over real HTTP, by the service's own exporter, at the latest when the service is stopped; its log names runs."""
    with desk_in(tmp_path) as desk, collector() as (url, got):
        desk.add_playbook("note", NOTE)
        with desk.served("--no-triggers", OTEL_EXPORTER_OTLP_ENDPOINT=url) as served:
            with desk.client(served, "responder") as mei:
                run = mei.post("/playbooks/note/run", json={"inputs": {}}).json()["run"]
                wait_until(lambda: mei.get(f"/runs/{run}").json()["status"] == "succeeded")
            assert served.stop() == 0
    (resource,) = [each for request in got for each in request.resource_spans][:1]
    assert {"key": "service.name", "value": "hikeshi"} in [
        {"key": each.key, "value": each.value.string_value} for each in resource.resource.attributes
    ]
    spans = [
        span
        for request in got
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {span.trace_id for span in spans} == {trace_id_of(run).to_bytes(16, "big")}
    assert "run note" in {span.name for span in spans}


def test_a_collector_that_is_gone_delays_nothing_for_long(tmp_path: Path) -> None:
    """The run ends, and so does the service."""
    with desk_in(tmp_path) as desk:
        desk.add_playbook("note", NOTE)
        with desk.served("--no-triggers", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as served:
            with desk.client(served, "responder") as mei:
                run = mei.post("/playbooks/note/run", json={"inputs": {}}).json()["run"]
                wait_until(lambda: mei.get(f"/runs/{run}").json()["status"] == "succeeded")
            began = time.monotonic()
            assert served.stop() == 0
            assert time.monotonic() - began < 15
